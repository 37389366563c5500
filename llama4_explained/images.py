"""Images: upright RGB -> canvas of square tiles -> pixel values for the vision model.

The picture keeps its proportions. It is placed on the grid of at most `max_tiles` tiles that suits it best and cut
along that grid; one more tile shows the whole picture squeezed into a square, so that the model sees both details and
overview. Every choice of a size is plain arithmetic, and everything up to the last step is uint8.

Shapes: H, W height and width in pixels, N tiles (the global one included).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .errors import UserError
from .image_input import ImageSource, prepare_image

RESCALE_FACTOR = 1 / 255  # a byte becomes a number in [0, 1]

# HF's options that have one value here. resample 2 is bilinear; HF itself refuses do_resize = False.
_HF_FIXED = {
    "do_convert_rgb": True,
    "do_resize": True,
    "resample": 2,
    "resize_to_max_canvas": False,
    "do_rescale": True,
    "rescale_factor": RESCALE_FACTOR,
    "do_normalize": True,
}


@dataclass(frozen=True)
class ImageSettings:
    """How images become tiles; `tile_image(image, **vars(settings))` does it.

    Units:  tile_size in pixels, one side of a square; mean and std of each colour in [0, 1].
    Errors: UserError if a setting cannot be.
    Source: HF `Llama4ImageProcessor`; the defaults are those of every published Llama 4.
    """

    tile_size: int = 336
    max_tiles: int = 16  # the global tile not counted
    mean: Sequence[float] = (0.5, 0.5, 0.5)
    std: Sequence[float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        for name in ("tile_size", "max_tiles"):
            _require_positive(name, getattr(self, name))
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not isinstance(values, Sequence) or [isinstance(value, int | float) for value in values] != [True] * 3:
                raise UserError(f"{name} must be three numbers, one for each of red, green and blue; got {values}")
        if 0 in self.std:
            raise UserError(f"std must not be 0, because colours are divided by it; got {self.std}")

    @classmethod
    def from_hf_dict(cls, hf: Mapping[str, Any]) -> ImageSettings:
        """Read `preprocessor_config.json`, or `processor_config.json`, which holds the same one level down.

        Errors: UserError for an option under which HF would make other pixels than this module does.
        """
        hf = hf.get("image_processor", hf)
        for name, only in _HF_FIXED.items():
            found = hf.get(name, only)
            if found != only and not (isinstance(found, float) and math.isclose(found, only, rel_tol=1e-7)):
                raise UserError(f"image processor: {name} = {found!r} is not supported; Llama 4 uses {only!r}")
        size = hf.get("size", cls.tile_size)
        height, width = (size.get("height"), size.get("width")) if isinstance(size, Mapping) else (size, size)
        if height is None or height != width:
            raise UserError(f"image processor: size must be a square with height and width; got {size}")
        mean, std = (
            tuple(value) if isinstance(value, Sequence) else (value,) * 3
            for value in (hf.get("image_mean", cls.mean), hf.get("image_std", cls.std))
        )
        return cls(height, hf.get("max_patches", cls.max_tiles), mean, std)

    def to_hf_dict(self) -> dict[str, Any]:
        """The contents of a `preprocessor_config.json` that HF's processor reads to the same effect."""
        return {
            "image_processor_type": "Llama4ImageProcessor",
            **_HF_FIXED,
            "size": {"height": self.tile_size, "width": self.tile_size},
            "max_patches": self.max_tiles,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }


@dataclass(frozen=True, eq=False)
class TiledImage:
    """One image as the vision model takes it.

    Shapes: pixel_values bfloat16 [N, 3, tile_size, tile_size]: the canvas row by row, then the global tile.
    Units:  pixel_values in [-1, 1]; rows and columns in tiles.
    """

    pixel_values: Tensor
    rows: int
    columns: int

    @property
    def has_global_tile(self) -> bool:
        """A canvas of one tile shows the whole image already."""
        return self.rows * self.columns > 1

    @property
    def num_tiles(self) -> int:
        """N: all tiles that the vision model sees, the global one included."""
        return self.pixel_values.shape[0]


def tile_image(
    image: ImageSource,
    tile_size: int = ImageSettings.tile_size,
    max_tiles: int = ImageSettings.max_tiles,
    mean: Sequence[float] = ImageSettings.mean,
    std: Sequence[float] = ImageSettings.std,
) -> TiledImage:
    """The whole way from a picture to pixel values.

    Shapes: returns N = rows * columns tiles, and one more, the global tile, if there is more than one.
    Units:  tile_size in pixels.
    Errors: UserError if the image cannot be read or a setting cannot be.
    Source: HF `Llama4ImageProcessor`; equal to it bit for bit on the image that `prepare_image` returns.
    """
    ImageSettings(tile_size, max_tiles, mean, std)  # raises if one of them cannot be
    pixels = to_pixels(prepare_image(image))  # [3, H, W]
    height, width = pixels.shape[1:]
    rows, columns = canvas = choose_canvas(height, width, tile_size, max_tiles)
    tiles = split_into_tiles(resize_and_pad(pixels, canvas, tile_size), tile_size)  # [rows * columns, 3, size, size]
    if len(tiles) > 1:
        global_tile = resize(pixels, tile_size, tile_size)  # proportions are lost here, on purpose
        tiles = torch.cat([tiles, global_tile[None]])  # [N, 3, size, size]
    return TiledImage(normalize(tiles, mean, std), rows, columns)


def to_pixels(image: Image.Image) -> Tensor:
    """An RGB image as a tensor.

    Shapes: returns uint8 [3, H, W], a view of bytes that lie as [H, W, 3]; so `resize` is three times as quick.
    """
    rows = 64  # at a time: Pillow exports by way of two more copies, which then stay in the cache (3x on 12 megapixels)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, rows):
        pixels[top : top + rows] = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
    return torch.from_numpy(pixels).permute(2, 0, 1)


