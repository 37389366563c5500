"""The tour, as a command: it walks to the end, draws its picture, and notices a model that is wrong."""

import pytest
from PIL import Image

from llama4_explained import cli, tour
from llama4_explained.vision import encoder


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "gradient.png"
    Image.linear_gradient("L").resize((90, 60)).save(path)
    return str(path)


def test_tour_of_a_picture_of_one_tile(picture, tmp_path, capsys):
    drawing = tmp_path / "tour.png"
    code = cli.main(["tour", "--image", picture, "--question", "What?", "--new-tokens", "3", "--output", str(drawing)])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "RANDOM weights" in printed and "fits one tile" in printed and "tensors equal Hugging Face's" in printed
    for name in ("pixel_values", "input_ids", "vision.image_tokens", "fusion.embeddings", "logits", "new_ids"):
        assert f"\n   {name} " in printed, name
    assert Image.open(drawing).size[0] > 1000


def test_tour_notices_a_wrong_model(picture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(encoder, "rotate_pairs", lambda x, rotation: x)
    drawing = str(tmp_path / "tour.png")
    assert cli.main(["tour", "--image", picture, "--new-tokens", "1", "--output", drawing]) == 1
    assert "differ from Hugging Face's: vision.layers.0.output" in capsys.readouterr().out


def test_tour_without_metas_package_says_what_to_install(monkeypatch, picture, capsys):
    monkeypatch.setattr(tour, "find_spec", lambda name: None)
    assert cli.main(["tour", "--image", picture]) == 2
    assert "pip install llama-models" in capsys.readouterr().err


def test_a_drawing_that_cannot_be_written_is_refused_before_the_work(picture, tmp_path, capsys):
    assert cli.main(["tour", "--image", picture, "--output", str(tmp_path / "no-folder" / "tour.png")]) == 2
    output = capsys.readouterr()
    assert "no-folder" in output.err and "Vision" not in output.out


def test_itinerary_visits_every_layer_once():
    config = tour.tour_config(202048)
    outputs = [stop.name for _, stops in tour.itinerary(config) for stop in stops if stop.name.endswith(".output")]
    text = [name for name in outputs if name.startswith("layers.")]
    assert sorted(text) == sorted(f"layers.{i}.output" for i in range(config.text.num_layers))
