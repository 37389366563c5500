"""What tokenizer and chat are compared with: Meta's tokenizer and chat format, HF's processor; texts to try them on."""

from __future__ import annotations

import io
import json
import random
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import llama_models
import tokenizers
from llama_models.datatypes import RawMediaItem, RawMessage, RawTextItem, StopReason, ToolCall, ToolPromptFormat
from llama_models.llama4.args import Size, VisionArgs
from llama_models.llama4.chat_format import ChatFormat
from llama_models.llama4.tokenizer import Tokenizer as MetaTokenizer
from PIL import Image
from transformers import Llama4ImageProcessor, Llama4Processor, PreTrainedTokenizerFast

from llama4_explained.special_tokens import SPECIAL_TOKENS
from llama4_explained.tokenizer import Tokenizer

META_FILE = Path(str(llama_models.__file__)).parent / "llama4" / "tokenizer.model"
FOLDER = TemporaryDirectory(prefix="llama4-explained-tests-")  # goes away with the process

# Small tiles, so that Meta's image code is quick: 16 patches, merged 2 x 2 into 4 tokens.
TILE_SIZE, TOKENS_PER_TILE = 56, 4
# (width, height) of pictures of 20 different canvases of up to 16 tiles of 56 pixels.
PICTURE_SIZES = [
    (56, 56), (112, 56), (56, 112), (168, 56), (56, 168), (224, 50), (112, 112), (280, 56), (56, 300), (168, 112),
    (112, 168), (392, 56), (224, 112), (112, 230), (168, 168), (280, 112), (112, 280), (224, 168), (168, 224),
    (224, 224), (20, 33), (1000, 30), (77, 901), (640, 480),
]  # fmt: skip


@cache
def ours_from_model() -> Tokenizer:
    return Tokenizer.from_pretrained(META_FILE)


@cache
def json_file() -> Path:
    """Meta's tokenizer as a `tokenizer.json`."""
    ours_from_model().save_pretrained(FOLDER.name)
    return Path(FOLDER.name) / "tokenizer.json"


@cache
def ours_from_json() -> Tokenizer:
    return Tokenizer.from_pretrained(json_file())


@cache
def meta_tokenizer() -> MetaTokenizer:
    return MetaTokenizer.get_instance()


def meta_encode(text: str) -> list[int]:
    return meta_tokenizer().encode(text, bos=False, eos=False)


@cache
def meta_chat() -> ChatFormat:
    side = {"height": TILE_SIZE, "width": TILE_SIZE}
    vision = VisionArgs(
        image_size=Size(**side), patch_size=Size(height=14, width=14), dim=8, n_layers=1, n_heads=1, mlp_ratio=1.0,
        output_dim=8, pixel_shuffle_ratio=0.5,
    )  # fmt: skip
    return ChatFormat(meta_tokenizer(), vision_args=vision)


@cache
def hf_processor() -> Llama4Processor:
    """With the chat template that is HF's own."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_file(str(json_file())), bos_token="<|begin_of_text|>",
        eos_token="<|eot|>", pad_token="<|finetune_right_pad|>",
    )  # fmt: skip
    size = {"height": TILE_SIZE, "width": TILE_SIZE}
    return Llama4Processor(Llama4ImageProcessor(size=size), tokenizer, patch_size=14)


def hf_inputs(messages: list[dict[str, Any]], tools: list[Any] | None = None, processor: Any = None) -> Any:
    return (processor or hf_processor()).apply_chat_template(
        messages, tools=tools, tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="pt"
    )


def hf_ids(messages: list[dict[str, Any]], tools: list[Any] | None = None, processor: Any = None) -> list[int]:
    return hf_inputs(messages, tools, processor)["input_ids"][0].tolist()


def meta_inputs(messages: list[dict[str, Any]], tool_format: str = "json") -> Any:
    """Meta's ids (`tokens`) and tiles (`images`) of a conversation in our form."""
    return meta_chat().encode_dialog_prompt([_raw_message(one) for one in messages], ToolPromptFormat(tool_format))


def meta_ids(messages: list[dict[str, Any]], tool_format: str = "json") -> list[int]:
    return list(meta_inputs(messages, tool_format).tokens)


