"""Figures about chunks and layers without positions: who sees whom, who looks where, and how sharply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from .colors import BLACK, BLUE, GREEN, GREY, ORANGE, SKY_BLUE, VERMILION

LEAST = 0.02  # of a weight that is drawn
DOTS = ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (ORANGE, "D"))


def draw_masks(words: Sequence[str], masks: Mapping[str, Tensor]) -> Figure:
    """One grid for each mask, words on both sides; a filled square means that the row's word sees the column's.

    Shapes: masks [T, T], one word for each of T.
    """
    figure, axes = plt.subplots(1, len(masks), figsize=(4.2 * len(masks), 4.4), dpi=80, layout="constrained")
    for axis, (title, mask) in zip(axes, masks.items(), strict=True):
        axis.imshow(mask.numpy(), cmap=ListedColormap(["white", SKY_BLUE]), vmin=0, vmax=1)
        axis.set_xticks(range(len(words)), words, family="monospace", rotation=90)
        axis.set_yticks(range(len(words)), words, family="monospace")
        axis.set_xticks([i - 0.5 for i in range(1, len(words))], minor=True)
        axis.set_yticks([i - 0.5 for i in range(1, len(words))], minor=True)
        axis.grid(which="minor", color=GREY, linewidth=0.5)
        axis.tick_params(which="both", length=0)
        axis.set_title(title, loc="left", fontsize=11)
        axis.set_xlabel("is seen")
    axes[0].set_ylabel("sees")
    return figure


def draw_looks(weights: Mapping[str, Tensor], chunk_size: int, marks: Mapping[int, str]) -> Figure:
    """One panel for each name: how much each head looks at every token; edges of chunks dashed, `marks` named.

    Weights below 2 % are left out.

    Shapes: weights [H, S], the softmax of one query's scores.
    """
    figure, axes = plt.subplots(
        len(weights), 1, figsize=(9, 2.3 * len(weights)), dpi=80, layout="constrained", sharex=True
    )
    for axis, (title, heads) in zip(axes, weights.items(), strict=True):
        for head, ((colour, marker), row) in enumerate(zip(DOTS, heads.tolist(), strict=False)):
            slots = [slot for slot, weight in enumerate(row) if weight >= LEAST]
            shown = [row[slot] for slot in slots]
            axis.vlines(slots, 0, shown, color=colour, linewidth=1.2)
            axis.scatter(slots, shown, color=colour, marker=marker, s=18, label=f"head {head}")
        for edge in range(chunk_size, heads.shape[1], chunk_size):
            axis.axvline(edge - 0.5, color=BLACK, linestyle="--", linewidth=1)
        axis.set(xlim=(-2, heads.shape[1] + 1), ylim=(0, 1.3), yticks=[0, 0.5, 1], ylabel="weight")
        axis.set_title(title, loc="left", fontsize=11)
        for slot, text in marks.items():
            side = "right" if slot > 0.8 * heads.shape[1] else "center"
            axis.text(slot, 1.12, text, ha=side, va="bottom", fontsize=9, backgroundcolor="white")
            axis.axvline(slot, color=GREY, linewidth=0.6, zorder=0)
        _tidy(axis)
    axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes[-1].set_xlabel("token; the dashed line is the edge of a chunk")
    return figure


def draw_needle(num_keys: Sequence[int], weights: Mapping[str, Sequence[float]]) -> Figure:
    """How much attention one good key gets among so many keys, one line for each name.

    Units:  weights 0 to 1.
    """
    figure, axis = plt.subplots(figsize=(7, 3), dpi=80, layout="constrained")
    for (colour, marker), (name, line) in zip(DOTS, weights.items(), strict=False):
        axis.plot(num_keys, line, color=colour, marker=marker, markersize=4, label=name)
    axis.set(xscale="log", ylim=(0, 1.05), xlabel="keys that the query sees", ylabel="weight of the good key")
    axis.legend(frameon=False, loc="lower left")
    _tidy(axis)
    return figure


def draw_edges(right: Mapping[str, Sequence[Sequence[float]]], places: Sequence[str]) -> Figure:
    """Answers by where in its chunk they start: one panel for each name, one dot for each model.

    Units:  `right` 0 to 1, for each place one number a model.
    """
    figure, axes = plt.subplots(1, len(right), figsize=(3.2 * len(right), 3), dpi=80, layout="constrained", sharey=True)
    for axis, (title, numbers) in zip(axes, right.items(), strict=True):
        for model, line in enumerate(zip(*numbers, strict=True)):
            colour, marker = DOTS[model % len(DOTS)]
            axis.plot(places, line, color=colour, marker=marker, markersize=5, alpha=0.8, label=f"training {model}")
        axis.set_title(title, loc="left", fontsize=11)
        axis.set(ylim=(0, 1.05), xlabel="tokens after the edge")
        _tidy(axis)
    axes[0].set_ylabel("right")
    axes[0].legend(frameon=False, loc="lower left")
    return figure


def _tidy(axis: Axes) -> None:
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
