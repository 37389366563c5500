"""Exercises of lesson 09: canvases, tiles, patches, and what they cost in tokens.

Shapes: N tiles (the global one included), P patches of a tile, p side of a patch in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images import candidate_canvases, choose_canvas
from .exercise import Answer, Exercise, Misconception

TILE, MOST_TILES = 336, 16
# (height, width): one tile, smaller, a little larger, strips, one that stays as it is, some that shrink, a large one.
SIZES = [
    (336, 336), (100, 300), (337, 337), (300, 1000), (900, 200), (600, 512), (1500, 1500), (200, 5000), (3024, 4032),
]  # fmt: skip


def _hf_canvas(height: int, width: int) -> tuple[int, int]:
    """(rows, columns) by HF's own functions."""
    from transformers.image_utils import SizeDict
    from transformers.models.llama4 import image_processing_llama4 as hf

    candidates = torch.tensor(hf.find_supported_resolutions(MOST_TILES, SizeDict(height=TILE, width=TILE)))
    best: Any = hf.get_best_fit((height, width), candidates)  # a tensor, whatever its annotation says
    rows, columns = (best // TILE).tolist()
    return rows, columns


# 1. Which share of the canvas is padding?


def _padding(height: int, width: int, placed: tuple[int, int]) -> float:
    rows, columns = _hf_canvas(height, width)
    return 1 - placed[0] * placed[1] / (rows * columns * TILE**2)


def _padding_share(height: int, width: int) -> float:
    from transformers.models.llama4.image_processing_llama4 import get_max_res_without_distortion

    canvas = _hf_canvas(height, width)
    limits = [min(max(side, TILE), count * TILE) for side, count in zip((height, width), canvas, strict=True)]
    new_height, new_width = get_max_res_without_distortion((height, width), (limits[0], limits[1]))
    return _padding(height, width, (max(1, new_height), max(1, new_width)))


def _enlarged(height: int, width: int) -> float:
    rows, columns = _hf_canvas(height, width)
    scale = min(rows * TILE / height, columns * TILE / width)
    return _padding(height, width, (math.floor(height * scale), math.floor(width * scale)))


padding_share = Exercise(
    "padding share",
    "HF's functions for canvas and size",
    _padding_share,
    lambda: SIZES,
    "Three steps: the canvas, the size that the picture gets on it, and what is left of the canvas's pixels.",
    (
        Misconception(
            "a picture is never resized",
            lambda height, width: _padding(height, width, (height, width)),
            "You count the picture's own pixels. It may be smaller than a tile, or larger than its canvas.",
        ),
        Misconception(
            "a picture is enlarged until it fills its canvas",
            _enlarged,
            "Here small pictures grow until they touch the canvas's edge. How far does Llama 4 let one grow?",
        ),
    ),
)


# 2. How many tokens does a picture cost?


def _hf_string(rows: int, columns: int, tokens_per_tile: int) -> list[str]:
    """The picture's tokens by name, as HF's processor writes them."""
    from transformers import Llama4Processor

    text = Llama4Processor._prompt_split_image(None, (rows, columns), tokens_per_tile)  # type: ignore[arg-type]
    return [f"<|{name}" for name in text.split("<|")[1:]]


def _cost(tokens_per_tile: int = 144, separators: int = 1, least: int = 2) -> Answer:
    """An answer that knows the canvas; one of `least` tiles or more has a global tile in it."""

    def answer(height: int, width: int) -> int:
        tiles = math.prod(_hf_canvas(height, width))
        return tokens_per_tile * (tiles + (tiles >= least)) + separators * (tiles if tiles > 1 else 0) + 3

    return answer


picture_cost = Exercise(
    "picture cost",
    "HF `Llama4Processor` writes them",
    lambda height, width: len(_hf_string(*_hf_canvas(height, width), 144)),
    lambda: SIZES,
    "Count the tiles, the global one if there is one; 144 tokens for each; then control tokens.",
    (
        Misconception(
            "a picture is one tile", lambda height, width: 147, "Right for one tile. Larger pictures have more of them."
        ),
        Misconception(
            "every patch is a token",
            _cost(tokens_per_tile=576),
            "A tile has that many patches. How many of them become one image token?",
        ),
        Misconception(
            "the global tile costs nothing",
            _cost(least=MOST_TILES + 1),
            "One more tile goes to the model wherever the canvas has more than one.",
        ),
        Misconception(
            "every picture has a global tile",
            _cost(least=1),
            "With a canvas of one tile, is there anything left for a global tile to show?",
        ),
        Misconception(
            "separators cost nothing",
            _cost(separators=0),
            "Right up to the separators. How many stand in a row of tiles, and what follows a row?",
        ),
    ),
)


# 3. Patches back to a picture


def _patches_to_undo() -> Iterator[Sequence[Any]]:
    """From one tile of 2 x 2 patches of one pixel on; patches a side, p, rows, columns, and the picture's size."""
    cases = [(2, 1, 1, 1, 2, 2), (2, 1, 1, 1, 2, 1), (2, 2, 1, 2, 3, 8), (3, 2, 2, 1, 11, 5), (2, 3, 2, 3, 10, 17)]
    for seed, (side, p, rows, columns, height, width) in enumerate(cases):
        generator, size = torch.Generator().manual_seed(seed), side * p
        tiles = torch.zeros(rows * columns, 3, size, size)
        picture = torch.rand(3, height, width, generator=generator) + 0.1
        for tile in range(rows * columns):
            top, left = tile // columns * size, tile % columns * size
            part = picture[:, top : top + size, left : left + size]
            tiles[tile, :, : part.shape[1], : part.shape[2]] = part
        if len(tiles) > 1:
            tiles = torch.cat([tiles, F.interpolate(picture[None], size=(size, size), mode="bilinear")])
        yield F.unfold(tiles, p, stride=p).transpose(1, 2).contiguous(), p, rows, columns, height, width


def _canvas(patches: Tensor, p: int, rows: int, columns: int, *size: int) -> Tensor:
    side = math.isqrt(patches.shape[1]) * p
    tiles = F.fold(patches.transpose(1, 2), (side, side), p, stride=p)[: rows * columns]
    return tiles.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)


