"""How bytes are merged into tokens, and how long texts become in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .colors import BLACK, GREY, LINES, ORANGE, SKY_BLUE

MARKERS = "osD^vP*X"  # lines stay apart without colours too


def draw_merges(steps: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> Figure:
    """A word, one row for each step: its pieces as boxes, the piece that was joined last in orange.

    `notes` stand beside the rows.
    """
    width, height = sum(map(len, steps[0])), len(steps)
    figure, axis = plt.subplots(figsize=(1.0 + 0.75 * width + 2.2, 0.2 + 0.55 * height), dpi=80, layout="constrained")
    before: Sequence[str] = steps[0]
    for row, pieces in enumerate(steps):
        left, top = 0.0, -float(row)
        new = next((i for i, piece in enumerate(pieces) if piece != before[i]), None) if row else None
        for i, piece in enumerate(pieces):
            axis.add_patch(Rectangle(
                (left + 0.05, top - 0.36), len(piece) - 0.1, 0.72, facecolor=ORANGE if i == new else "white",
                edgecolor=BLACK, linewidth=1.2,
            ))  # fmt: skip
            axis.text(left + len(piece) / 2, top, piece, ha="center", va="center", family="monospace", fontsize=12)
            left += len(piece)
        if row < len(notes):
            axis.text(width + 0.3, top, notes[row], ha="left", va="center", fontsize=10)
        before = pieces
    axis.set(xlim=(-0.1, width + 3.2), ylim=(0.55 - height, 0.55))
    axis.axis("off")
    return figure


def draw_lengths(lengths: Mapping[str, Mapping[str, float]], unit: str) -> Figure:
    """Bars of each language, one for each kind of length: `lengths[kind][language]`."""
    kinds, languages = list(lengths), list(next(iter(lengths.values())))
    figure, axis = plt.subplots(figsize=(7.5, 0.52 * len(languages) + 0.9), dpi=80, layout="constrained")
    thickness = 0.8 / len(kinds)
    for number, (kind, colour) in enumerate(zip(kinds, (GREY, SKY_BLUE, ORANGE), strict=False)):
        places = [i + (number - (len(kinds) - 1) / 2) * thickness for i in range(len(languages))]
        bars = axis.barh(places, [lengths[kind][name] for name in languages], thickness, color=colour, label=kind)
        axis.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    axis.set_yticks(range(len(languages)), languages)
    axis.invert_yaxis()
    axis.set_xlabel(unit)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="upper right")
    return figure


def draw_vocabulary_sizes(sizes: Sequence[int], lengths: Mapping[str, Sequence[float]], unit: str) -> Figure:
    """Lines of how long a text is with vocabularies of growing size, one for each language."""
    figure, axis = plt.subplots(figsize=(7.5, 3.6), dpi=80, layout="constrained")
    for (name, values), colour, marker in zip(lengths.items(), LINES, MARKERS, strict=False):
        axis.plot(sizes, values, color=colour, marker=marker, markersize=5, label=name)
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.minorticks_off()
    axis.set(xlabel="pieces in the vocabulary", ylabel=unit, ylim=(0, None))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return figure
