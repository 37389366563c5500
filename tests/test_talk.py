"""`generate` and `chat` in the terminal, on a checkpoint that was saved and loaded like any other."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from llama4_explained import SCOUT, TINY, KVCache, Llama4, UserError, cli, talk
from llama4_explained.loading import load
from llama4_explained.processor import Processor
from llama4_explained.tiny.gallery import ask_about, scene_to_show
from llama4_explained.tiny.languages import BY_CODE
from llama4_explained.tiny.pictures import draw_scene
from llama4_explained.tour import llama4_tokenizer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small multimodal model with Llama 4's own tokenizer and tiles of 112 pixels."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = llama4_tokenizer()
    text = replace(
        TINY.text, vocab_size=tokenizer.vocab_size, hidden_size=32, num_layers=4, expert_width=32, chunk_size=16,
        floor_scale=16, bos_id=SCOUT.text.bos_id, eos_ids=SCOUT.text.eos_ids, pad_id=SCOUT.text.pad_id,
    )  # fmt: skip
    config = replace(SCOUT, text=text, vision=TINY.vision)
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


def chat(monkeypatch, *lines, checkpoint="tiny"):
    """A chat in which a user writes these lines, and then ends the input."""
    waiting = iter(lines)

    def read(prompt):
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    return cli.main(["chat", str(checkpoint), "--max-new-tokens", "32"])


def test_chat_survives_mistakes_and_resets(checkpoint, capsys, monkeypatch):
    lines = ["Hello", "/image no-such-file.png", "What is this?", "/nonsense", "/scene abc", "/reset", "Hello", "/quit"]
    assert chat(monkeypatch, *lines, "never read", checkpoint=checkpoint) == 0
    output = capsys.readouterr()
    mistakes = output.err.splitlines()
    assert len(mistakes) == 2 and "no-such-file.png" in mistakes[0] and "'abc'" in mistakes[1]
    help = f"{talk.HELP}\n{talk.SCENE_HELP}\n"
    nothing, before, after = output.out.split(help)  # it comes at first, and after /nonsense
    assert not nothing and before.startswith(after) and len(after) > 1, (
        "after /reset the same question, the same answer"
    )
    assert len(before) > len(after) + 1


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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_answers_are_about_the_scene_that_was_drawn(folder, capsys, monkeypatch):
    english, numbers = BY_CODE["en"], (1, 20, 301, 4002, 7)
    assert chat(monkeypatch, *(line for n in numbers for line in (f"/scene {n}", english.ask_caption()))) == 0
    output = capsys.readouterr()
    assert not output.err and "\x1b" not in output.out
    answers = output.out.split("\nScene ")[1:]
    assert [answer.split(",")[0] for answer in answers] == [str(n) for n in numbers]
    right = [english.caption(scene_to_show(n).groups()) for n in numbers]
    assert len(set(right)) == len(numbers)
    written = [answer.splitlines()[1] for answer in answers]
    assert sum(mine == theirs for mine, theirs in zip(written, right, strict=True)) >= 4
    for n in numbers:
        with Image.open(folder / f"scene-{n}.png") as saved:
            assert saved.tobytes() == draw_scene(scene_to_show(n)).tobytes()


def test_a_scene_begins_a_new_conversation_and_a_mistake_loses_nothing(folder, capsys, monkeypatch):
    conversations = []

    class Kept(talk.Conversation):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            conversations.append(self)

    monkeypatch.setattr(talk, "Conversation", Kept)
    (folder / "scene-9.png").mkdir()
    english = BY_CODE["en"]
    lines = [
        "/scene 3",
        english.ask_caption(),
        "/scene 4",
        "/scene -1",
        "/scene 1000000000",
        "/scene 9",
        "/image x.png",
    ]
    assert chat(monkeypatch, *lines, english.ask_count(), english.ask_caption()) == 0
    output = capsys.readouterr()
    mistakes = output.err.splitlines()
    assert len(mistakes) == 4 and "'-1'" in mistakes[0] and "'1000000000'" in mistakes[1]
    assert "scene-9.png" in mistakes[2] and "x.png" in mistakes[3]
    assert output.out.count("new conversation begins") == 2
    _, processor = load("tiny")
    first = processor(ask_about(draw_scene(scene_to_show(4)), english.ask_count()))
    inputs = conversations[0]._inputs
    assert torch.equal(inputs["pixel_values"], first["pixel_values"])
    assert torch.equal(inputs["input_ids"][:, : first["input_ids"].shape[1]], first["input_ids"])
    text = processor.decode(inputs["input_ids"][0])
    assert text.count("<|image_start|>") == 1 and text.count("user<|header_end|>") == 2


def test_pictures_wait_for_a_message_that_is_answered(loaded, picture, capsys, monkeypatch):
    model, processor = loaded
    conversation = talk.Conversation(model, processor, None, {"max_new_tokens": 1})
    lines = iter(["word " * 5000, "short", "/quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    talk._chat(conversation, [picture], "help")
    assert "exceed the context" in capsys.readouterr().err
    assert conversation._inputs["pixel_values"].shape[0] == 3


def test_a_scene_without_a_number_is_any_of_them(folder, monkeypatch):
    monkeypatch.setattr(talk.random, "randrange", lambda limit: limit - 1)
    assert chat(monkeypatch, "/scene") == 0
    assert [path.name for path in folder.iterdir()] == [f"scene-{talk.ANY_SCENE - 1}.png"]


def test_a_scene_is_shown_where_the_terminal_can(folder, capsys, monkeypatch):
    monkeypatch.setattr("llama4_explained.show.terminal.shows_colors", lambda stream, environment: True)
    assert chat(monkeypatch, "/scene 5") == 0
    printed = capsys.readouterr().out
    assert printed.count("▀") > 100 and printed.index("▀") < printed.index("Scene 5, saved as scene-5.png")


def test_help_tells_what_the_packaged_model_knows(checkpoint, capsys, monkeypatch):
    assert chat(monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "13 languages" in printed and "/scene" in printed and BY_CODE["en"].ask_caption() in printed
    assert chat(monkeypatch, checkpoint=checkpoint) == 0
    assert "languages" not in capsys.readouterr().out


def test_scenes_are_only_for_models_with_tiles_of_their_size(folder):
    processor = Processor(llama4_tokenizer())
    with pytest.raises(UserError, match="112 pixels, this model's have 336: use /image"):
        talk._show_scene(processor, "7")
    assert "/scene" not in talk._help(processor, "some/folder") and not list(folder.iterdir())


def test_an_image_of_the_command_line_is_read_at_once(capsys):
    assert cli.main(["chat", "tiny", "--image", "no-such-file.png"]) == 2
    output = capsys.readouterr()
    assert "no-such-file.png" in output.err and not output.out
