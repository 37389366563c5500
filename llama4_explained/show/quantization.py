"""Weights in fewer bits, drawn: rounding to the nearest code, the errors that it leaves, and what they cost a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from .colors import BLACK, BLUE, GREEN, GREY, LINES, ORANGE, SKY_BLUE, VERMILION

GROUP_SHADES = ("white", "#EFEFEF")


def draw_rounding(weights: Tensor, scale: float, zero: int, num_codes: int) -> Figure:
    """Weights above, the numbers that the format has below, and a line from each weight to the nearest of them.

    Shapes: weights [K], one group.
    """
    figure, axis = plt.subplots(figsize=(8, 2.5), dpi=80, layout="constrained")
    for code in range(num_codes):
        place = (code - zero) * scale
        axis.plot([place, place], [-0.08, 0.08], color=GREY)
        axis.text(
            place, -0.16, str(code), ha="center", va="top", color=BLUE, fontweight="bold" if code == zero else None
        )
        axis.text(place, -0.5, f"{place:g}", ha="center", va="top", fontsize=7)
    for weight in weights.tolist():
        nearest = round(weight / scale) * scale
        axis.plot([weight, nearest], [0.85, 0.08], color=ORANGE, linewidth=1.5)
        axis.plot(weight, 0.85, "o", color=VERMILION)
        axis.text(weight, 1.02, f"{weight:g}", ha="center", va="bottom", fontsize=9)
    left = -zero * scale - 0.9 * scale
    axis.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    for height, name, colour in ((1.1, "weight", BLACK), (-0.24, "code", BLUE), (-0.56, "comes back as", BLACK)):
        axis.text(left, height, name, ha="right", va="center", color=colour, fontsize=9)
    axis.set(xlim=(left - 2.6 * scale, (num_codes - zero) * scale), ylim=(-0.75, 1.35))
    axis.axis("off")
    return figure


def draw_errors(errors: Tensor) -> Figure:
    """How often errors of each size occur.

    Units: in steps, the distance between two codes.
    """
    figure, axis = plt.subplots(figsize=(6, 2.4), dpi=80, layout="constrained")
    numbers = errors.flatten().numpy() * (1 - 1e-4)  # exactly half a step belongs to the bin inside
    axis.hist(numbers, bins=40, range=(-1, 1), weights=[100 / len(numbers)] * len(numbers), color=SKY_BLUE)
    for edge in (-0.5, 0.5):
        axis.axvline(edge, color=VERMILION, linestyle="--")
    axis.set(xlabel="error, in steps", ylabel="% of the weights", xticks=[-1, -0.5, 0, 0.5, 1])
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def draw_error_by_group(errors: Mapping[str, Mapping[int, float]]) -> Figure:
    """One line a format: its error for each group size.

    Units: errors as parts of the weights' norm.
    """
    figure, axis = plt.subplots(figsize=(6.5, 3.4), dpi=80, layout="constrained")
    for (name, by_size), colour in zip(errors.items(), (BLUE, GREEN, ORANGE, VERMILION), strict=False):
        sizes, percent = list(by_size), [100 * error for error in by_size.values()]
        axis.plot(sizes, percent, "o-", color=colour)
        axis.text(sizes[-1] * 1.12, percent[-1], name, color=colour, va="center")
    axis.set(xscale="log", yscale="log", xlabel="weights in a group", ylabel="error, % of the weights")
    sizes = list(next(iter(errors.values())))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(sizes, [str(size) for size in sizes])
    ticks = [0.3, 1, 3, 10, 30]
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xlim(min(sizes) / 1.2, max(sizes) * 1.7)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def draw_outlier(before: Tensor, after: Tensor, group_size: int) -> Figure:
    """The error of each weight of a row, without and with an outlier; groups are shaded in turn.

    Shapes: both [K].
    """
    figure, axes = plt.subplots(2, 1, figsize=(8, 3.6), dpi=80, layout="constrained", sharex=True, sharey=True)
    for axis, errors, name, colour in zip(
        axes, (before, after), ("the row as it is", "one weight 20 times the mean"), (BLUE, VERMILION), strict=True
    ):
        for start in range(0, len(errors), group_size):
            shade = GROUP_SHADES[start // group_size % 2]
            axis.axvspan(start - 0.5, start + group_size - 0.5, color=shade, linewidth=0)
        axis.bar(range(len(errors)), errors.abs().tolist(), width=1, color=colour)
        axis.set_title(name, loc="left", fontsize=10)
        axis.set(xlim=(-0.5, len(errors) - 0.5), ylabel="error")
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_xlabel("place in the row; shades are groups")
    return figure


def draw_formats(names: Sequence[str], right: Sequence[float], divergence: Sequence[float]) -> Figure:
    """Two measures of the same formats, one row each: right answers, and how far the distribution moved.

    Units: `right` as shares; `divergence` in nats, 0 where nothing was quantised.
    """
    height = 0.32 * len(names) + 1.1
    figure, axes = plt.subplots(1, 2, figsize=(9, height), dpi=80, layout="constrained", sharey=True)
    places = range(len(names))
    axes[0].barh(places, [100 * share for share in right], color=LINES[1], height=0.7)
    for place, share in zip(places, right, strict=True):
        axes[0].text(2, place, f"{100 * share:.1f}", va="center", fontsize=9)
    axes[0].set(title="Right answers, %", xlim=(0, 100))
    for place, nats in zip(places, divergence, strict=True):
        if nats:
            axes[1].plot([1e-6, nats], [place, place], color=GREY, linewidth=1)
            axes[1].plot(nats, place, "o", color=VERMILION)
        else:
            axes[1].text(1.5e-6, place, "0", va="center", fontsize=9)
    axes[1].set(title="KL divergence, nats a token", xscale="log", xlim=(1e-6, 1))
    axes[0].set_yticks(places, names)
    axes[0].invert_yaxis()
    for axis in axes:
        axis.grid(axis="x", alpha=0.3)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure
