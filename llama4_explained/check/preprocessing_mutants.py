"""Mistakes before the model: separators between tiles, their order, canvas and pixels, the frame around messages."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import chat, images, special_tokens
from ..chat import ChatFormat
from ..model import Llama4
from ..tokenizer import Tokenizer
from .mutation import Change, mutant, replaced, replaced_method


def _image_tokens(make: Any) -> Change:
    """Another string of tokens for an image: `make(the right tokens, rows, columns, tokens per tile)`."""
    return replaced(
        chat.image_tokens,
        lambda original: lambda rows, columns, count=144: make(original(rows, columns, count), rows, columns, count),
    )


@mutant("tile separators are missing", "chat")
def no_separators(model: Llama4) -> Change:
    separators = (special_tokens.TILE_X_SEPARATOR, special_tokens.TILE_Y_SEPARATOR)
    return _image_tokens(lambda tokens, *_: [token for token in tokens if token not in separators])


@mutant("tile separators are exchanged", "chat")
def separators_exchanged(model: Llama4) -> Change:
    x, y = special_tokens.TILE_X_SEPARATOR, special_tokens.TILE_Y_SEPARATOR
    return _image_tokens(lambda tokens, *_: [{x: y, y: x}.get(token, token) for token in tokens])


@mutant("rows and columns of tiles are exchanged", "chat")
def rows_exchanged(model: Llama4) -> Change:
    return replaced(chat.image_tokens, lambda original: lambda rows, columns, count=144: original(columns, rows, count))


@mutant("the global tile has no place in the text", "chat")
def no_global_tile(model: Llama4) -> Change:
    def without(tokens: list[str], rows: int, columns: int, count: int) -> list[str]:
        return tokens if rows * columns == 1 else [*tokens[: -count - 2], tokens[-1]]

    return _image_tokens(without)


@mutant("a tile has a place for every patch", "chat")
def all_patches(model: Llama4) -> Change:
    return replaced(
        chat.image_tokens, lambda original: lambda rows, columns, count=144: original(rows, columns, 4 * count)
    )


@mutant("headers end in one line end", "chat")
def short_header(model: Llama4) -> Change:
    return replaced_method(
        ChatFormat, "header", lambda header: lambda self, role: header(self, role)[:-1] + self.tokenizer.encode("\n")
    )


@mutant("typed control tokens are obeyed", "tokenizer")
def control_tokens_obeyed(model: Llama4) -> Change:
    def make(encode: Any) -> Any:
        def obeying(self: Tokenizer, text: str) -> list[int]:
            for name, token in self.special_ids.items():
                before, found, after = text.partition(name)
                if found:
                    return [*obeying(self, before), token, *obeying(self, after)]
            return encode(self, text)

        return obeying

    return replaced_method(Tokenizer, "encode", make)


@mutant("tiles are cut column by column", "images")
def tiles_by_column(model: Llama4) -> Change:
    def make(split: Any) -> Any:
        def by_column(pixels: Tensor, tile_size: int = 336) -> Tensor:
            rows = pixels.shape[1] // tile_size
            return split(pixels, tile_size).unflatten(0, (rows, -1)).transpose(0, 1).flatten(0, 1)

        return by_column

    return replaced(images.split_into_tiles, make)


@mutant("the global tile comes first", "images", "chat")
def global_tile_first(model: Llama4) -> Change:
    return replaced(images.normalize, lambda normalize: lambda tiles, *rest: normalize(tiles.roll(1, dims=0), *rest))


@mutant("pixels are normalised in float32", "images", "chat")
def normalised_in_float32(model: Llama4) -> Change:
    def in_float32(pixels: Tensor, mean: Any = None, std: Any = None) -> Tensor:
        return ((pixels.float() / 255 - 0.5) / 0.5).to(torch.bfloat16)

    return replaced(images.normalize, lambda _: in_float32)


@mutant("pictures are shrunk without antialiasing", "images")
def no_antialiasing(model: Llama4) -> Change:
    def plain(pixels: Tensor, height: int, width: int) -> Tensor:
        return F.interpolate(pixels[None], size=(height, width), mode="bilinear")[0]

    return replaced(images.resize, lambda _: plain)


@mutant("small pictures are enlarged to fill their canvas", "images")
def enlarged(model: Llama4) -> Change:
    def fill(height: int, width: int, canvas: tuple[int, int], tile_size: int = 336) -> tuple[int, int]:
        scale = min(canvas[0] * tile_size / height, canvas[1] * tile_size / width)
        return max(1, int(height * scale)), max(1, int(width * scale))

    return replaced(images.fit_inside, lambda _: fill)


@mutant("the canvas is always the largest", "images")
def largest_canvas(model: Llama4) -> Change:
    return replaced(images.choose_canvas, lambda _: lambda height, width, *rest: (4, 4) if height == width else (2, 8))
