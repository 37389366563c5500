"""The chat format: messages -> token ids.

    <|begin_of_text|>
    <|header_start|>user<|header_end|>\\n\\n        who speaks
    <|image_start|>...<|image_end|>What is this?    texts and images in order
    <|eot|>                                         done; <|eom|> where a tool or the model goes on
    <|header_start|>assistant<|header_end|>\\n\\n   the model writes from here

Control tokens come from here alone. Each text is encoded by itself, so that nothing that somebody typed can join with
the frame around it, or imitate it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from . import special_tokens as special
from .errors import UserError
from .messages import Message, Part
from .tokenizer import Tokenizer
from .tool_calls import CODE_INTERPRETER, ENVIRONMENT, ToolCall, describe_tools, parse_tool_calls


class ChatFormat:
    """Encodes messages with one tokenizer.

    Units:  tokens_per_tile in image tokens (Scout: 144).
    Errors: UserError if the tokenizer has no Llama 4 control tokens.
    Source: Meta `ChatFormat`; equal to it on every input.
    Differs: HF's processor renders the whole conversation as one text, then reads control tokens out of it. So it joins
        leading line ends of a text with the header's and neighbouring texts with each other, and obeys control tokens
        that a user typed. Its template trims system messages and keeps only their first part, quotes tool results as
        JSON, and ends them and tool calls with <|eot|>.
    """

    def __init__(self, tokenizer: Tokenizer, tokens_per_tile: int = 144, tool_format: str = "json") -> None:
        needed = (special.BEGIN_OF_TEXT, special.HEADER_START, special.HEADER_END)
        missing = [
            name for name in (*needed, special.END_OF_TURN, special.END_OF_MESSAGE) if name not in tokenizer.special_ids
        ]
        if missing:
            raise UserError(f"this tokenizer is not Llama 4's: it has no control token {', '.join(missing)}")
        self.tokenizer = tokenizer
        self.tokens_per_tile = tokens_per_tile
        self.tool_format = tool_format

    def conversation(self, messages: Iterable[Message], add_generation_prompt: bool = True) -> list[int]:
        """A conversation from its beginning, ready for the model's answer."""
        return [self.tokenizer.token_id(special.BEGIN_OF_TEXT), *self.turns(messages, add_generation_prompt)]

    def turns(self, messages: Iterable[Message], add_generation_prompt: bool = True) -> list[int]:
        """Messages that go on from others: the end of what `conversation` gives for all of them."""
        ids = [token for message in messages for token in self.message(message)]
        return ids + self.header("assistant") if add_generation_prompt else ids

    def message(self, message: Message) -> list[int]:
        """One message: header, texts and images in order, calls of tools, end."""
        ids = self.header(message.role)
        for part in message.parts:
            ids += self.part(part)
        for call in message.tool_calls:
            ids += self.tokenizer.encode(call.write(self.tool_format))
        end = special.END_OF_TURN if message.ends_turn else special.END_OF_MESSAGE
        return [*ids, self.tokenizer.token_id(end)]

    def header(self, role: str) -> list[int]:
        """Who speaks."""
        start, end = self.tokenizer.token_id(special.HEADER_START), self.tokenizer.token_id(special.HEADER_END)
        return [start, *self.tokenizer.encode(role), end, *self.tokenizer.encode("\n\n")]

    def part(self, part: Part) -> list[int]:
        """One text, or one image."""
        return self.tokenizer.encode(part) if isinstance(part, str) else self.image(part.rows, part.columns)

    def image(self, rows: int, columns: int) -> list[int]:
        """The places that the image tokens of a canvas of rows x columns tiles take, and what separates them."""
        return [self.tokenizer.token_id(name) for name in image_tokens(rows, columns, self.tokens_per_tile)]


def image_tokens(rows: int, columns: int, tokens_per_tile: int = 144) -> list[str]:
    """An image's tokens by name: its tiles row by row, then the one tile that shows it whole.

    An image of one tile has only the latter. For 1 x 2 tiles, with each tile's patch tokens drawn as one:

        <|image_start|> patch <|tile_x_separator|> patch <|tile_y_separator|> <|image|> patch <|image_end|>

    Units:  rows and columns in tiles, tokens_per_tile in tokens.
    Source: Meta `ChatFormat._encode_image`, HF `Llama4Processor`.
    """
    tile = [special.PATCH] * tokens_per_tile
    canvas: list[str] = []
    if rows * columns > 1:
        row = [*tile, *[special.TILE_X_SEPARATOR, *tile] * (columns - 1), special.TILE_Y_SEPARATOR]
        canvas = row * rows
    return [special.IMAGE_START, *canvas, special.IMAGE, *tile, special.IMAGE_END]


def place_tools(
    messages: Sequence[Message], tools: Sequence[dict[str, Any]], tool_format: str = "json"
) -> list[Message]:
    """A conversation whose messages tell the model about its tools.

    "json": before the first user message, with a word in the system message if there is one. "python_list": before the
    system message, which is added if there is none.

    Errors: UserError if there is no user message to put them in ("json").
    Source: "json": HF's chat template. "python_list": Meta's prompt documentation.
    Differs: HF trims the user message; and where that is a list of parts, it writes the list as Python prints it.
    """
    messages = list(messages)
    if not tools:
        return messages
    has_system = messages[0].role == "system"
    if tool_format == "python_list":
        system = messages[0] if has_system else Message("system", ())
        return [_opened_by(describe_tools(tools, tool_format), system), *messages[has_system:]]
    first = next((i for i, message in enumerate(messages) if message.role == "user"), None)
    if first is None:
        raise UserError("tools are described in the first user message, and there is none")
    messages[first] = _opened_by(describe_tools(tools, tool_format), messages[first])
    if has_system:
        messages[0] = _opened_by(ENVIRONMENT, messages[0])
    return messages


def parse_reply(text: str) -> dict[str, Any]:
    """What the model wrote, control tokens included, as a message of a conversation.

    The content is empty if the text is calls of tools. Code between <|python_start|> and <|python_end|> is a call of
    the code interpreter. A call that cannot be read stays text.

    Source: Meta `ChatFormat.decode_assistant_message_from_content`.
    Differs: in reading calls, see `parse_tool_calls`; and calls after <|python_end|>, as HF's template writes them,
        leave what stands before it as the content.
    """
    text = text.strip(" ").removeprefix(f"{special.HEADER_START}assistant{special.HEADER_END}\n\n")
    is_code = text.startswith(special.PYTHON_START)
    goes_on = text.endswith(special.END_OF_MESSAGE)
    for end in (special.END_OF_TURN, special.END_OF_MESSAGE, special.END_OF_TEXT):
        if text.endswith(end):
            text = text.removesuffix(end)
            break
    before, _, after = text.removeprefix(special.PYTHON_START).partition(special.PYTHON_END)
    if is_code and (calls := parse_tool_calls(after)):
        content = before
    elif is_code:
        content = ""
        code = (before + after).replace(special.PYTHON_END, "")
        calls = parse_tool_calls(code) or [ToolCall(CODE_INTERPRETER, {"code": code})]
    else:
        calls = parse_tool_calls(text)
        content = "" if calls else text
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [call.to_dict() for call in calls]
    elif goes_on:
        message["stop_reason"] = "end_of_message"
    return message


def _opened_by(text: str, message: Message) -> Message:
    return replace(message, parts=(text, *message.parts))
