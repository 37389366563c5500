"""Everything between a conversation and the model: `processor(messages)` in, `processor.parse(ids)` out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import special_tokens as special
from .atomic import written_together
from .chat import ChatFormat, parse_reply, place_tools
from .config import Llama4Config, VisionConfig, read_config, read_config_file
from .errors import UserError
from .hub import local_file
from .image_input import ImageSource
from .images import ImageSettings, TiledImage, tile_image
from .messages import ImageQueue, Message, read_conversation, read_parts
from .tokenizer import StreamDecoder, Tokenizer
from .tool_calls import check_tool_format, read_tools

Conversation = Sequence[Mapping[str, Any]]


class ModelInputs(dict[str, Tensor]):
    """What the model takes, by name: `model(**inputs)`, `model.generate(**inputs)`.

    Shapes: input_ids int64 [B, T], attention_mask int64 [B, T] (0 = padding, on the left); pixel_values bfloat16
        [tiles, 3, size, size] only if there are images, in the order of their places in input_ids.
    """

    def to(self, device: torch.device | str) -> ModelInputs:
        """The same on another device."""
        return ModelInputs({name: tensor.to(device) for name, tensor in self.items()})


class Processor:
    """Conversations, tools and images to what the model takes, and what it writes back to text and calls of tools.

    Units:  tile_size in pixels; max_tiles per image, the global tile not counted; tokens_per_tile in image tokens.
    Errors: UserError if the tokenizer is not Llama 4's or a setting cannot be.
    Source: Meta `ChatFormat`, to which ids are equal on every input; HF `Llama4Processor` wherever the two agree.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        tile_size: int = 336,
        max_tiles: int = 16,
        tokens_per_tile: int = 144,
        *,
        mean: Sequence[float] = ImageSettings.mean,
        std: Sequence[float] = ImageSettings.std,
    ) -> None:
        if tokens_per_tile < 1:
            raise UserError(f"tokens_per_tile must be at least 1, got {tokens_per_tile}")
        self.tokenizer = tokenizer
        self.image_settings = ImageSettings(tile_size, max_tiles, tuple(mean), tuple(std))
        self.tokens_per_tile = tokens_per_tile
        self.chat_format("json")  # complains now, not at the first message, of a tokenizer without control tokens

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None) -> Processor:
        """Read the tokenizer and the image settings of a checkpoint: its folder, or a hub id.

        Errors: UserError if there is no tokenizer, or if its files are damaged or contradict each other.
        """
        tokenizer = Tokenizer.from_pretrained(source, revision)
        # HF's versions keep the settings of images in either file; where both have them, the first counts there too.
        processor = _optional_config(source, "processor_config.json", revision)
        images = processor if "image_processor" in processor else None
        settings = ImageSettings.from_hf_dict(images or _optional_config(source, "preprocessor_config.json", revision))
        hf = _optional_config(source, "config.json", revision)
        config = read_config(hf) if hf else None
        if isinstance(config, Llama4Config):
            _check_agreement(source, config, settings, tokenizer)
            vision = config.vision
        else:
            known = {name: processor[name] for name in ("patch_size", "pixel_shuffle_ratio") if name in processor}
            vision = VisionConfig(image_size=settings.tile_size, **known)
        return cls(tokenizer, tokens_per_tile=vision.tokens_per_tile, **vars(settings))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write what `from_pretrained` reads, and what HF's `AutoProcessor` reads too.

        Errors: UserError if the folder cannot be written.
        """
        processor = {
            "processor_class": "Llama4Processor",
            "image_processor": self.image_settings.to_hf_dict(),
            # HF counts a tile's tokens from these two: of 336 / 14 patches a side, 2 x 2 become one token.
            "patch_size": self.image_settings.tile_size // (2 * isqrt(self.tokens_per_tile)),
            "pixel_shuffle_ratio": 0.5,
        }
        tokenizer = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "processor_class": "Llama4Processor",
            "bos_token": special.BEGIN_OF_TEXT,
            "eos_token": special.END_OF_TURN,
            "pad_token": self.tokenizer.decode([self.pad_id]),
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
            "padding_side": "left",
        }
        template = (Path(__file__).parent / "assets" / "chat_template.jinja").read_text(encoding="utf-8")
        with written_together(folder) as new:
            self.tokenizer.save_pretrained(new)
            (new / "processor_config.json").write_text(json.dumps(processor, indent=2) + "\n", encoding="utf-8")
            (new / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n", encoding="utf-8")
            (new / "chat_template.jinja").write_text(template, encoding="utf-8")

    def __call__(
        self,
        messages: Conversation | Sequence[Conversation],
        tools: Sequence[Any] | None = None,
        add_generation_prompt: bool = True,
        *,
        images: Sequence[ImageSource] | None = None,
        tool_format: str = "json",
    ) -> ModelInputs:
        """One conversation, or a list of them, ready for the model's answer.

        `messages`: see `messages.py`. `tools`: JSON schemas, or Python functions with types and docstrings.
        `images`: the pictures of parts {"type": "image"} that bring none, in order, over all conversations.
        `tool_format`: how the model is asked to write calls, and how earlier ones are written: "json", "python_list".

        Shapes: B is 1 for one conversation; shorter ones are padded on the left.
        Errors: UserError, one line that names the message and what is wrong with it.
        """
        check_tool_format(tool_format)
        schemas = read_tools(tools)
        queue = self._queue(images)
        is_batch = isinstance(messages, Sequence) and messages and isinstance(messages[0], list | tuple)
        conversations = [
            place_tools(read_conversation(one, queue), schemas, tool_format)
            for one in (messages if is_batch else [messages])
        ]
        queue.check_all_used()
        chat = self.chat_format(tool_format)
        rows = [chat.conversation(conversation, add_generation_prompt) for conversation in conversations]
        return self._inputs(rows, [image for conversation in conversations for image in _images_of(conversation)])

    def continue_turn(
        self,
        inputs: Mapping[str, Tensor],
        output_ids: Tensor,
        messages: Conversation,
        *,
        images: Sequence[ImageSource] | None = None,
        tool_format: str = "json",
    ) -> ModelInputs:
        """The next turn of a conversation, whose beginning is exactly what the model saw and wrote.

            inputs = processor(messages)
            output = model.generate(**inputs, cache=cache)
            inputs = processor.continue_turn(inputs, output, [{"role": "user", "content": "Why?"}])
            output = model.generate(**inputs, cache=cache)      # computes the new tokens only

        Encoding the whole conversation anew can give other ids, because a text can be written in more ways than one:
        then a cache would not fit. Where the answer was cut off, it is ended here.

        Shapes: output_ids int64 [1, T], what `generate` returned for `inputs`. Returns [1, more], and all pixel values.
        Errors: UserError for a batch, for output that does not begin with the input, or as `processor(messages)`.
        """
        before = inputs["input_ids"]
        if output_ids.ndim != 2 or len(output_ids) != 1 or len(before) != 1:
            raise UserError(f"continue_turn goes on with one conversation, got {list(output_ids.shape)} tokens")
        if not torch.equal(output_ids[:, : before.shape[1]], before):
            raise UserError("output_ids do not begin with the input_ids: give what generate returned for these inputs")
        check_tool_format(tool_format)
        queue = self._queue(images)
        new = read_conversation(messages, queue)
        queue.check_all_used()
        ids = output_ids[0].tolist()
        if ids[-1] not in self.stop_ids:
            ids.append(self.tokenizer.token_id(special.END_OF_TURN))
        ids += self.chat_format(tool_format).turns(new)
        result = self._inputs([ids], _images_of(new)).to(output_ids.device)
        tiles = [values["pixel_values"] for values in (inputs, result) if "pixel_values" in values]
        return ModelInputs(result | {"pixel_values": torch.cat(tiles)}) if tiles else result

    def completion_prompt(
        self, content: str | Sequence[Mapping[str, Any]], *, images: Sequence[ImageSource] | None = None
    ) -> ModelInputs:
        """A text, or parts of text and images, for the model to go on with; without the chat format, for base models.

        Errors: UserError if it is empty, or as `processor(messages)`.
        Source: Meta `ChatFormat.encode_content`.
        """
        queue = self._queue(images)
        prompt = Message("user", read_parts(content, "the prompt", queue))
        queue.check_all_used()
        ids = [token for part in prompt.parts for token in self.chat_format().part(part)]
        if not ids:
            raise UserError("the prompt is empty")
        return self._inputs([[self.tokenizer.token_id(special.BEGIN_OF_TEXT), *ids]], prompt.images)

    def decode(self, ids: Tensor | Iterable[int], skip_special: bool = False) -> str:
        """The text of token ids of one row.

        Errors: UserError for an id that is no token, or for several rows.
        """
        return self.tokenizer.decode(_one_row(ids), skip_special)

    def parse(self, reply: str | Tensor | Iterable[int]) -> dict[str, Any]:
        """What the model wrote, as a message that can be appended to the conversation.

        Takes the new tokens (not the prompt; what follows the first stop token is padding), or their text with control
        tokens. Returns {"role": "assistant", "content": text}, with "tool_calls" if the text is calls of tools.
        """
        if isinstance(reply, str):
            return parse_reply(reply)
        ids = _one_row(reply)
        end = next((index for index, token in enumerate(ids, start=1) if token in self.stop_ids), len(ids))
        return parse_reply(self.tokenizer.decode(ids[:end]))

    def stream_decoder(self) -> StreamDecoder:
        """Text from the model's tokens as they arrive, without control tokens."""
        return self.tokenizer.stream_decoder(skip_special=True)

    @property
    def stop_ids(self) -> list[int]:
        """The tokens after which the model has finished: end of text, of a message, of a turn."""
        names = (special.END_OF_TEXT, special.END_OF_MESSAGE, special.END_OF_TURN)
        return [self.tokenizer.special_ids[name] for name in names if name in self.tokenizer.special_ids]

    @property
    def pad_id(self) -> int:
        """What fills the shorter rows of a batch; the attention mask hides it."""
        return self.tokenizer.special_ids.get(special.PADDING, self.stop_ids[0])

    def chat_format(self, tool_format: str = "json") -> ChatFormat:
        """What turns messages into token ids."""
        return ChatFormat(self.tokenizer, self.tokens_per_tile, tool_format)

    def _queue(self, images: Sequence[ImageSource] | None) -> ImageQueue:
        return ImageQueue(images, lambda image: tile_image(image, **vars(self.image_settings)))

    def _inputs(self, rows: Sequence[Sequence[int]], images: Sequence[TiledImage]) -> ModelInputs:
        longest = max(map(len, rows))
        padding = [longest - len(row) for row in rows]
        inputs = ModelInputs(
            input_ids=torch.tensor([[self.pad_id] * pad + list(row) for pad, row in zip(padding, rows, strict=True)]),
            attention_mask=torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding]),
        )
        if images:
            inputs["pixel_values"] = torch.cat([image.pixel_values for image in images])  # [tiles, 3, size, size]
        return inputs


