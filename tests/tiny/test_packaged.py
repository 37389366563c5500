"""The checkpoint in the package: complete, small, the same for Hugging Face as for us, and good at its task."""

import json
import os
import subprocess
import sys

import pytest
import torch
import transformers

from llama4_explained import TINY, Processor, load
from llama4_explained.check.differences import compare_runs
from llama4_explained.check.hf_checkpoint import hf_inputs, hf_processor, read_both
from llama4_explained.config import read_config
from llama4_explained.hub import PACKAGED, local_folder
from llama4_explained.tiny.exam import Examiner, picture_questions, share_right
from llama4_explained.tiny.gallery import ask_about, scene_to_show
from llama4_explained.tiny.languages import ALL, BY_CODE
from llama4_explained.tiny.languages.language import Thing
from llama4_explained.tiny.pictures import draw_scene
from llama4_explained.tiny.scenes import UNSEEN
from llama4_explained.tiny.training import tiny_processor

FOLDER = local_folder(PACKAGED)
MOST_BYTES = 12 * 2**20


@pytest.fixture(scope="module")
def models():
    return read_both(PACKAGED)


@pytest.fixture(scope="module")
def theirs():
    return hf_processor(PACKAGED)


def question(number, language="en"):
    return ask_about(draw_scene(scene_to_show(number)), BY_CODE[language].ask_caption())


def in_float32(inputs):
    return {name: tensor.float() if name == "pixel_values" else tensor for name, tensor in inputs.items()}


def without_mask(inputs):
    return {name: tensor for name, tensor in inputs.items() if name != "attention_mask"}


TEXTS = [
    [{"role": "user", "content": BY_CODE["en"].ask_translation("de", "A red star and two blue circles.")}],
    [{"role": "user", "content": "\n".join([*(BY_CODE["fr"].note(key, "42") for key in "abcdefgh"), "?"])}],
]


def test_pairs_that_training_never_showed_are_known(models):
    """One question of each task and language; from seed to seed 99 to 100 % of such are right."""
    ours, _, processor = models
    assert share_right(Examiner(processor).answers(ours, picture_questions(1, things=UNSEEN))) > 0.95


def test_files():
    names = {path.name for path in FOLDER.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "processor_config.json"} <= names
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST_BYTES


def test_it_loads_without_a_network_and_without_transformers():
    code = (
        "import socket, sys; socket.socket.connect = None\n"
        "from llama4_explained import load; model, processor = load('tiny')\n"
        "assert 'transformers' not in sys.modules and processor is not None"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "HF_HUB_OFFLINE": "0"})


def test_config_is_the_tiny_one_and_written_in_full():
    model, processor = load(PACKAGED)
    stored = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert read_config(stored) == model.config
    assert stored == {**model.config.to_hf_dict(), "dtype": "bfloat16"}
    assert model.config == TINY
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert (processor.image_settings.tile_size, processor.tokens_per_tile) == (112, 16)
    assert processor.tokenizer.vocab_size == TINY.text.vocab_size


def test_training_again_would_use_the_same_tokenizer():
    packaged, again = Processor.from_pretrained(PACKAGED), tiny_processor()
    assert packaged.tokenizer._vocabulary.to_json() == again.tokenizer._vocabulary.to_json()


@pytest.mark.parametrize("messages", [*map(question, range(4)), *TEXTS], ids=[*map(str, range(4)), "short", "long"])
def test_hugging_face_makes_the_same_inputs_and_logits(models, theirs, messages):
    ours, hf, processor = models
    inputs, expected = processor(messages), hf_inputs(theirs, messages)
    assert inputs.keys() <= expected.keys()
    for name, tensor in inputs.items():
        assert torch.equal(tensor, expected[name]), name
    assert not [result for result in compare_runs(ours, hf, **without_mask(in_float32(inputs))) if not result.passed]


def test_those_inputs_show_chunks():
    _, processor = load(PACKAGED)
    assert processor(question(3))["input_ids"].shape[1] > TINY.text.chunk_size
    assert processor(TEXTS[1])["input_ids"].shape[1] > TINY.text.chunk_size


@pytest.mark.parametrize(("number", "language"), [(4, "en"), (5, "ar"), (6, "ko"), (7, "hi"), (11, "fr"), (15, "th")])
def test_hugging_face_writes_the_same_text(models, theirs, number, language):
    ours, hf, processor = models
    messages = question(number, language)
    inputs = processor(messages)
    written = ours.generate(**inputs, max_new_tokens=96)
    expected = hf.generate(**in_float32(hf_inputs(theirs, messages)), max_new_tokens=96, do_sample=False)
    assert torch.equal(written, expected)
    assert written[0, -1] in processor.stop_ids
    decoded = transformers.AutoTokenizer.from_pretrained(FOLDER).decode(expected[0], skip_special_tokens=True)
    assert decoded == processor.decode(written[0], skip_special=True)


def test_captions_are_right_in_every_language():
    model, processor = load(PACKAGED)
    right = []
    for number in range(1000, 1026):
        language, scene = ALL[number % len(ALL)], scene_to_show(number)
        inputs = processor(ask_about(draw_scene(scene), language.ask_caption()))
        written = "".join(model.stream(**inputs, processor=processor, max_new_tokens=96))
        right.append(written == language.caption(scene.groups()))
    assert sum(right) >= 0.9 * len(right)


def test_second_turns_go_on_about_the_same_picture():
    model, processor = load(PACKAGED)
    english, right = BY_CODE["en"], 0
    for number in range(10):
        scene = scene_to_show(number)
        inputs = processor(question(number))
        output = model.generate(**inputs, max_new_tokens=96)
        absent = next(Thing("star", c) for c in ("red", "blue", "green") if Thing("star", c) not in scene.things)
        for asked, answer in (
            (english.ask_existence(scene.things[0]), english.yes()),
            (english.ask_existence(absent), english.no()),
        ):
            more = processor.continue_turn(inputs, output, [{"role": "user", "content": asked}])
            right += "".join(model.stream(**more, processor=processor)) == answer
    assert right >= 17
