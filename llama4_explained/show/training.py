"""How a training went: its losses, and how many answers were right on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from .accuracy import TASK_NAMES
from .colors import LINES
from .files import save_figure

LOSSES = {
    "answers": "answers", "cells": "what image tokens say", "named": "where what a question names lies",
    "balance": "balance of routers",
}  # fmt: skip
UNSEEN_PAIRS = "unseen pairs"  # stands among the tasks: all of them, about pictures of what training never shows
NOT_YET = float("nan")


def draw_curves(history: Sequence[dict[str, Any]]) -> Figure:
    """Two panels from the entries of a training's record: losses by step, and right answers by task."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
    steps = [entry["step"] for entry in history]
    for number, (name, label) in enumerate(LOSSES.items()):
        left.plot(steps, [entry["losses"].get(name, NOT_YET) for entry in history], color=LINES[number], label=label)
    left.set(yscale="log", xlabel="step", ylabel="loss (nats; balance: 1 is even)")
    left.set_title("Losses of the last batch", loc="left")
    left.legend(frameon=False)
    for number, task in enumerate(sorted(history[-1]["right"])):
        line = [100 * entry["right"].get(task, NOT_YET) for entry in history]
        right.plot(
            steps, line, ("-", "--")[number // 8 % 2], color=LINES[number % 8], label=TASK_NAMES.get(task, task),
            linewidth=3 if task == UNSEEN_PAIRS else 1.5,
        )  # fmt: skip
    right.set(ylim=(-2, 102), xlabel="step", ylabel="answers right, %")
    right.set_title("Right to the last token", loc="left")
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def save_curves(history: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Draw the curves into a file.

    Errors: UserError if the file cannot be written.
    """
    save_figure(draw_curves(history), path)