@lru_cache(maxsize=16)
def candidate_canvases(max_tiles: int = ImageSettings.max_tiles) -> tuple[tuple[int, int], ...]:
    """All grids (rows, columns) of at most `max_tiles` tiles; 50 of them for 16.

    Errors: UserError if max_tiles < 1.
    """
    _require_positive("max_tiles", max_tiles)
    return tuple((rows, columns) for rows in range(1, max_tiles + 1) for columns in range(1, max_tiles // rows + 1))


def choose_canvas(
    height: int, width: int, tile_size: int = ImageSettings.tile_size, max_tiles: int = ImageSettings.max_tiles
) -> tuple[int, int]:
    """The grid (rows, columns) on which an image loses no detail and wastes the least; else loses the least detail.

    An image fills a canvas when it is scaled by min(canvas height / height, canvas width / width). Of the scales that
    do not shrink it the smallest wins; if all shrink it, the largest. Of the canvases of that scale, the smallest.

    Units:  height, width and tile_size in pixels; the result in tiles.
    Errors: UserError if a size is not positive.
    Source: HF `get_best_fit`, Meta `VariableSizeImageTransform.get_best_fit`.
    Differs: scales are compared as integers (times height * width / tile_size), not as float32 numbers. With 16 tiles
        no two of them round to the same float32 unless both sides exceed 500,000 pixels.
    """
    _require_positive("height", height)
    _require_positive("width", width)
    _require_positive("tile_size", tile_size)
    canvases = candidate_canvases(max_tiles)
    scales = [min(rows * width, columns * height) for rows, columns in canvases]
    keeps_detail = [scale for scale in scales if scale * tile_size >= height * width]
    best = min(keeps_detail) if keeps_detail else max(scales)
    return min((canvas for canvas, scale in zip(canvases, scales, strict=True) if scale == best), key=math.prod)


def fit_inside(
    height: int, width: int, canvas: tuple[int, int], tile_size: int = ImageSettings.tile_size
) -> tuple[int, int]:
    """The size (new height, new width) that an image gets on its canvas, with its proportions kept.

    It is shrunk if it must be. It is enlarged only if it is smaller than one tile, until one side is a tile's.

    Units:  pixels; canvas (rows, columns) in tiles.
    Source: HF `get_max_res_without_distortion`. The other side is rounded down after float64 arithmetic, as there:
        79 * (336 / 79) is a little less than 336, so 79 x 79 becomes 336 x 335.
    """
    height_limit = min(max(height, tile_size), canvas[0] * tile_size)
    width_limit = min(max(width, tile_size), canvas[1] * tile_size)
    height_scale, width_scale = height_limit / height, width_limit / width
    if width_scale < height_scale:
        return max(1, math.floor(height * width_scale)), width_limit
    return height_limit, max(1, math.floor(width * height_scale))


def resize(pixels: Tensor, height: int, width: int) -> Tensor:
    """Bilinear with antialiasing: where it shrinks, every source pixel counts.

    Shapes: uint8 [3, H, W] -> uint8 [3, height, width].
    Source: torchvision's `resize` of uint8 images. The arithmetic is fixed-point, hence the same on every machine.
    Differs: on an x86 CPU without AVX2 torchvision goes through float32 instead, which changes some bytes by 1.
    """
    if pixels.shape[1:] == (height, width):
        return pixels
    return F.interpolate(pixels[None], size=(height, width), mode="bilinear", antialias=True)[0]


def resize_and_pad(pixels: Tensor, canvas: tuple[int, int], tile_size: int = ImageSettings.tile_size) -> Tensor:
    """Put the image into the upper left corner of its canvas; the rest is black.

    Shapes: uint8 [3, H, W] -> uint8 [3, rows * tile_size, columns * tile_size].
    """
    height, width = fit_inside(pixels.shape[1], pixels.shape[2], canvas, tile_size)
    padded = pixels.new_zeros(3, canvas[0] * tile_size, canvas[1] * tile_size)
    padded[:, :height, :width] = resize(pixels, height, width)
    return padded


def split_into_tiles(pixels: Tensor, tile_size: int = ImageSettings.tile_size) -> Tensor:
    """Cut a canvas into tiles, row by row.

    Shapes: [3, rows * tile_size, columns * tile_size] -> [rows * columns, 3, tile_size, tile_size].
    """
    grid = pixels.unflatten(2, (-1, tile_size)).unflatten(1, (-1, tile_size))  # [3, rows, size, columns, size]
    return grid.permute(1, 3, 0, 2, 4).flatten(0, 1)


def normalize(
    pixels: Tensor, mean: Sequence[float] = ImageSettings.mean, std: Sequence[float] = ImageSettings.std
) -> Tensor:
    """Bytes to numbers in [-1, 1].

    Shapes: uint8 [..., 3, H, W] -> bfloat16 [..., 3, H, W].
    Source: HF `Llama4ImageProcessor.rescale_and_normalize`. Each of its three steps rounds to bfloat16, so that 128
        of the 256 bytes become another number than float32 steps would give; by up to 1/256.
    """
    channels_first = (3, 1, 1)
    mean_of_channel = torch.tensor(mean, dtype=torch.bfloat16).view(channels_first)
    std_of_channel = torch.tensor(std, dtype=torch.bfloat16).view(channels_first)
    return pixels.to(torch.bfloat16).mul_(RESCALE_FACTOR).sub_(mean_of_channel).div_(std_of_channel)


def _require_positive(name: str, value: int) -> None:
    if not isinstance(value, int | np.integer) or value < 1:
        raise UserError(f"{name} must be a positive whole number; got {value!r}")
