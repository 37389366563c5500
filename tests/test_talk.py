"""`generate` and `chat` in the terminal, on a checkpoint that was saved and loaded like any other."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from llama4_explained import TINY, KVCache, Llama4, Llama4Config, cli, talk
from llama4_explained.loading import load
from llama4_explained.processor import Processor
from llama4_explained.tour import llama4_tokenizer, tour_config


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small multimodal model with Llama 4's own tokenizer and tiles of 112 pixels."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = llama4_tokenizer()
    config = tour_config(tokenizer.vocab_size)
    text = replace(config.text, hidden_size=32, num_layers=4, expert_width=32, chunk_size=16, floor_scale=16)
    config = Llama4Config(text=text, vision=TINY.vision)
    model = Llama4(config)
    model.init_weights(std=0.1, seed=0)
    model.save_pretrained(folder)
    Processor(tokenizer, tile_size=112, max_tiles=4, tokens_per_tile=16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return load(checkpoint)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.linear_gradient("L").resize((200, 100)).save(path)
    return str(path)


def test_generate_prints_what_the_model_writes(checkpoint, loaded, capsys):
    assert cli.main(["generate", str(checkpoint), "Hello", "--max-new-tokens", "5"]) == 0
    model, processor = loaded
    inputs = processor([{"role": "user", "content": "Hello"}])
    expected = "".join(model.stream(**inputs, processor=processor, max_new_tokens=5))
    assert capsys.readouterr().out == expected + "\n"


def test_second_turn_with_a_picture_equals_the_whole_conversation_without_a_cache(loaded, picture):
    model, processor = loaded
    conversation = talk.Conversation(model, processor, "Be brief.", {"max_new_tokens": 4})
    conversation.ask("Hello", [])
    conversation.ask("And this?", [picture])
    whole = conversation._inputs
    assert whole["pixel_values"].shape[0] == 3  # 1 x 2 tiles and the global one
    expected = model.generate(**whole, max_new_tokens=4)
    assert torch.equal(conversation._output, expected)
    assert conversation._cache.length == expected.shape[1] - 1  # all but the last token, which nothing has followed


def test_chat_survives_a_mistake_and_resets(checkpoint, capsys, monkeypatch):
    lines = iter(["Hello", "/image no-such-file.png", "What is this?", "/nonsense", "/reset", "Hello", "/quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    assert cli.main(["chat", str(checkpoint), "--max-new-tokens", "3"]) == 0
    output = capsys.readouterr()
    assert "no-such-file.png" in output.err and output.err.count("no-such-file") == 1
    answers = [line for line in output.out.splitlines() if line and not line.startswith("/image FILE")]
    assert answers[0] == answers[-1], "after /reset the same question gets the same answer"


def test_chat_ends_with_the_input(checkpoint, monkeypatch):
    def end(prompt):
        raise EOFError

    monkeypatch.setattr("builtins.input", end)
    assert cli.main(["chat", str(checkpoint)]) == 0


def test_ctrl_c_ends_the_answer_and_keeps_it(loaded, monkeypatch, capsys):
    model, processor = loaded
    conversation = talk.Conversation(model, processor, None, {"max_new_tokens": 9})
    logits, calls = model.logits, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return logits(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(model, "logits", interrupted)
        conversation.ask("Hello", [])
    assert conversation._output.shape[1] == conversation._inputs["input_ids"].shape[1] + 3
    conversation.ask("Go on", [])  # the talk goes on from what was written
    assert isinstance(conversation._cache, KVCache)


def test_a_checkpoint_without_tokenizer_cannot_talk(tmp_path, capsys):
    model = Llama4(TINY)
    model.init_weights(seed=0)
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="tokenizer"):
        assert cli.main(["generate", str(tmp_path), "Hello"]) == 2
    assert "tokenizer" in capsys.readouterr().err
