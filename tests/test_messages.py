"""Conversations as users write them: what is understood, and the one line that says what is not."""

from typing import Any

import pytest

from chat_oracle import call, picture, png
from llama4_explained.errors import UserError
from llama4_explained.images import TiledImage, tile_image
from llama4_explained.messages import ImageQueue, read_conversation
from llama4_explained.tool_calls import ToolCall


def read(messages: Any, images: Any = None):
    queue = ImageQueue(images, lambda image: tile_image(image, tile_size=56))
    conversation = read_conversation(messages, queue)
    queue.check_all_used()
    return conversation


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def test_every_role_has_its_header():
    roles = ["system", "user", "assistant", "tool", "ipython"]
    read_roles = [message.role for message in read([{"role": role, "content": "x"} for role in roles])]
    assert read_roles == ["system", "user", "assistant", "ipython", "ipython"]


@pytest.mark.parametrize(
    ("message", "ends_turn"),
    [
        ({"role": "user", "content": "x"}, True),
        ({"role": "assistant", "content": "x"}, True),
        ({"role": "assistant", "content": "x", "tool_calls": []}, True),
        ({"role": "assistant", "content": "x", "tool_calls": None}, True),
        ({"role": "assistant", "content": "x", "tool_calls": [call("f")]}, False),
        ({"role": "assistant", "content": "x", "stop_reason": "end_of_turn"}, True),
        ({"role": "assistant", "content": "x", "stop_reason": "out_of_tokens"}, True),
        ({"role": "assistant", "content": "x", "stop_reason": "end_of_message"}, False),
        ({"role": "user", "content": "x", "stop_reason": "end_of_message"}, True),
        ({"role": "tool", "content": "x"}, False),
    ],
)
def test_who_speaks_next(message: dict[str, Any], ends_turn: bool):
    assert read([message])[0].ends_turn is ends_turn


def test_calls_need_no_content():
    for message in ({"content": None}, {"content": ""}, {}):
        (only,) = read([{"role": "assistant", "tool_calls": [call("f", a=1)], **message}])
        assert only.parts == ("",) and only.tool_calls == (ToolCall("f", {"a": 1}),)


def test_arguments_may_be_json_text_as_in_openais_form():
    written = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    (only,) = read([{"role": "assistant", "content": None, "tool_calls": [written]}])
    assert only.tool_calls == (ToolCall("f", {"a": 1}),)


def test_images_come_from_the_part_or_from_beside(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(picture(1)))
    parts = user(
        {"type": "image", "image": picture(2)},
        {"type": "image"},
        {"type": "image", "path": path},
        {"type": "image", "url": str(path)},
        {"type": "image", "image": None},
        {"type": "image", "image": png(picture(4))},
    )
    images = read(parts, [picture(3), picture(5)])[0].images
    assert [(image.rows, image.columns) for image in images] == [(2, 1), (1, 3), (1, 2), (1, 2), (1, 4), (3, 1)]


def test_typed_image_tokens_are_text():
    (only,) = read(user({"type": "text", "text": "<|image|>"}, {"type": "image"}), [picture(0)])
    assert only.parts[0] == "<|image|>" and isinstance(only.parts[1], TiledImage)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "there are no messages"),
        ("hello", "messages must be a list such as .* got a str"),
        ({"role": "user", "content": "x"}, "messages must be a list such as .* got a dict"),
        (None, "messages must be a list such as .* got nothing"),
        (["hello"], 'message 1 must be a dictionary with "role" and "content", got a str'),
        ([{"content": "x"}], "message 1 must be a dictionary"),
        ([*user(), {"role": "bot", "content": "x"}], "message 2: unknown role 'bot'; known are system, user"),
        ([{"role": ["user"], "content": "x"}], "message 1: unknown role"),
        ([{"role": "user"}], r"message 1 \(user\): content must be a text or a list of parts, got nothing"),
        ([{"role": "user", "content": 3}], "content must be a text or a list of parts, got a int"),
        ([{"role": "user", "content": {"type": "text"}}], "content must be a text or a list of parts, got a dict"),
        ([{"role": "tool", "content": {"ok": True}}], r"message 1 \(tool\): content must be"),
        (user("hello"), 'a part is {"type": "text", "text": ...} or .*, got a str'),
        (user({"type": "video", "video": "x"}), "got type 'video'"),
        (user({"text": "x"}), "got type None"),
        (user({"type": "text"}), "the text of a text part must be a string, got nothing"),
        (user({"type": "text", "text": ["x"]}), "the text of a text part must be a string, got a list"),
        (user({"type": "image", "image": "a.png", "url": "b.png"}), "not image and url"),
        (user({"type": "image", "url": "https://example.org/a.png"}), "is an address; download it"),
        (user({"type": "image", "image": "nowhere.png"}), "nowhere.png.* cannot be read: No such file"),
        (user({"type": "image", "image": 3}), "an image is a PIL image, a path"),
        ([{"role": "user", "content": "x", "tool_calls": [call("f")]}], "only the assistant calls tools"),
        ([{"role": "assistant", "content": "x", "tool_calls": call("f")}], "tool_calls must be a list, got a dict"),
        ([{"role": "assistant", "content": "x", "tool_calls": ["f"]}], "a tool call is"),
        ([{"role": "assistant", "content": "x", "stop_reason": "tired"}], "stop_reason must be one of end_of_turn"),
    ],
)
def test_bad_messages_get_one_line(messages: Any, reason: str):
    with pytest.raises(UserError, match=reason) as caught:
        read(messages)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("places", "images", "reason"),
    [
        (1, None, r"message 1 \(user\): image part 1 without a picture, but 0 images were given"),
        (2, 1, "image part 2 without a picture, but 1 images were given"),
        (0, 1, "1 images were given beside the messages, which have image parts for 0"),
        (1, 2, "2 images were given beside the messages, which have image parts for 1"),
    ],
)
def test_as_many_images_as_places(places: int, images: int | None, reason: str):
    messages = user({"type": "text", "text": "<|image|>"}, *[{"type": "image"}] * places)
    with pytest.raises(UserError, match=reason):
        read(messages, None if images is None else [picture(0)] * images)


@pytest.mark.parametrize("images", ["a.png", 3, picture(0)])
def test_images_beside_must_be_a_list(images: Any):
    with pytest.raises(UserError, match="images must be a list"):
        read(user({"type": "image"}), images)
