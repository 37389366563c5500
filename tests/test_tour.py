"""The tour, as a command: it walks to the end, draws its picture, answers, and notices a model that is wrong."""

import pytest
from PIL import Image

from llama4_explained import cli, generate, load, tour
from llama4_explained.tiny.gallery import ask_about, questions_about, scene_to_show
from llama4_explained.tiny.languages import BY_CODE
from llama4_explained.tiny.pictures import draw_scene
from llama4_explained.vision import encoder


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "gradient.png"
    Image.linear_gradient("L").resize((90, 60)).save(path)
    return str(path)


@pytest.fixture
def arguments(picture, tmp_path):
    """A short way: a picture of one tile, a scene of one tile."""
    return ["tour", "--image", picture, "--scene", "4", "--output", str(tmp_path / "tour.png")]


def test_tour_shows_every_stop_and_answers(arguments, tmp_path, capsys):
    assert cli.main([*arguments, "--question", "What?", "--language", "de"]) == 0
    output = capsys.readouterr()
    for name in ("vision.image_tokens", "fusion.embeddings", "layers.3.attention.temperature", "logits"):
        assert output.out.count(f"\n   {name} ") == 1, name
    for name in ("pixel_values", "input_ids"):  # of the picture and of the scene
        assert output.out.count(f"\n   {name} ") == 2, name
    for text in ("fits one tile of 336", "fits one tile of 112", "What?<|eot|>", "tensors equal Hugging Face's"):
        assert text in output.out
    assert "\x1b" not in output.out and not output.err
    assert Image.open(tmp_path / "tour.png").size[0] > 1000

    model, processor = load("tiny", dtype="float32")
    scene = scene_to_show(4)
    turns = questions_about(scene, [BY_CODE["en"], BY_CODE["de"]])
    assert len(turns) == 4
    lines = output.out.splitlines()
    for turn in turns:
        inputs = processor(ask_about(draw_scene(scene), turn.question))
        written = "".join(model.stream(**inputs, processor=processor))
        asked = next(number for number, line in enumerate(lines) if line.endswith(f": {turn.question}"))
        assert lines[asked + 1].split(maxsplit=2)[2] == written
        assert lines[asked + 2].split(maxsplit=2)[2] == turn.answer


def test_tour_notices_a_wrong_model(arguments, capsys, monkeypatch):
    monkeypatch.setattr(encoder, "rotate_pairs", lambda x, rotation: x)
    assert cli.main(arguments) == 1
    printed = capsys.readouterr().out
    assert "differ from Hugging Face's: vision.layers.0.output" in printed and "tensors equal" not in printed


def test_tour_notices_wrong_answers_and_wrong_inputs(arguments, capsys, monkeypatch):
    choose, make = generate.choose_token, tour.hf_inputs

    def second_choice(logits, *settings):
        return choose(logits.scatter(-1, logits.argmax(-1, keepdim=True), float("-inf")), *settings)

    def other_inputs(processor, messages):
        inputs = make(processor, messages)
        return {"pixel_values": inputs["pixel_values"], "input_ids": inputs["input_ids"][:, :-1]}

    monkeypatch.setattr(generate, "choose_token", second_choice)
    monkeypatch.setattr(tour, "hf_inputs", other_inputs)
    assert cli.main(arguments) == 1
    printed = capsys.readouterr().out
    wrong = printed.partition("differ from Hugging Face's: ")[2].splitlines()[0]
    assert wrong.startswith("input_ids, input_ids, the answer to") and wrong.count("the answer to") == 4
    assert "0 of 4 answers are right" in printed


def test_default_scene_has_tiles_and_objects_to_tell_apart():
    scene = scene_to_show(tour.SCENE)
    assert scene.rows * scene.columns > 1 and len(scene.groups()) > 2 and len(scene.items) > len(scene.groups())


def test_tour_without_metas_package_says_what_to_install(monkeypatch, arguments, capsys):
    monkeypatch.setattr(tour, "find_spec", lambda name: None)
    assert cli.main(arguments) == 2
    assert "pip install llama-models" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--output", "no-folder/tour.png", "no-folder"),
        ("--output", "tour.txt", ".png"),
        ("--scene", "-1", "0 to 999999999"),
        ("--image", "no-such-picture.jpg", "no-such-picture.jpg"),
    ],
)
def test_mistakes_are_told_before_the_work(arguments, capsys, option, value, says):
    assert cli.main([*arguments, option, value]) == 2
    output = capsys.readouterr()
    assert says in output.err and output.err.count("\n") == 1 and not output.out