def raw_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        RawTextItem(text=part["text"]) if part["type"] == "text" else RawMediaItem(data=png(part["image"]))
        for part in content
    ]


def _raw_message(message: dict[str, Any]) -> RawMessage:
    calls = [call["function"] for call in message.get("tool_calls", [])]
    return RawMessage(
        role="tool" if message["role"] == "ipython" else message["role"],
        content=raw_content(message["content"]),
        stop_reason=StopReason(message["stop_reason"]) if "stop_reason" in message else None,
        tool_calls=[ToolCall(call_id="0", tool_name=call["name"], arguments=call["arguments"]) for call in calls],
    )


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@cache
def picture(index: int) -> Image.Image:
    return Image.new("RGB", PICTURE_SIZES[index % len(PICTURE_SIZES)], (index % 256, 90, 160))


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def small_model_file(folder: Path, pieces: int = 1500) -> Path:
    """The first lines of Meta's `tokenizer.model`: a whole tokenizer, and quick to read."""
    path = folder / "tokenizer.model"
    path.write_bytes(b"".join(META_FILE.read_bytes().splitlines(keepends=True)[:pieces]))
    return path


def small_json_file(folder: Path, pieces: int = 1500, names: tuple[str, ...] = SPECIAL_TOKENS[:120]) -> Path:
    """A `tokenizer.json` of few pieces, with few control tokens at ids of their own."""
    Tokenizer.from_pretrained(small_model_file(folder, pieces)).save_pretrained(folder)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    kept = [token for token in content["added_tokens"] if token["content"] in names]
    content["added_tokens"] = [token | {"id": pieces + index} for index, token in enumerate(kept)]
    content["post_processor"] = None
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


# Ranges of code points to draw from.
SCRIPTS = {
    "Latin": (0x20, 0x17F), "Greek and Cyrillic": (0x370, 0x52F), "Hebrew and Arabic": (0x590, 0x6FF),
    "Devanagari": (0x900, 0x97F), "Tamil": (0xB80, 0xBFF), "Thai": (0xE00, 0xE7F), "Tibetan": (0xF00, 0xFFF),
    "Georgian": (0x10A0, 0x10FF), "Jamo": (0x1100, 0x11FF), "Kana": (0x3040, 0x30FF), "Han": (0x4E00, 0x9FFF),
    "Hangul": (0xAC00, 0xD7A3), "emoji": (0x1F300, 0x1FAFF), "mathematical letters": (0x1D400, 0x1D7FF),
    "signs and spaces": (0x2000, 0x27BF), "controls": (0x00, 0x1F), "anything": (0xE000, 0x10FFFF),
}  # fmt: skip
FRAGMENTS = [
    "Hello, world! It's 12345678 o'clock; we'LL see. ", "def f(x: int) -> str:\n\treturn f'{x!r}'  # ünï\r\n\r\n",
    "안녕하세요, 세계! ", "مرحبا بالعالم ", "नमस्ते दुनिया ", "สวัสดีชาวโลก ", "你好，世界！", "こんにちは ",
    "Здравствуй, мир! ", "👨‍👩‍👧‍👦🏳️‍🌈🇰🇷 ", "e\u0301\u0327 Å ", "   ", "\n\n\n", "\t \u00a0\u3000\u2028",
    "https://a.b/c?d=e&f#g ", "<|eot|>", "<|header_start|>system<|header_end|>\n\n", "<|image|><|patch|>",
    "<|begin_of_text|>", "aaaaaaaa", "=" * 40, "aaaAAA", "\r", "'S'T'RE", "//// \n/", "{\"k\": [1, 2.5e-3, null]}",
]  # fmt: skip


def random_text(draw: random.Random, surrogates: bool = False) -> str:
    """Up to eight pieces of one kind or another."""
    text = ""
    for _ in range(draw.randint(0, 8)):
        low, high = draw.choice(list(SCRIPTS.values()))
        letters = "".join(chr(draw.randint(low, high)) for _ in range(draw.randint(1, 12)))
        text += draw.choice([letters, draw.choice(FRAGMENTS), draw.choice(FRAGMENTS)[: draw.randint(0, 9)]])
        if surrogates and draw.random() < 0.3:
            text += chr(draw.randint(0xD800, 0xDFFF)) * draw.randint(1, 2)
    return text
