"""What an image takes in a text and in a KV cache: the fourth exercise of lesson 11."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from transformers import DynamicCache
from transformers.models.llama4.processing_llama4 import Llama4Processor

from .exercise import Exercise, Misconception

SIZES = (  # rows, columns, tokens per tile, layers, KV heads, head width
    (1, 1, 1, 1, 1, 1),
    (1, 1, 16, 3, 1, 4),  # not two layers: one of two would be half, as keys alone are
    (2, 1, 16, 2, 3, 4),  # before one row of two: rows end here, and nothing else separates
    (1, 2, 16, 8, 2, 32),
    (3, 4, 144, 48, 8, 128),
)


def _length(rows: int, columns: int, tokens_per_tile: int) -> int:
    """HF writes the image's tokens out; each begins with `<|`."""
    return Llama4Processor._prompt_split_image(cast(Any, None), (rows, columns), tokens_per_tile).count("<|")


def _stored(tokens: int, layers: int, heads: int, head_dim: int) -> tuple[int, int]:
    """Tokens, and the bytes of their keys and values in HF's cache. On the meta device, where nothing is allocated."""
    cache, one = DynamicCache(), torch.empty(1, heads, tokens, head_dim, dtype=torch.bfloat16, device="meta")
    kept = [cache.update(one, one, layer) for layer in range(layers)]
    return tokens, sum(keys.nbytes + values.nbytes for keys, values in kept)


def _image_cost(rows: int, columns: int, tokens_per_tile: int, *sizes: int) -> tuple[int, int]:
    return _stored(_length(rows, columns, tokens_per_tile), *sizes)


def _one_layer(rows: int, columns: int, tokens_per_tile: int, layers: int, *sizes: int) -> tuple[int, int]:
    return _image_cost(rows, columns, tokens_per_tile, 1, *sizes)


def _keys_alone(*sizes: int) -> tuple[int, int]:
    tokens, num_bytes = _image_cost(*sizes)
    return tokens, num_bytes // 2


def _without(missing: Callable[[int, int, int], int]) -> Callable[..., tuple[int, int]]:
    """Wrong: an image of several tiles, `missing(rows, columns, tokens per tile)` tokens too short."""
    return lambda r, c, count, *sizes: _stored(_length(r, c, count) - (r * c > 1) * missing(r, c, count), *sizes)


image_cost = Exercise(
    "image cost",
    "HF `Llama4Processor` writes the tokens and `DynamicCache` keeps them",
    _image_cost,
    lambda: iter(SIZES),
    "Tokens: tiles, the global tile if there are several, what stands behind each of the others, and three more. "
    "Bytes: every token has a key and a value, in every layer, for every head.",
    (
        Misconception(
            "the global tile is forgotten",
            _without(lambda rows, columns, count: count),
            "One tile is missing. Which tile does an image of several tiles have besides?",
        ),
        Misconception(
            "only image tokens count",
            lambda r, c, count, *sizes: _stored((r * c + (r * c > 1)) * count, *sizes),
            "All image tokens are there. Now count the tokens around them.",
        ),
        Misconception(
            "nothing stands between tiles of a row",
            _without(lambda rows, columns, count: rows * (columns - 1)),
            "Rows end as they should. What stands between two tiles of one row?",
        ),
        Misconception(
            "the last row needs no end",
            _without(lambda rows, columns, count: 1),
            "One token is missing. What stands between the last row and `<|image|>`?",
        ),
        Misconception(
            "a cache keeps keys",
            _keys_alone,
            "The tokens are right, the bytes are half. What does a cache keep besides keys, and in how many bytes?",
        ),
        Misconception(
            "one layer keeps it for all",
            _one_layer,
            "The tokens are right. How many layers keep keys and values of their own?",
        ),
    ),
)