def _put_together(patches: Tensor, p: int, rows: int, columns: int, height: int, width: int) -> Tensor:
    return _canvas(patches, p, rows, columns)[:, :height, :width]


def _tiles_by_column(patches: Tensor, p: int, rows: int, columns: int, *size: int) -> Tensor:
    tiles = patches[: rows * columns].unflatten(0, (columns, rows)).transpose(0, 1).flatten(0, 1)
    return _put_together(tiles, p, rows, columns, *size)


def _reordered(order: Any) -> Answer:
    """An answer that takes the patches for others: `order(patches, patches a side)`."""
    return lambda patches, *sizes: _put_together(order(patches, math.isqrt(patches.shape[1])), *sizes)


put_together = Exercise(
    "put together",
    "`torch.nn.functional.fold`, which undoes HF's unfold",
    _put_together,
    _patches_to_undo,
    "Undo the last cut first: patches to tiles, then tiles to the canvas, then only the picture's part of it.",
    (
        Misconception(
            "padding belongs to the picture",
            _canvas,
            "That is the whole canvas. Which part of it is picture?",
        ),
        Misconception("tiles go column by column", _tiles_by_column, "Which tile lies right of tile 0?"),
        Misconception(
            "patches go column by column",
            _reordered(lambda patches, side: patches.unflatten(1, (side, side)).transpose(1, 2).flatten(1, 2)),
            "In which direction does one go from patch 0 to patch 1?",
        ),
        Misconception(
            "a patch's colours come last",
            _reordered(lambda patches, side: patches.unflatten(-1, (-1, 3)).transpose(-1, -2).flatten(-2)),
            "Patches of one pixel are right. In a larger one, do the three colours of a pixel stand side by side?",
        ),
        Misconception(
            "the global tile comes first",
            lambda patches, p, rows, columns, *size: _put_together(patches[-rows * columns :], p, rows, columns, *size),
            "One tile is not part of the canvas. You left out another one.",
        ),
    ),
)