def _images_of(messages: Iterable[Message]) -> list[TiledImage]:
    return [image for message in messages for image in message.images]


def _one_row(ids: Tensor | Iterable[int]) -> list[int]:
    """Token ids as a list; a batch of one row counts as that row."""
    if isinstance(ids, Tensor):
        if ids.ndim == 0 or ids.numel() != ids.shape[-1]:
            raise UserError(f"token ids of one row are expected, got {list(ids.shape)}")
        return ids.flatten().tolist()
    return [int(token) for token in ids]


def _check_agreement(source: str | Path, config: Llama4Config, images: ImageSettings, tokenizer: Tokenizer) -> None:
    """Errors: UserError if a checkpoint's files are not of one and the same model."""
    for what, here, there, where in (
        ("tiles of {} pixels", config.vision.image_size, images.tile_size, "the image processor's settings"),
        ("patch token {}", config.patch_id, tokenizer.special_ids.get(special.PATCH), "the tokenizer"),
    ):
        if here != there:
            raise UserError(f"{source}: {what.format(here)} in config.json, {there} in {where}: are they of one model?")


def _optional_config(source: str | Path, name: str, revision: str | None) -> dict[str, Any]:
    """A file of settings; empty if there is none.

    Errors: UserError if it is damaged, or is the model's config and cannot be fetched.
    """
    try:
        path = local_file(source, name, revision)
    except UserError:
        # A folder may hold a processor alone. On the hub every model has a config: without it, guessing would be wrong.
        if name == "config.json" and not Path(source).expanduser().is_dir():
            raise
        return {}
    return read_config_file(path)
