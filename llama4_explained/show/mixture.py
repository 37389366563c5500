"""Where tokens go in a mixture of experts, drawn as lines from each token to its experts."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .colors import BLACK, GREY, LINES

LEFT, MIDDLE, RIGHT = 0.0, 1.0, 1.45  # of tokens, routed experts, the shared expert
BOX = {"boxstyle": "round,pad=0.35", "facecolor": "white"}


def draw_routes(words: Sequence[str], expert_index: Tensor, score: Tensor, num_experts: int) -> Figure:
    """Tokens on the left, routed experts on the right, and further out the shared expert, which sees every token.

    The stronger a score, the thicker its line; the number on it is the score.

    Shapes: expert_index and score [BT, A], one row for each of `words`.
    """
    height = 0.42 * max(len(words), num_experts) + 0.6
    figure, axis = plt.subplots(figsize=(7, height), dpi=80, layout="constrained")
    tokens = _heights(len(words), height)
    experts = _heights(num_experts, height)
    for place, word in zip(tokens, words, strict=True):
        axis.text(LEFT, place, word, ha="right", va="center", family="monospace", bbox={**BOX, "edgecolor": GREY})
    for expert, place in enumerate(experts):
        colour = LINES[expert % len(LINES)]
        is_used = bool((expert_index == expert).any())
        axis.text(
            MIDDLE, place, f"expert {expert}", ha="left", va="center", color=BLACK if is_used else GREY,
            bbox={**BOX, "edgecolor": colour, "linewidth": 1.5 if is_used else 0.5},
        )  # fmt: skip
    for place, chosen, strengths in zip(tokens, expert_index.tolist(), score.tolist(), strict=True):
        for expert, strength in zip(chosen, strengths, strict=True):
            _draw_route(axis, place, experts[expert], LINES[expert % len(LINES)], strength)
    box = {**BOX, "edgecolor": BLACK, "linewidth": 1.5}
    axis.text(RIGHT, height / 2, "shared\nexpert", ha="left", va="center", bbox=box)
    axis.text(RIGHT, height / 2 - 0.75, "every token,\nat full strength", ha="left", va="center", fontsize=8)
    axis.set(xlim=(LEFT - 0.35, RIGHT + 0.35), ylim=(0, height))
    axis.axis("off")
    return figure


def _heights(number: int, height: float) -> list[float]:
    """Evenly spread, the first on top."""
    return [height * (1 - (i + 0.5) / number) for i in range(number)]


def _draw_route(axis: Axes, start: float, end: float, colour: str, strength: float) -> None:
    left, right = LEFT + 0.06, MIDDLE - 0.06
    axis.plot([left, right], [start, end], color=colour, linewidth=0.5 + 4 * strength, solid_capstyle="round")
    share = 0.32  # where along its line a number stands: near the token, where lines lie apart
    place = start + share * (end - start)
    axis.text(
        left + share * (right - left), place, f"{strength:.2f}", ha="center", va="center", fontsize=8,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
    )  # fmt: skip
