"""What the routed experts of a model do: what their choice tells of a token, and what is lost without them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .colors import BLUE, GREEN, ORANGE, PURPLE, VERMILION
from .files import save_figure

# Markers and dashes tell lines apart in print.
ROUTERS = {
    "trained": (BLUE, "o", "-", "trained router"),
    "untrained": (VERMILION, "s", "--", "untrained"),
    "untrained, even": (ORANGE, "^", ":", "untrained, all experts used alike"),
}
CHANGES = {
    "routed experts off": (BLUE, "o"),
    "shared expert off": (VERMILION, "s"),
    "rotated to a wrong expert": (GREEN, "^"),
    "untrained routers": (PURPLE, "D"),
    "one expert off": ("#555555", "v"),
}
TOLD = {
    "modality": "image token or text?",
    "kind of word": "what does a text token say?",
    "language": "in which language is it?",
}


def save_specialisation(found: dict[str, Any], path: str | Path) -> None:
    """Draw what `tiny.specialisation` found into a file.

    Errors: UserError if the file cannot be written.
    """
    save_figure(draw_specialisation(found), path)


def draw_specialisation(found: dict[str, Any]) -> Figure:
    """Draw what `tiny.specialisation` found: information, points lost, and the experts one by one."""
    figure = plt.figure(figsize=(11, 11.5), layout="constrained")
    figure.suptitle("What the routed experts do")
    rows: Any = figure.subfigures(3, 1, height_ratios=[1.1, 1, 1.05])
    top, middle, bottom = rows
    _draw_told(top.subplots(1, len(TOLD), sharey=True), found["mutual_information"])
    all_layers, one_layer = middle.subplots(1, 2, width_ratios=[1, 1.6])
    _draw_causal(all_layers, found["causal"])
    _draw_layers(one_layer, found["per_layer"])
    _draw_experts(bottom.subplots(), found["single_experts"])
    return figure


def _draw_told(axes: Sequence[Axes], found: dict[str, Any]) -> None:
    for axis, (what, question) in zip(axes, TOLD.items(), strict=True):
        for name, (colour, marker, dashes, label) in ROUTERS.items():
            percent = [100 * share for share in found[what][name]["share"]]
            axis.plot(found["layers"], percent, dashes, color=colour, marker=marker, markersize=5, label=label)
        axis.set_title(f"{question}\n{found[what]['entropy']:.2f} bits to know", loc="left", fontsize=11)
        _tidy(axis, found["layers"])
    axes[0].set_ylabel("told by the choice of an expert, %")
    lowest, highest = axes[0].get_ylim()  # shared
    axes[0].set_ylim(min(0.0, lowest), 1.3 * highest)  # room for the legend
    axes[0].legend(frameon=False, fontsize=9, loc="upper left")


def _draw_causal(axis: Axes, found: dict[str, Any]) -> None:
    names = list(CHANGES)
    axis.barh(
        range(len(names)), [found[name]["points lost"] for name in names],
        xerr=[found[name]["standard error"] for name in names],
        color=[CHANGES[name][0] for name in names], error_kw={"capsize": 3, "lw": 1},
    )  # fmt: skip
    axis.set_yticks(range(len(names)), [name.replace(" to a ", " to\na ") for name in names])
    axis.invert_yaxis()
    axis.set_axisbelow(True)
    axis.axvline(0, color="black", lw=0.8)
    axis.set_xlabel("points lost")
    axis.set_title(
        f"changed in all layers ({100 * found['nothing changed']['right']:.0f} % right before)", loc="left", fontsize=11
    )
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _draw_layers(axis: Axes, found: dict[str, Any]) -> None:
    for name, (colour, marker) in CHANGES.items():
        if name in found:  # some are made in all layers only
            axis.plot(found["layers"], found[name], color=colour, marker=marker, markersize=5, label=name)
    axis.axhline(0, color="black", lw=0.8)
    axis.set_ylabel("points lost")
    axis.set_title("changed in one layer alone", loc="left", fontsize=11)
    axis.margins(y=0.2)
    axis.legend(frameon=False, fontsize=9, ncols=3, loc="upper left")
    _tidy(axis, found["layers"])


def _draw_experts(axis: Axes, found: dict[str, Any]) -> None:
    lost = [losses for experts in found["by task"] for losses in experts]  # [layers * experts][tasks]
    num_experts = len(found["points lost"][0])
    most = max(1.0, *(abs(number) for losses in lost for number in losses))
    columns = [list(task) for task in zip(*lost, strict=True)]
    image = axis.imshow(columns, cmap="PuOr_r", vmin=-most, vmax=most, aspect="auto", interpolation="none")
    for layer in range(1, len(found["layers"])):
        axis.axvline(layer * num_experts - 0.5, color="black", lw=1)
    middles = [(place + 0.5) * num_experts - 0.5 for place in range(len(found["layers"]))]
    axis.set_xticks(middles, [f"layer {layer}" for layer in found["layers"]])
    axis.set_yticks(range(len(found["tasks"])), [task.replace("_", " ") for task in found["tasks"]])
    axis.tick_params(length=0)
    axis.set_title(f"points lost with one expert off ({num_experts} a layer)", loc="left", fontsize=11)
    axis.figure.colorbar(image, ax=axis, fraction=0.025, pad=0.01)


def _tidy(axis: Axes, layers: list[int]) -> None:
    axis.set_xticks(layers)
    axis.set_xlabel("layer")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
