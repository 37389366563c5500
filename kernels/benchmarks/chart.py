"""A results file as a picture: time against tokens, a panel for each case, and the shortest time that is possible."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from llama4_explained.show.colors import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY_BLUE, VERMILION
from llama4_explained.show.files import save_figure

from .results import Record, shortest_us, size_of

COLUMNS = 2
OURS = (BLUE, SKY_BLUE, GREEN)
PEERS = (VERMILION, ORANGE, PURPLE, BLACK, GREY)
MARKERS = "sD^vPX*"
LABELS = {"M": "tokens", "batch": "sequences", "context": "tokens of context"}


def save_chart(results: dict[str, Any], path: Path) -> None:
    """Draw a results file into a picture.

    Errors: UserError if the picture cannot be written.
    """
    save_figure(draw_chart(results), path)


def draw_chart(results: dict[str, Any]) -> Figure:
    """Microseconds of every implementation, both axes logarithmic, and the device's own limit below them."""
    records: list[Record] = results["records"]
    cases = list(dict.fromkeys(record["case"] for record in records))
    styles = _styles(list(dict.fromkeys(record["impl"] for record in records)))
    rows = -(-len(cases) // COLUMNS)
    figure, grid = plt.subplots(
        rows, min(COLUMNS, len(cases)), figsize=(11, 0.9 + 3.7 * rows), layout="constrained", squeeze=False
    )
    panels = list(grid.flat)
    for panel, case in zip(panels, cases, strict=False):
        _draw_case(panel, [record for record in records if record["case"] == case], styles, results)
    for empty in panels[len(cases) :]:
        empty.axis("off")
    handles = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
    ops = ", ".join(dict.fromkeys(record["op"] for record in records))
    figure.suptitle(f"{ops} on one {results['device']}, Gaussian weights")
    return figure


def _draw_case(panel: Axes, records: list[Record], styles: dict[str, dict[str, Any]], results: dict[str, Any]) -> None:
    size = size_of(records)
    for impl, style in styles.items():
        points = sorted((r[size], r["us_median"]) for r in records if r["impl"] == impl)
        if points:
            panel.plot(*zip(*points, strict=True), label=impl, **style)
    limit = sorted((r[size], max(shortest_us(r, results))) for r in records if r["impl"] == "ours")
    if limit:
        panel.plot(*zip(*limit, strict=True), color=BLACK, linestyle=":", label="the device's limit for ours")
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    ticks = sorted({record[size] for record in records})
    panel.set_xticks(ticks, [str(tick) if i % 2 == 0 else "" for i, tick in enumerate(ticks)], minor=False)
    panel.yaxis.set_major_formatter("{x:g}")
    panel.set_title(_title(records[0]), loc="left")
    panel.set_xlabel(LABELS[size])
    panel.set_ylabel("µs")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


def _title(record: Record) -> str:
    return f"{record['case']}, {record['N']:,} x {record['K']:,}" if "N" in record else record["case"]


def _styles(impls: list[str]) -> dict[str, dict[str, Any]]:
    """Ours in cold colours and in front, what the public function does thickest; peers thin, each with its marker."""
    ours = sorted((impl for impl in impls if impl.startswith("ours")), key=lambda impl: impl != "ours")
    peers = (impl for impl in impls if impl not in ours)
    styles: dict[str, dict[str, Any]] = {
        impl: {"color": color, "marker": "o", "markersize": 3, "linewidth": 1.2, "zorder": 3}
        for impl, color in zip(ours, itertools.cycle(OURS))
    }
    if "ours" in styles:
        styles["ours"] |= {"markersize": 5, "linewidth": 2.5, "zorder": 4}
    for impl, color, marker in zip(peers, itertools.cycle(PEERS), itertools.cycle(MARKERS)):
        styles[impl] = {"color": color, "marker": marker, "markersize": 4, "linewidth": 1, "zorder": 2}
    return {impl: styles[impl] for impl in impls}
