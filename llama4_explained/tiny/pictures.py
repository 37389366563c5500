"""Scenes drawn: every shape is stamped on the background with soft edges, in whole numbers.

The stamps are made once, on the CPU, from inequalities that need nothing but additions and multiplications, and
stamping is integer arithmetic. So a picture is the same to the last bit on every machine, CPU or GPU.

Shapes: N scenes, H and W height and width in pixels, S stamps, s side of a stamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .languages.language import COLORS, MOST_OBJECTS, SHAPES
from .scenes import RADII, TURNS, Scene

SIDE = 2 * RADII[-1] + 1  # of a stamp, in pixels; smaller objects leave its rim empty
SAMPLES = 4  # per side of a pixel: coverage comes in sixteenths

# Cosines and sines of multiples of 72 degrees, for the five lines that bound a star.
_FIFTHS = (
    (1.0, 0.0), (0.30901699437494745, 0.9510565162951535), (-0.8090169943749475, 0.5877852522924731),
    (-0.8090169943749475, -0.5877852522924731), (0.30901699437494745, -0.9510565162951535),
)  # fmt: skip


def inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points belong to a shape, none of which is further than 1 from its middle; y points down."""
    if shape == "circle":
        return x * x + y * y <= 0.9
    if shape == "square":
        return np.maximum(abs(x), abs(y)) <= 0.7
    if shape == "triangle":
        return (y <= 0.5) & (1.732 * abs(x) - y <= 1)
    if shape == "star":  # all points on the outer side of at most one line; its tips lie on the circle
        outside = sum((-y * cosine + x * sine > 0.309).astype(int) for cosine, sine in _FIFTHS)
        return (outside <= 1) & (x * x + y * y <= 1)
    if shape == "heart":
        across, up = 1.36 * x, -1.36 * y + 0.1
        square = across * across + up * up - 1
        return square * square * square - across * across * up * up * up <= 0
    return (np.minimum(abs(x), abs(y)) <= 0.28) & (np.maximum(abs(x), abs(y)) <= 0.95)  # a cross


@lru_cache(maxsize=1)
def stamps() -> Tensor:
    """How much of every pixel each shape covers, for each of its sizes and leanings: uint8 [S, s, s], 0 to 255."""
    steps = (np.arange(SIDE * SAMPLES) + 0.5) / SAMPLES - SIDE / 2  # from the middle, in pixels
    made = []
    for shape in SHAPES:
        for radius in RADII:
            for turn in range(TURNS):
                half = (2 * turn - TURNS + 1) / 64  # tangent of half the angle: -12 to 12 degrees, without sines
                cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
                x, y = steps[None, :] / radius, steps[:, None] / radius
                points = inside(shape, cosine * x + sine * y, cosine * y - sine * x)
                counts = points.reshape(SIDE, SAMPLES, SIDE, SAMPLES).sum((1, 3))
                made.append((counts * 255 // SAMPLES**2).astype(np.uint8))
    return torch.from_numpy(np.stack(made))


# One object as numbers: its stamp, the stamp's upper left corner, its exact colour, 1 (0 where there is no object), and
# the number of its colour's name.
FIELDS = 8


def as_numbers(scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
    """Scenes as tensors, from which `draw` makes pictures on any device.

    Shapes: returns int32 [N, MOST_OBJECTS, FIELDS] and int32 [N, 7]: the two ends of the background, and whether it
        runs down.
    """
    items, backgrounds = [], []
    for scene in scenes:
        for item in scene.items:
            stamp = (SHAPES.index(item.thing.shape) * len(RADII) + RADII.index(item.radius)) * TURNS + item.turn
            corner = (item.y - SIDE // 2, item.x - SIDE // 2)
            items.append((stamp, *corner, *item.rgb, 1, COLORS.index(item.thing.color)))
        items += [(0,) * FIELDS] * (MOST_OBJECTS - len(scene.items))
        backgrounds.append((*scene.background[0], *scene.background[1], scene.runs_down))
    shape = (len(scenes), MOST_OBJECTS, FIELDS)
    items = torch.tensor(items, dtype=torch.int32).view(shape)
    backgrounds = torch.tensor(backgrounds, dtype=torch.int32).view(len(scenes), 7)
    return items, backgrounds


def draw(items: Tensor, backgrounds: Tensor, height: int, width: int, all_stamps: Tensor) -> Tensor:
    """Pictures of one size from what `as_numbers` gave; `all_stamps` is `stamps()` on the same device.

    Shapes: items [N, MOST_OBJECTS, FIELDS], backgrounds [N, 7] -> uint8 [N, 3, H, W].
    """
    device = items.device
    y, x = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)[None, :]
    first, last = backgrounds[:, :3, None, None], backgrounds[:, 3:6, None, None]
    down = backgrounds[:, 6, None, None, None] == 1
    picture = torch.where(
        down, (first * (height - 1 - y) + last * y) // (height - 1), (first * (width - 1 - x) + last * x) // (width - 1)
    )
    for item in items.unbind(1):
        stamp, top, left = (item[:, field, None, None].long() for field in range(3))
        row, column = y - top, x - left  # inside the stamp  [N, H, W]
        within = (row >= 0) & (row < SIDE) & (column >= 0) & (column < SIDE) & (item[:, 6, None, None] == 1)
        place = (stamp * SIDE + row.clamp(0, SIDE - 1)) * SIDE + column.clamp(0, SIDE - 1)
        coverage = torch.where(within, all_stamps.flatten()[place].int(), 0)[:, None]  # [N, 1, H, W]
        picture = (picture * (255 - coverage) + item[:, 3:6, None, None] * coverage + 127) // 255
    return picture.to(torch.uint8)


def draw_scene(scene: Scene) -> Image.Image:
    """One scene as an RGB image."""
    pixels = draw(*as_numbers([scene]), scene.height, scene.width, stamps())[0]
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
