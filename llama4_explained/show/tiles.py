"""A picture's way to the vision tower, drawn: canvases, tiles in their order, patches, and what sizes cost.

Shapes: N tiles (the global one included), C = 3 colours; sizes as (height, width) in pixels, canvases in tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from .colors import BLACK, BLUE, GREEN, GREY, ORANGE, SKY_BLUE, VERMILION

Canvas = tuple[int, int]
COLOURS = (("red", VERMILION), ("green", GREEN), ("blue", BLUE))


def draw_canvases(
    height: int, width: int, tile_size: int, scales: Mapping[Canvas, float], chosen: Canvas, per_row: int = 4
) -> Figure:
    """Every candidate with its tiles, and the picture as large as it would have to be to fill it.

    Units:  height, width and tile_size in pixels; `scales` says by how much each canvas would scale the picture.
    """
    lines = -(-len(scales) // per_row)
    tallest = [max(rows for rows, _ in list(scales)[line * per_row : (line + 1) * per_row]) for line in range(lines)]
    widest = max(columns for _, columns in scales)
    size = (9, 0.55 * sum(tallest) + 0.6 * lines)
    figure, axes = plt.subplots(
        lines, per_row, figsize=size, layout="constrained", squeeze=False, height_ratios=tallest
    )
    for axis in axes.flat:
        axis.axis("off")
    for index, ((rows, columns), scale) in enumerate(scales.items()):
        axis, is_chosen = axes.flat[index], (rows, columns) == chosen
        axis.add_patch(Rectangle((0, 0), width * scale, height * scale, facecolor=SKY_BLUE, alpha=0.8))
        _draw_grid(axis, rows, columns, tile_size, VERMILION if is_chosen else BLACK, 3 if is_chosen else 1)
        said = "chosen" if is_chosen else "shrinks" if scale < 1 else "keeps all"
        axis.set_title(
            f"{rows} x {columns}: scale {scale:.2f}\n{said}",
            fontsize=10,
            loc="left",
            color=VERMILION if is_chosen else BLACK,
        )
        rim = 0.06 * tile_size
        axis.set(xlim=(-rim, widest * tile_size + rim), ylim=(tallest[index // per_row] * tile_size + rim, -rim))
        axis.set(aspect="equal", anchor="NW")
    return figure


def draw_tile_order(tiles: Tensor, rows: int, columns: int) -> Figure:
    """The tiles as the vision tower gets them, first to last, with the control tokens that the text has between them.

    Shapes: tiles [N, 3, size, size] in [-1, 1].
    """
    count = len(tiles)
    figure, axes = plt.subplots(1, count, figsize=(1.9 * count, 2.5), layout="constrained", squeeze=False)
    for number, (axis, tile) in enumerate(zip(axes[0], tiles, strict=True)):
        _draw_pixels(axis, tile)
        is_global = number == rows * columns or count == 1
        place = "the whole picture" if is_global else f"row {number // columns}, column {number % columns}"
        axis.set_title(f"tile {number}\n{place}", fontsize=10)
        if is_global:
            after = "image_end"
        else:
            after = "tile_x_separator" if (number + 1) % columns else "tile_y_separator"
        if not is_global and number + 1 == rows * columns:
            after += "\nthen image"
        axis.text(0.5, -0.06, f"then {after}", transform=axis.transAxes, ha="center", va="top", fontsize=9, color=BLUE)
    return figure


def draw_patch(tile: Tensor, patch_size: int, row: int, column: int) -> Figure:
    """A tile with its patches; one of them magnified; and that one as a line of numbers, colour after colour.

    Shapes: tile [3, size, size] in [-1, 1].
    """
    patch = tile[:, row * patch_size : (row + 1) * patch_size, column * patch_size : (column + 1) * patch_size]
    figure = plt.figure(figsize=(8.5, 5.4), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[3.4, 1])
    left, right, line = (figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :]))
    _draw_pixels(left, tile)
    side = tile.shape[-1] // patch_size
    _draw_grid(left, side, side, patch_size, GREY, 0.4)
    corner = column * patch_size, row * patch_size
    for colour, thickness in (("white", 5), (BLACK, 2)):  # seen on any ground
        left.add_patch(Rectangle(corner, patch_size, patch_size, fill=False, ec=colour, lw=thickness, zorder=3))
    left.set_title(f"one tile: {side} x {side} patches")
    _draw_pixels(right, patch)
    right.set_title(f"one patch: {patch_size} x {patch_size} pixels")
    numbers = patch.float().flatten().numpy()
    part = patch_size**2
    for index, (name, colour) in enumerate(COLOURS):
        places = np.arange(index * part, (index + 1) * part)
        line.fill_between(places, numbers[places], -1, step="mid", color=colour, lw=0)
        line.text((index + 0.5) * part, 1.08, name, ha="center", va="bottom", color=colour, fontsize=10)
    line.set(xlim=(0, 3 * part), ylim=(-1, 1), xlabel=f"the same patch as {3 * part} numbers", yticks=[-1, 1])
    line.spines[["top", "right"]].set_visible(False)
    return figure


def draw_token_costs(
    tokens_of: Callable[[int, int], int], longest: int, marks: Mapping[str, Sequence[int]], step: int = 24
) -> Figure:
    """How many tokens pictures of all sizes become; `marks` are sizes to point out, by what to write beside them."""
    sides = np.arange(step, longest + 1, step)
    tokens = np.array([[tokens_of(int(height), int(width)) for width in sides] for height in sides])
    figure, axis = plt.subplots(figsize=(7, 5.4), layout="constrained")
    levels = np.unique(tokens)
    edges = np.concatenate([[levels[0] - 1], (levels[:-1] + levels[1:]) / 2, [levels[-1] + 1]])
    shades = plt.get_cmap("cividis", len(levels))
    drawn = axis.pcolormesh(sides, sides, tokens, cmap=shades, norm=BoundaryNorm(edges, len(levels)), shading="nearest")
    bar = figure.colorbar(drawn, ticks=levels[:: max(1, len(levels) // 8)], label="tokens", spacing="proportional")
    bar.ax.minorticks_off()
    for text, (height, width) in marks.items():
        axis.plot(width, height, "o", color=ORANGE, mec=BLACK, ms=8)
        axis.annotate(
            text, (width, height), xytext=(6, 6), textcoords="offset points", fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85},
        )  # fmt: skip
    axis.set(xlabel="width in pixels", ylabel="height in pixels", aspect="equal")
    return figure


def _draw_pixels(axis: Axes, pixels: Tensor) -> None:
    """[3, h, w] in [-1, 1], one unit a pixel, the corner at (0, 0)."""
    shown = ((pixels.float() + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy()
    axis.imshow(shown, extent=(0, pixels.shape[2], pixels.shape[1], 0), interpolation="nearest")
    axis.axis("off")


def _draw_grid(axis: Axes, rows: int, columns: int, size: int, colour: str, width: float) -> None:
    for row in range(rows + 1):
        axis.plot([0, columns * size], [row * size] * 2, color=colour, linewidth=width, solid_capstyle="projecting")
    for column in range(columns + 1):
        axis.plot([column * size] * 2, [0, rows * size], color=colour, linewidth=width, solid_capstyle="projecting")
