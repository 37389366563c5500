"""Early fusion, drawn: image tokens on their way into a text, and where in a picture the layers look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image
from torch import Tensor

from .colors import BLACK, BLUE, GREY, ORANGE, SKY_BLUE, VERMILION

# Heights of the rows of `draw_places`, from the top.
IMAGES, WORDS, FUSED = 2.4, 1.2, 0.0
HALF_WIDTH, HALF_HEIGHT = 0.46, 0.3
LARGEST_DISC = 900  # in square points, for all of a token's attention
SCALE = (0.02, 0.1, 0.5)  # shares whose discs are shown beside the pictures
DISC: dict[str, Any] = {"c": "white", "edgecolors": BLACK, "linewidths": 0.8, "zorder": 3}


def draw_places(words: Sequence[str], is_patch: Sequence[bool]) -> Figure:
    """Three rows: image tokens, the text with its patch tokens, and the one sequence that both become.

    `words` are the names of the text's tokens.
    """
    figure, axis = plt.subplots(figsize=(1.25 * len(words), 2.9), dpi=80, layout="constrained")
    number = 0
    for place, (word, is_image) in enumerate(zip(words, is_patch, strict=True)):
        _draw_box(axis, place, WORDS, word, GREY if is_image else BLACK, "white")
        if is_image:
            name = f"image\ntoken {number}"
            _draw_box(axis, place, IMAGES, name, BLUE, SKY_BLUE)
            _draw_box(axis, place, FUSED, name, BLUE, SKY_BLUE)
            _draw_arrow(axis, place, IMAGES, FUSED, BLUE)
            number += 1
        else:
            _draw_box(axis, place, FUSED, word, BLACK, "white")
            _draw_arrow(axis, place, WORDS, FUSED, BLACK)
    for height, name in ((IMAGES, "from the\nprojector"), (WORDS, "embeddings\nof the ids"), (FUSED, "into\nlayer 0")):
        axis.text(-0.75, height, name, ha="right", va="center", fontsize=10)
    axis.set(xlim=(-1.75, len(words) - 0.4), ylim=(FUSED - 0.5, IMAGES + 0.5))
    axis.axis("off")
    return figure


def _draw_box(axis: Axes, place: int, height: float, text: str, edge: str, face: str) -> None:
    corner = (place - HALF_WIDTH, height - HALF_HEIGHT)
    style = "round,pad=0,rounding_size=0.08"
    box = FancyBboxPatch(corner, 2 * HALF_WIDTH, 2 * HALF_HEIGHT, style, edgecolor=edge, facecolor=face, zorder=2)
    axis.add_patch(box)
    axis.text(place, height, text, ha="center", va="center", fontsize=8, family="monospace", color=BLACK, zorder=3)


def _draw_arrow(axis: Axes, place: int, start: float, end: float, colour: str) -> None:
    # The arrow of an image token runs behind the patch token that it replaces.
    arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.2}
    tip, tail = (place, end + HALF_HEIGHT), (place, start - HALF_HEIGHT)
    axis.annotate("", tip, tail, arrowprops=arrow, zorder=1)


def draw_looks(picture: Image.Image, looks: Tensor, titles: Sequence[str], marked: Tensor) -> Figure:
    """One small picture for each layer; a white disc on each image token, the larger, the more a token looks there.

    Areas are parts of all attention, on one scale, which stands below. `marked` image tokens have an orange frame.

    Shapes: picture of one tile; looks [L, image tokens], marked bool [image tokens].
    """
    side = round(looks.shape[1] ** 0.5)
    columns = (len(titles) + 1) // 2
    figure, axes = plt.subplots(2, columns, figsize=(2.1 * columns, 6.4), dpi=80, layout="constrained")
    middle_x, middle_y = torch.arange(side).repeat(side) + 0.5, torch.arange(side).repeat_interleave(side) + 0.5
    for axis, look, title in zip(axes.flat, looks, titles, strict=True):
        axis.imshow(picture, extent=(0, side, side, 0))
        for cell in marked.nonzero()[:, 0].tolist():
            row, column = divmod(cell, side)
            frame = Rectangle((column + 0.04, row + 0.04), 0.92, 0.92, fill=False, edgecolor=ORANGE, linewidth=2.5)
            axis.add_patch(frame)
        axis.scatter(middle_x, middle_y, s=LARGEST_DISC * look, **DISC)
        whole, framed = float(look.sum()), float(look[marked].sum())
        axis.set_title(f"{title}\n{whole:.0%} on the picture,\n{framed:.0%} in the frames", fontsize=9)
        axis.set(xlim=(0, side), ylim=(side, 0), xticks=range(side + 1), yticks=range(side + 1))
        axis.set(xticklabels=[], yticklabels=[])
        axis.grid(color="white", linewidth=0.5)
        axis.tick_params(length=0)
    discs = [axes.flat[0].scatter([], [], s=LARGEST_DISC * share, label=f"{share:.0%}", **DISC) for share in SCALE]
    title = "a disc is a share of all attention of the token:"
    figure.legend(
        handles=discs, title=title, loc="outside lower center", ncols=3, frameon=False, handlelength=4, handleheight=3
    )
    return figure


def draw_found(shares: Mapping[str, Tensor], chance: float) -> Figure:
    """How much of some tokens' look at a picture falls on what was asked for: a bar for each layer, and chance.

    Shapes: shares of each name [L], from 0 to 1.
    """
    figure, axis = plt.subplots(figsize=(8, 2.8), dpi=80, layout="constrained")
    width = 0.8 / len(shares)
    for number, (name, share) in enumerate(shares.items()):
        shift = (number - (len(shares) - 1) / 2) * width
        places = [layer + shift for layer in range(len(share))]
        face, hatch = ((BLUE, ""), ("white", "///"))[number % 2]
        bars = axis.bar(places, (100 * share).tolist(), width, label=name, color=face, edgecolor=BLUE, hatch=hatch)
        axis.bar_label(bars, fmt="%.0f", fontsize=8)
    axis.axhline(100 * chance, color=VERMILION, linestyle="--", label=f"chance: {chance:.0%}")
    axis.set(xlabel="layer", ylabel="% of the look", xticks=range(len(next(iter(shares.values())))), ylim=(0, 105))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9)
    return figure
