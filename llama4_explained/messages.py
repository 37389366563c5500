"""A conversation as a user writes it, read into a form that the chat format can encode.

    [{"role": "system", "content": "Be brief."},
     {"role": "user", "content": [{"type": "image", "image": "dog.jpg"}, {"type": "text", "text": "What is this?"}]},
     {"role": "assistant", "content": "", "tool_calls": [{"name": "look_up", "arguments": {"what": "dog"}}]},
     {"role": "tool", "content": "a mammal"}]

This is the form of HF's chat templates. All that can be wrong with it is found here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import UserError
from .image_input import ImageSource
from .images import TiledImage
from .tool_calls import ToolCall

# What a message may say of its role -> what its header says. Tools answer in the role of an interpreter.
ROLES = {"system": "system", "user": "user", "assistant": "assistant", "tool": "ipython", "ipython": "ipython"}
STOP_REASONS = ("end_of_turn", "end_of_message", "out_of_tokens")
_IMAGE_KEYS = ("image", "path", "url")

Part = str | TiledImage


@dataclass(frozen=True)
class Message:
    """One message: who speaks (as its header says), texts and images in order, and the calls of tools that follow."""

    role: str
    parts: tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    stop_reason: str = "end_of_turn"

    @property
    def ends_turn(self) -> bool:
        """Whether it is the other side's turn next. After a call of a tool, and after its result, it is not."""
        return not (self.role == "ipython" or self.tool_calls or self.stop_reason == "end_of_message")

    @property
    def images(self) -> list[TiledImage]:
        """The images among the parts."""
        return [part for part in self.parts if isinstance(part, TiledImage)]


class ImageQueue:
    """Images given beside the messages, for parts {"type": "image"} that bring none; and how all become tiles."""

    def __init__(self, images: Sequence[ImageSource] | None, tile: Callable[[ImageSource], TiledImage]) -> None:
        if images is not None and (isinstance(images, str | bytes) or not isinstance(images, Sequence)):
            raise UserError(f"images must be a list, one for each image part without a picture; got {_kind(images)}")
        self._images = images or []
        self._used = 0
        self._tile = tile

    def take(self, part: Mapping[str, Any], where: str) -> TiledImage:
        """The image of one part: its own, or the next in the queue.

        Errors: UserError if there is none left, or it cannot be read; a web address, say.
        """
        found = [key for key in _IMAGE_KEYS if part.get(key) is not None]
        if len(found) > 1:
            raise UserError(f"{where}: an image part has one of {', '.join(_IMAGE_KEYS)}, not {' and '.join(found)}")
        self._used += not found
        if not found and self._used > len(self._images):
            raise UserError(
                f"{where}: image part {self._used} without a picture, but {len(self._images)} images were given beside "
                'the messages; write {"type": "image", "image": ...}'
            )
        source = part[found[0]] if found else self._images[self._used - 1]
        return self._tile(source)

    def check_all_used(self) -> None:
        """Errors: UserError if images are left over."""
        if self._used != len(self._images):
            raise UserError(
                f"{len(self._images)} images were given beside the messages, which have image parts for {self._used}"
            )


def read_conversation(messages: Any, images: ImageQueue) -> list[Message]:
    """Every message of a conversation, checked.

    Errors: UserError that names the message and what is wrong with it.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise UserError(
            f'messages must be a list such as [{{"role": "user", "content": "..."}}], got {_kind(messages)}'
        )
    if not messages:
        raise UserError("there are no messages")
    return [_read_message(message, f"message {number}", images) for number, message in enumerate(messages, start=1)]


def read_parts(content: Any, where: str, images: ImageQueue) -> tuple[Part, ...]:
    """The texts and images of a content: a text, or a list of parts.

    Errors: UserError if it is neither.
    """
    if isinstance(content, str):
        return (content,)
    if not isinstance(content, Sequence):
        raise UserError(f"{where}: content must be a text or a list of parts, got {_kind(content)}")
    return tuple(_read_part(part, where, images) for part in content)


def _read_message(message: Any, where: str, images: ImageQueue) -> Message:
    if not isinstance(message, Mapping) or "role" not in message:
        raise UserError(f'{where} must be a dictionary with "role" and "content", got {_kind(message)}')
    role = message["role"]
    if not isinstance(role, str) or role not in ROLES:
        raise UserError(f"{where}: unknown role {role!r}; known are {', '.join(ROLES)}")
    where = f"{where} ({role})"
    calls = message.get("tool_calls") or ()
    if calls and role != "assistant":
        raise UserError(f"{where}: only the assistant calls tools")
    if isinstance(calls, str | Mapping) or not isinstance(calls, Sequence):
        raise UserError(f"{where}: tool_calls must be a list, got {_kind(calls)}")
    stop_reason = message.get("stop_reason") or "end_of_turn"
    if stop_reason not in STOP_REASONS:
        raise UserError(f"{where}: stop_reason must be one of {', '.join(STOP_REASONS)}; got {stop_reason!r}")
    content = message.get("content")
    if content is None and calls:
        content = ""
    parts = read_parts(content, where, images)
    # Only the assistant can leave its turn open: Meta ignores the others' stop reason.
    return Message(
        role=ROLES[role],
        parts=parts,
        tool_calls=tuple(map(ToolCall.from_dict, calls)),
        stop_reason=stop_reason if role == "assistant" else "end_of_turn",
    )


def _read_part(part: Any, where: str, images: ImageQueue) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "image":
        return images.take(part, where)
    if kind != "text":
        given = f"type {kind!r}" if isinstance(part, Mapping) else _kind(part)
        raise UserError(
            f'{where}: a part is {{"type": "text", "text": ...}} or {{"type": "image", "image": ...}}, got {given}'
        )
    if not isinstance(part.get("text"), str):
        raise UserError(f"{where}: the text of a text part must be a string, got {_kind(part.get('text'))}")
    return part["text"]


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