# 4. A whole user message


def _message(change: Any = lambda right, *_: right) -> Answer:
    """An answer with `change(the right tokens, rows, columns, tokens per tile)` for a canvas of several tiles."""

    def answer(rows: int, columns: int, tokens_per_tile: int, question: str) -> list[str]:
        picture = _hf_string(rows, columns, tokens_per_tile)
        if rows * columns > 1:
            picture = change(picture, rows, columns, tokens_per_tile)
        return ["<|header_start|>", "user", "<|header_end|>", "\n\n", *picture, question, "<|eot|>"]

    return answer


user_message = Exercise(
    "user message",
    "HF `Llama4Processor` writes the picture in it",
    _message(),
    lambda: [(*sizes, "What is this?") for sizes in ((1, 1, 1), (1, 2, 1), (2, 1, 2), (2, 3, 1), (3, 2, 4))],
    "First the case of one tile: start, image, patch tokens, end. Rows of tiles go between start and image.",
    (
        Misconception(
            "there are no separators",
            _message(lambda right, *_: [name for name in right if "separator" not in name]),
            "Without separators, how would the model know a wide picture from a tall one?",
        ),
        Misconception(
            "rows have no separator after the last",
            _message(lambda right, rows, columns, count: right[: -count - 3] + right[-count - 2 :]),
            "Does the separator of rows stand between two rows, or after each?",
        ),
        Misconception(
            "rows and columns are exchanged",
            _message(lambda right, rows, columns, count: _hf_string(columns, rows, count)),
            "Your grid lies on its side: `rows` is how many rows there are, not how long one is.",
        ),
        Misconception(
            "the global tile has no place",
            _message(lambda right, rows, columns, count: [*right[: -count - 2], right[-1]]),
            "The vision tower gives one tile more than the canvas has. Where are its image tokens to go?",
        ),
    ),
)


# 5. Another rule: the canvas of the closest shape


def _canvas_by_shape(height: int, width: int, tile_size: int, max_tiles: int) -> tuple[int, ...]:
    from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas

    return get_optimal_tiled_canvas((height, width), (tile_size, tile_size), 1, max_tiles)[::-1]


def _closest(tie: int) -> Answer:
    """An answer that takes the closest shape; of several canvases the one of fewest (tie 1) or most tiles (tie -1)."""

    def answer(height: int, width: int, tile_size: int, max_tiles: int) -> tuple[int, int]:
        canvases = candidate_canvases(max_tiles)
        return min(canvases, key=lambda canvas: (abs(canvas[1] / canvas[0] - width / height), tie * math.prod(canvas)))

    return answer


# (height, width, tile size, most tiles), from small to large.
SHAPES = [
    (4, 4, 4, 1), (5, 7, 4, 4), (100, 90, 50, 6), (70, 80, 50, 9), (45, 95, 50, 12), (336, 1100, 336, 16),
    (600, 512, 336, 16), (1000, 330, 336, 16), (1700, 1690, 336, 16), (2000, 900, 448, 12),
]  # fmt: skip
canvas_by_shape = Exercise(
    "canvas by shape",
    "HF `get_optimal_tiled_canvas` of GOT-OCR 2",
    _canvas_by_shape,
    lambda: SHAPES,
    "Go through the canvases from few tiles to many. Keep the best so far, and how far its shape is off.",
    (
        Misconception(
            "Llama 4's rule",
            choose_canvas,
            "That is the canvas that Llama 4 takes. Here scales do not count; shapes do.",
        ),
        Misconception(
            "a tie goes to the fewest tiles",
            _closest(tie=1),
            "The shape is right. But when does 2 x 2 replace 1 x 1, which has the same?",
        ),
        Misconception(
            "a tie goes to the most tiles",
            _closest(tie=-1),
            "The shape is right. But a larger canvas needs a picture with enough pixels.",
        ),
    ),
)
