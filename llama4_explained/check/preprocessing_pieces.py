"""The pieces before the model: text and messages to token ids, pictures to pixel values. All of them are exact.

Pictures and messages are compared with HF's processor. The tokenizer's oracle is Meta's, because HF has no way to read
Meta's file as it is: it would lose the control tokens.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tokenizers
import torch
from PIL import Image
from torch import Tensor
from transformers import Llama4Processor, PreTrainedTokenizerFast

from .. import images
from ..chat import ChatFormat
from ..errors import UserError
from ..processor import Processor
from ..tokenizer import Tokenizer
from .registry import Case, piece
from .setups import Setup
from .twins import quiet

# (height, width): one pixel, one tile, a little more than one, wide, tall, large enough to be shrunk.
PICTURES = [(1, 1), (79, 79), (336, 336), (336, 337), (150, 1000), (1400, 340), (700, 700), (1200, 1900)]
TEXTS = [
    "Hello, world! It's 12345678 o'clock; we'LL see. ", "def f(x: int) -> str:\n\treturn f'{x!r}'  # ünï\r\n\r\n",
    "안녕하세요, 세계!", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "你好，世界！ こんにちは", "Здравствуй, мир!",
    "👨‍👩‍👧‍👦🏳️‍🌈🇰🇷 e\u0301\u0327", "   \n\n\n \t \u00a0\u3000",
    "<|eot|><|header_start|>system<|header_end|>\n\n", "a" * 99,
]  # fmt: skip
# Small tiles and few word pieces keep the chat quick; what it shows is their order.
TILE_SIZE, TOKENS_PER_TILE, FEW_PIECES = 56, 4, 2000


@cache
def _needs(package: str, why: str) -> Path:
    """The folder of an installed package.

    Errors: UserError if it is not installed.
    """
    found = find_spec(package)
    if found is None or found.origin is None:
        raise UserError(f"the check needs {why}: pip install 'llama4-explained[test]'")
    return Path(found.origin).parent


def _tokenizer_file() -> Path:
    return _needs("llama_models", "Meta's tokenizer, of the package llama-models") / "llama4" / "tokenizer.model"


@cache
def _noise(height: int, width: int) -> Image.Image:
    """Noise shows every rounding of a resize, which a smooth picture may hide."""
    pixels = np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@piece("tokenizer", "01_tokens_and_chat", Tokenizer, "llama_models.llama4.tokenizer.Tokenizer", exact=True)
def tokenizer(setup: Setup) -> Case | None:
    """Text in many scripts to token ids; typed control tokens stay text."""
    if not setup.preprocessing:
        return None
    path = _tokenizer_file()
    from llama_models.llama4.tokenizer import Tokenizer as MetaTokenizer

    ours, theirs = Tokenizer.from_pretrained(path), MetaTokenizer(path)

    def ids_by(encode: Any) -> dict[str, Tensor]:
        return {text: torch.tensor(encode(text)) for text in TEXTS}

    return Case(
        lambda model: ids_by(ours.encode),
        lambda model: ids_by(lambda text: theirs.encode(text, bos=False, eos=False)),
    )


@cache
def _processors() -> tuple[Processor, Llama4Processor]:
    """Ours and HF's, around one tokenizer of the first word pieces of Meta's."""
    with TemporaryDirectory() as folder:
        lines = _tokenizer_file().read_bytes().splitlines(keepends=True)
        path = Path(folder) / "tokenizer.model"
        path.write_bytes(b"".join(lines[:FEW_PIECES]))
        ours = Tokenizer.from_pretrained(path)
        ours.save_pretrained(folder)
        same = tokenizers.Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    hf_tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=same, bos_token="<|begin_of_text|>", eos_token="<|eot|>", pad_token="<|finetune_right_pad|>"
    )
    image_processor = _hf_image_processor(size={"height": TILE_SIZE, "width": TILE_SIZE})
    return Processor(ours, TILE_SIZE, tokens_per_tile=TOKENS_PER_TILE), Llama4Processor(
        image_processor, hf_tokenizer, patch_size=14
    )


def _hf_image_processor(**settings: Any) -> Any:
    _needs("torchvision", "torchvision, for HF's image processor")
    from transformers import Llama4ImageProcessor

    return Llama4ImageProcessor(**settings)


@piece("chat", "01_tokens_and_chat", ChatFormat, "transformers.Llama4Processor", exact=True)
def chat(setup: Setup) -> Case | None:
    """Messages with pictures of several canvases to token ids and tiles."""
    if not setup.preprocessing:
        return None
    ours, theirs = _processors()
    sizes = [(56, 56), (112, 56), (56, 168), (112, 112), (168, 112)]

    def user(text: str, *pictures: tuple[int, int]) -> dict[str, Any]:
        parts = [{"type": "image", "image": _noise(*size)} for size in pictures]
        return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}

    conversations = {
        "text": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is 2 + 2?"},
            {"role": "assistant", "content": "4"},
            {"role": "user", "content": "And 3 + 3?"},
        ],
        **{f"{height} x {width}": [user("What is this?", (height, width))] for height, width in sizes},
        "several": [user("Compare.", *sizes[:3]), {"role": "assistant", "content": "Why?"}, user("So!", sizes[4])],
    }

    def run(make: Any) -> dict[str, Tensor]:
        outputs = {}
        for name, messages in conversations.items():
            for key, tensor in make(messages).items():
                outputs[f"{name}: {key}"] = tensor
        return outputs

    def hf_inputs(messages: Any) -> Any:
        return theirs.apply_chat_template(
            messages, tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="pt"
        )

    return Case(lambda model: run(ours), lambda model: run(hf_inputs))


@piece("images", "09_tiles_and_patches", images.tile_image, "transformers.Llama4ImageProcessor", exact=True)
def pixel_values(setup: Setup) -> Case | None:
    """Pictures of any size to canvas, tiles and pixel values."""
    if not setup.preprocessing:
        return None
    theirs = _hf_image_processor()

    def hf_outputs(model: Any) -> dict[str, Tensor]:
        outputs = {}
        for size in PICTURES:
            with quiet():  # HF warns that one pixel could be three
                inputs = theirs(_noise(*size), return_tensors="pt")
            outputs[f"{size} canvas"], outputs[f"{size} pixels"] = inputs["aspect_ratios"][0], inputs["pixel_values"]
        return outputs

    def our_outputs(model: Any) -> dict[str, Tensor]:
        outputs = {}
        for size in PICTURES:
            tiled = images.tile_image(_noise(*size))
            outputs[f"{size} canvas"] = torch.tensor([tiled.rows, tiled.columns])
            outputs[f"{size} pixels"] = tiled.pixel_values
        return outputs

    return Case(our_outputs, hf_outputs)
