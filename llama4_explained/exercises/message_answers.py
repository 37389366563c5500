"""Ways to encode one message: the right one, by Hugging Face's processor and by ours, and wrong ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from PIL import Image
from transformers import Llama4Processor

from .. import special_tokens as special
from ..check.hf_checkpoint import hf_inputs, hf_processor
from ..processor import Processor

Content = Mapping[str, Any]  # as users write it, but a picture is its rows and columns of tiles


@cache
def our_processor() -> Processor:
    """The tiny model's."""
    return Processor.from_pretrained("tiny")


@cache
def hf_own_processor() -> Llama4Processor:
    """HF's processor with the chat template that is HF's own."""
    theirs = hf_processor("tiny")
    return Llama4Processor(theirs.image_processor, theirs.tokenizer)


def _has_typed(message: Content) -> bool:
    return "<|" in str(message["content"])


def _has_neighbours(message: Content) -> bool:
    kinds = [part if isinstance(part, str) else part["type"] for part in _parts(message)]
    return ("text", "text") in pairwise(kinds)


def right_message(message: Content) -> list[int]:
    """By HF's processor; by ours, which is Meta's, where HF's obeys a typed control token, or joins two texts."""
    if _has_typed(message) or _has_neighbours(message):
        return our_message(message)
    size = our_processor().image_settings.tile_size
    content = message["content"]
    if not isinstance(content, str):
        content = [
            part if part["type"] == "text"
            else {"type": "image", "image": Image.new("RGB", (part["columns"] * size, part["rows"] * size))}
            for part in content
        ]  # fmt: skip
    ids = hf_inputs(hf_own_processor(), [{"role": message["role"], "content": content}])["input_ids"][0].tolist()
    return ids[1 : -len(our_processor().chat_format().header("assistant"))]


def _parts(message: Content) -> list[Any]:
    content = message["content"]
    return [content] if isinstance(content, str) else list(content)


def our_message(message: Content) -> list[int]:
    """Header, parts in order, end."""
    chat = our_processor().chat_format()
    ids = chat.header(message["role"])
    for part in _parts(message):
        if isinstance(part, str) or part["type"] == "text":
            ids += chat.tokenizer.encode(part if isinstance(part, str) else part["text"])
        else:
            ids += chat.image(part["rows"], part["columns"])
    return [*ids, chat.tokenizer.token_id(special.END_OF_TURN)]


def obeying(message: Content) -> list[int]:
    """With control tokens where a text spells them, as HF's tokenizer has it."""
    ids = our_message(message)
    if not _has_typed(message):
        return ids
    header = len(our_processor().chat_format().header(message["role"]))
    return [*ids[:header], *hf_own_processor().tokenizer.encode(message["content"], add_special_tokens=False), ids[-1]]


def joining(message: Content) -> list[int]:
    """With texts that stand side by side encoded as one, as HF's processor has them."""
    joined: list[Any] = []
    for part in _parts(message):
        text = part if isinstance(part, str) else part.get("text")
        if text is not None and joined and isinstance(joined[-1], str):
            joined[-1] += text
        else:
            joined.append(part if text is None else text)
    return our_message({**message, "content": joined})


def one_line_end(message: Content) -> list[int]:
    """With a header that is one line end too short."""
    chat, ids = our_processor().chat_format(), our_message(message)
    header = len(chat.header(message["role"]))
    return [*ids[: header - 1], *chat.tokenizer.encode("\n"), *ids[header:]]


def without_whole(message: Content) -> list[int]:
    """Without the tile that shows a picture of several tiles whole."""
    chat, ids = our_processor().chat_format(), our_message(message)
    names = (special.TILE_Y_SEPARATOR, special.IMAGE)
    end, whole = (chat.tokenizer.token_id(name) for name in names)
    cut = [i for i, pair in enumerate(pairwise(ids)) if pair == (end, whole)]
    for i in reversed(cut):
        del ids[i + 1 : i + 2 + chat.tokens_per_tile]
    return ids


def with_beginning(message: Content) -> list[int]:
    """With the token that opens a conversation."""
    return [our_processor().tokenizer.token_id(special.BEGIN_OF_TEXT), *our_message(message)]


def messages() -> Iterator[Sequence[Any]]:
    """The inputs, from the smallest on."""

    def image(rows: int, columns: int) -> dict[str, Any]:
        return {"type": "image", "rows": rows, "columns": columns}

    yield ({"role": "user", "content": ""},)
    yield ({"role": "assistant", "content": "Two blue stars."},)
    yield ({"role": "user", "content": "What does <|eot|> mean?"},)
    yield ({"role": "user", "content": [{"type": "text", "text": "Look: "}, image(1, 1)]},)
    yield ({"role": "user", "content": [image(1, 2), {"type": "text", "text": "चित्र में क्या है?"}]},)
    yield ({"role": "user", "content": [image(3, 2), {"type": "text", "text": " or "}, image(1, 3)]},)
    yield ({"role": "user", "content": [{"type": "text", "text": text} for text in ("Two blue st", "ars.")]},)
