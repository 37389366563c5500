"""What the mixture of experts costs: by experts, and by tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from .colors import BLUE, VERMILION
from .files import save_figure

SIDES = {
    "ours": (BLUE, "o", "ours: each expert runs on its own tokens"),
    "hf eager": (VERMILION, "s", "Hugging Face: every expert runs on every token"),
}


def draw_moe_costs(records: list[dict[str, Any]]) -> Figure:
    """Two panels from a benchmark's records: more experts at the same tokens, more tokens at the same experts."""
    points = [
        (int(words[0]), int(words[2]), record["impl"], record["ms_median"])
        for record in records
        if record["op"] == "moe" and (words := record["case"].split())
    ]
    tokens = max({p[1] for p in points}, key=lambda count: len({p[0] for p in points if p[1] == count}))
    experts = max({p[0] for p in points}, key=lambda count: len({p[1] for p in points if p[0] == count}))
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", sharey=True)
    panels = [
        (axes[0], f"{tokens} tokens", "experts", [(e, side, ms) for e, t, side, ms in points if t == tokens]),
        (axes[1], f"{experts} experts", "tokens", [(t, side, ms) for e, t, side, ms in points if e == experts]),
    ]
    for axis, title, label, values in panels:
        for side, (colour, marker, name) in SIDES.items():
            line = sorted((x, ms) for x, of, ms in values if of == side)
            axis.plot(*zip(*line, strict=True), color=colour, marker=marker, label=name)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(
            sorted({x for x, _, _ in values}), [str(x) for x in sorted({x for x, _, _ in values})], minor=False
        )
        axis.set_xlabel(label)
        axis.set_title(title, loc="left")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("milliseconds")
    axes[0].legend(frameon=False)
    figure.suptitle("The cost of one mixture of experts on a CPU")
    return figure


def save_moe_costs(records: list[dict[str, Any]], path: str | Path) -> None:
    """Draw the costs into a file.

    Errors: UserError if the file cannot be written.
    """
    save_figure(draw_moe_costs(records), path)
