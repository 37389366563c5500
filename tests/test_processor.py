"""The processor: batches, turns, stops, saving, and that HF reads what it saves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoProcessor, Llama4Processor

from chat_oracle import (
    TILE_SIZE,
    TOKENS_PER_TILE,
    call,
    hf_ids,
    hf_inputs,
    hf_processor,
    ours_from_model,
    picture,
    small_json_file,
)
from llama4_explained import TINY, KVCache, Llama4
from llama4_explained.errors import UserError
from llama4_explained.processor import ModelInputs, Processor
from llama4_explained.tokenizer import Tokenizer

processor = Processor(ours_from_model(), TILE_SIZE, tokens_per_tile=TOKENS_PER_TILE)


def user(*parts: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"role": "user", "content": content}


def image(index: int) -> dict[str, Any]:
    return {"type": "image", "image": picture(index)}


CONVERSATIONS = [
    [user("Hi.")],
    [user(image(1), "What is this? "), {"role": "assistant", "content": "A box."}, user(image(6), "And this?")],
    [{"role": "system", "content": "Be brief."}, user("Tell me of ", image(0), "!")],
]


def test_inputs_go_into_a_model_by_name():
    inputs = processor(CONVERSATIONS[0])
    assert list(inputs) == ["input_ids", "attention_mask"] and dict(**inputs) == inputs
    assert inputs["input_ids"].dtype == inputs["attention_mask"].dtype == torch.int64
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape and inputs["attention_mask"].all()
    with_image = processor(CONVERSATIONS[1])
    assert with_image["pixel_values"].dtype == torch.bfloat16
    assert with_image["pixel_values"].shape == (3 + 5, 3, TILE_SIZE, TILE_SIZE)
    moved = with_image.to("meta")
    assert isinstance(moved, ModelInputs) and {tensor.device.type for tensor in moved.values()} == {"meta"}
    assert with_image["input_ids"].device.type == "cpu"


def test_a_batch_is_padded_on_the_left_as_hf_pads_it():
    batch = processor(CONVERSATIONS)
    theirs = hf_processor().apply_chat_template(
        CONVERSATIONS, tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="pt",
        processor_kwargs={"padding": True},
    )  # fmt: skip
    assert torch.equal(batch["input_ids"], theirs["input_ids"])
    assert torch.equal(batch["attention_mask"], theirs["attention_mask"])
    assert torch.equal(batch["pixel_values"], theirs["pixel_values"])
    for row, mask, conversation in zip(batch["input_ids"], batch["attention_mask"], CONVERSATIONS, strict=True):
        alone = processor(conversation)["input_ids"][0]
        assert torch.equal(row[mask.bool()], alone) and (row[: -len(alone)] == 200018).all()


def test_images_beside_a_batch_go_to_its_parts_in_order():
    bare = [[user({"type": "image"}, "One?")], [user("Two?", image(6), {"type": "image"})]]
    beside = processor(bare, images=[picture(1), picture(2)])
    within = processor([[user(image(1), "One?")], [user("Two?", image(6), image(2))]])
    assert beside.keys() == within.keys() and all(torch.equal(beside[name], within[name]) for name in within)
    with pytest.raises(UserError, match="3 images were given beside the messages, which have image parts for 2"):
        processor(bare, images=[picture(0)] * 3)


def test_stop_tokens_are_metas_and_padding_is_llama4s():
    assert processor.stop_ids == [200001, 200007, 200008]
    assert processor.pad_id == 200018


def answer(inputs: ModelInputs, reply: str, end: str | None = "<|eot|>") -> Tensor:
    """What `generate` returns when the model writes `reply`."""
    ids = processor.tokenizer.encode(reply) + ([processor.tokenizer.token_id(end)] if end else [])
    return torch.cat([inputs["input_ids"], torch.tensor([ids])], dim=1)


NEXT = [user("And ", image(6), "?")]


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("end", ["<|eot|>", None])
def test_a_turn_continues_to_what_the_whole_conversation_gives(conversation: list[dict[str, Any]], end: str | None):
    inputs = processor(conversation)
    going_on = processor.continue_turn(inputs, answer(inputs, "A cat.", end), NEXT)
    whole = processor([*conversation, {"role": "assistant", "content": "A cat."}, *NEXT])
    assert going_on.keys() == whole.keys() and all(torch.equal(going_on[name], whole[name]) for name in whole)


def test_a_model_goes_on_with_its_cache_over_turns_and_images(tmp_path: Path):
    ours = small_processor(tmp_path)
    text = replace(TINY.text, num_layers=4, bos_id=None, pad_id=ours.pad_id, eos_ids=tuple(ours.stop_ids))
    config = replace(TINY, text=text, patch_id=ours.tokenizer.token_id("<|patch|>"))
    torch.manual_seed(0)
    model = Llama4(config).eval()
    cache = KVCache(model.text_config)
    inputs = ours([user(image(1), "What is this?")])
    for turn in ([user("Why?")], [user("And ", image(2), "?")], [{"role": "tool", "content": "7"}]):
        output = model.generate(**inputs, cache=cache, max_new_tokens=6)
        inputs = ours.continue_turn(inputs, output, turn)
        assert torch.equal(inputs["input_ids"][:, : output.shape[1]], output)
    with_cache = model.generate(**inputs, cache=cache, max_new_tokens=6)
    assert torch.equal(with_cache, model.generate(**inputs, max_new_tokens=6))
    assert with_cache.shape[1] > inputs["input_ids"].shape[1] > 120


def test_results_of_tools_continue_a_turn():
    inputs = processor([user("Add.")])
    written = '{"type": "function", "name": "add", "parameters": {"a": 1}}'
    output = answer(inputs, written, "<|eom|>")
    reply = processor.parse(output[0, inputs["input_ids"].shape[1] :])
    assert reply["tool_calls"] == [call("add", a=1)]
    result = [{"role": "tool", "content": "2"}]
    whole = processor([user("Add."), reply, *result])
    assert torch.equal(processor.continue_turn(inputs, output, result)["input_ids"], whole["input_ids"])


def test_a_continued_turn_keeps_the_models_own_tokens():
    inputs = processor([user("Hi.")])
    letters = [token for letter in "understanding" for token in processor.tokenizer.encode(letter)]
    output = torch.cat([inputs["input_ids"], torch.tensor([[*letters, 200008]])], dim=1)
    going_on = processor.continue_turn(inputs, output, [user("Why?")])
    assert torch.equal(going_on["input_ids"][:, : output.shape[1]], output)
    whole = processor([user("Hi."), processor.parse(letters), user("Why?")])
    assert whole["input_ids"].shape[1] < going_on["input_ids"].shape[1]


def test_only_one_conversation_continues():
    batch = processor(CONVERSATIONS)
    with pytest.raises(UserError, match="continue_turn goes on with one conversation, got"):
        processor.continue_turn(batch, batch["input_ids"], NEXT)


def test_output_must_go_on_from_the_input():
    inputs = processor([user("Hi.")])
    with pytest.raises(UserError, match="output_ids do not begin with the input_ids"):
        processor.continue_turn(inputs, answer(inputs, "Hello.")[:, 1:], NEXT)
    with pytest.raises(UserError, match="there are no messages"):
        processor.continue_turn(inputs, answer(inputs, "Hello."), [])


def test_replies_end_at_the_first_stop_token():
    hello = processor.tokenizer.encode("Hello.")
    expected = {"role": "assistant", "content": "Hello."}
    assert processor.parse(hello) == expected
    assert processor.parse([*hello, 200008, 200018, 200018]) == expected
    assert processor.parse(torch.tensor([[*hello, 200001, *hello]])) == expected
    assert processor.parse([*hello, 200007, 5]) == {**expected, "stop_reason": "end_of_message"}
    assert processor.parse("Hello.<|eot|>") == expected


def test_control_tokens_that_a_model_spells_do_not_end_its_reply():
    spelled = processor.tokenizer.encode("Turns end with <|eot|> tokens.")
    assert processor.parse([*spelled, 200008])["content"] == "Turns end with <|eot|> tokens."


def test_decoding_takes_lists_and_tensors():
    ids = [200005, *processor.tokenizer.encode("user 한"), 200006]
    for given in (ids, tuple(ids), torch.tensor(ids), torch.tensor([ids])):
        assert processor.decode(given) == "<|header_start|>user 한<|header_end|>"
        assert processor.decode(given, skip_special=True) == "user 한"
    with pytest.raises(UserError, match=r"token ids of one row are expected, got \[2, "):
        processor.decode(torch.tensor([ids, ids]))
    with pytest.raises(UserError, match="token id 300000 is not in this vocabulary"):
        processor.decode([300000])


def test_streamed_text_has_no_control_tokens():
    decoder = processor.stream_decoder()
    assert "".join(map(decoder.push, [*processor.tokenizer.encode("한 😀"), 200008])) + decoder.flush() == "한 😀"


@pytest.mark.parametrize("content", ["", [], [{"type": "text", "text": ""}]])
def test_an_empty_prompt_is_refused(content: Any):
    with pytest.raises(UserError, match="the prompt is empty"):
        processor.completion_prompt(content)


@pytest.mark.parametrize("messages", [[], [[]], [[user("Hi.")], []]])
def test_empty_conversations_are_refused(messages: Any):
    with pytest.raises(UserError, match="there are no messages"):
        processor(messages)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"tokens_per_tile": 0}, "tokens_per_tile must be at least 1"), ({"max_tiles": 0}, "max_tiles"),
     ({"tile_size": -1}, "tile_size")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings: dict[str, int], reason: str):
    with pytest.raises(UserError, match=reason):
        Processor(ours_from_model(), **settings)


def small_processor(folder: Path, tile_size: int = 112, tokens_per_tile: int = 16) -> Processor:
    return Processor(Tokenizer.from_pretrained(small_json_file(folder)), tile_size, 9, tokens_per_tile)


def test_a_tokenizer_without_control_tokens_is_refused(tmp_path: Path):
    small_json_file(tmp_path, names=("<|begin_of_text|>", "<|eot|>"))
    with pytest.raises(UserError, match=r"not Llama 4's: it has no control token <\|header_start\|>, <\|header_end"):
        Processor.from_pretrained(tmp_path)


def test_a_tokenizer_without_image_tokens_talks_but_takes_no_images(tmp_path: Path):
    names = ("<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>", "<|eom|>")
    small_json_file(tmp_path, names=names)
    only_text = Processor.from_pretrained(tmp_path)
    assert only_text([user("Hi.")])["input_ids"].numel() > 10
    assert only_text.pad_id in only_text.stop_ids  # where there is no padding token, a stop token pads
    with pytest.raises(UserError, match=r"no control token <\|image_start\|>"):
        only_text([user(image(0))])


def test_a_saved_processor_is_read_back(tmp_path: Path):
    ours = small_processor(tmp_path)
    ours.save_pretrained(tmp_path / "new" / "folder")
    again = Processor.from_pretrained(tmp_path / "new" / "folder")
    assert again.image_settings == ours.image_settings and again.tokens_per_tile == 16
    for conversation in CONVERSATIONS:
        assert torch.equal(again(conversation)["input_ids"], ours(conversation)["input_ids"])


@pytest.mark.parametrize("read", [AutoProcessor.from_pretrained, Llama4Processor.from_pretrained])
def test_hf_reads_a_saved_processor(tmp_path: Path, read):
    ours = small_processor(tmp_path)
    ours.save_pretrained(tmp_path / "saved")
    theirs = read(tmp_path / "saved")
    assert isinstance(theirs, Llama4Processor)
    assert theirs.tokenizer.pad_token_id == ours.pad_id
    assert theirs.tokenizer.eos_token == "<|eot|>" and theirs.tokenizer.padding_side == "left"
    for conversation in CONVERSATIONS:
        inputs, hf = ours(conversation), hf_inputs(conversation, processor=theirs)
        assert inputs.keys() == dict(hf).keys()
        assert all(torch.equal(inputs[name], hf[name]) for name in inputs)


ADD = {"type": "function", "function": {"name": "add", "description": "Größer", "parameters": {"type": "object"}}}
MORE_THAN_HFS_TEMPLATE = [
    [{"role": "system", "content": " Be brief. "}, user("Hi."), {"role": "assistant", "content": "", "tool_calls": []}],
    [{**user("Be brief.\n", "Be kind."), "role": "system"}, user("Hi.")],
    [user("1 + 1?"), {"role": "assistant", "content": "", "tool_calls": [call("add", a=1, b="é"), call("now")]},
     {"role": "tool", "content": '{"sum": 2}'}, {"role": "assistant", "content": "2."}, user("Oh.")],
    [user("Hi."), {"role": "assistant", "content": "Wait.", "stop_reason": "end_of_message"}],
]  # fmt: skip


@pytest.mark.parametrize("tools", [None, [ADD]])
def test_the_saved_template_follows_meta_as_far_as_text_can(tmp_path: Path, tools: Any):
    ours = small_processor(tmp_path)
    ours.save_pretrained(tmp_path / "saved")
    theirs = AutoProcessor.from_pretrained(tmp_path / "saved")
    for conversation in [*CONVERSATIONS, *MORE_THAN_HFS_TEMPLATE]:
        expected = ours(conversation, tools=tools)["input_ids"][0].tolist()
        assert hf_ids(conversation, tools, processor=theirs) == expected


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def test_settings_come_from_either_of_hfs_files(tmp_path: Path):
    small_json_file(tmp_path)
    assert vars(Processor.from_pretrained(tmp_path).image_settings)["tile_size"] == 336
    assert Processor.from_pretrained(tmp_path).tokens_per_tile == 144
    older = {"size": {"height": 112, "width": 112}, "max_patches": 4}
    write_json(tmp_path / "preprocessor_config.json", older)
    read = Processor.from_pretrained(tmp_path)
    assert (read.image_settings.tile_size, read.image_settings.max_tiles, read.tokens_per_tile) == (112, 4, 16)
    write_json(tmp_path / "processor_config.json", {"patch_size": 28, "pixel_shuffle_ratio": 0.5})
    read = Processor.from_pretrained(tmp_path)
    assert (read.image_settings.tile_size, read.image_settings.max_tiles, read.tokens_per_tile) == (112, 4, 4)
    newer = {"size": {"height": 56, "width": 56}, "max_patches": 2}
    write_json(tmp_path / "processor_config.json", {"patch_size": 14, "image_processor": newer})
    read = Processor.from_pretrained(str(tmp_path))
    assert (read.image_settings.tile_size, read.image_settings.max_tiles, read.tokens_per_tile) == (56, 2, 4)


def checkpoint_folder(folder: Path, patch_id: int | None = None) -> Processor:
    """A folder with the config of a model that fits the processor, or has another patch token."""
    ours = small_processor(folder, TINY.vision.image_size, TINY.vision.tokens_per_tile)
    ours.save_pretrained(folder)
    config = TINY.to_hf_dict()
    config["image_token_index"] = ours.tokenizer.token_id("<|patch|>") if patch_id is None else patch_id
    write_json(folder / "config.json", config)
    return ours


def test_the_models_config_counts_the_tokens_of_a_tile(tmp_path: Path):
    checkpoint_folder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["vision_config"] |= {"patch_size": 28}
    write_json(tmp_path / "config.json", config)
    assert Processor.from_pretrained(tmp_path).tokens_per_tile == 4


def test_files_of_different_models_are_refused(tmp_path: Path):
    checkpoint_folder(tmp_path)
    assert Processor.from_pretrained(tmp_path).tokens_per_tile == 16
    checkpoint_folder(tmp_path, patch_id=7)
    with pytest.raises(UserError, match=r"patch token 7 in config.json, \d+ in the tokenizer: are they of one model"):
        Processor.from_pretrained(tmp_path)
    checkpoint_folder(tmp_path)
    write_json(tmp_path / "processor_config.json", {"image_processor": {"size": {"height": 56, "width": 56}}})
    with pytest.raises(UserError, match=r"tiles of 112 pixels in config\.json, 56 in the image processor"):
        Processor.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "processor_config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", ["{", "[1]", ""])
def test_damaged_settings_are_refused(tmp_path: Path, name: str, content: str):
    small_json_file(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=name):
        Processor.from_pretrained(tmp_path)


def test_on_the_hub_the_models_config_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def hub_file(source: str, name: str, revision: str | None = None) -> Path:
        assert (source, revision) == ("org/name", "v2")
        if not (tmp_path / name).is_file():
            raise UserError(f"{source}: {name} cannot be had")
        return tmp_path / name

    monkeypatch.setattr("llama4_explained.tokenizer.local_file", hub_file)
    monkeypatch.setattr("llama4_explained.processor.local_file", hub_file)
    checkpoint_folder(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    assert Processor.from_pretrained("org/name", revision="v2").tokens_per_tile == 16
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"config.json cannot be had"):
        Processor.from_pretrained("org/name", revision="v2")
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.model").unlink()
    with pytest.raises(UserError, match=r"tokenizer.json cannot be had"):
        Processor.from_pretrained("org/name", revision="v2")


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="has no tokenizer"):
        Processor.from_pretrained(tmp_path)


def test_saving_where_nothing_can_be_written_is_refused(tmp_path: Path):
    ours = small_processor(tmp_path)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(UserError, match="could not be written"):
        ours.save_pretrained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_full_disk_leaves_the_old_files_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small_processor(tmp_path).save_pretrained(tmp_path / "saved")
    before = {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    write_text = Path.write_text

    def full(path: Path, *arguments: Any, **settings: Any) -> int:
        if path.name == "tokenizer_config.json":
            raise OSError(28, "No space left on device")
        return write_text(path, *arguments, **settings)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="No space left on device"):
        small_processor(tmp_path, tile_size=56, tokens_per_tile=4).save_pretrained(tmp_path / "saved")
    assert {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()} == before
