"""How often a model is right, as one picture: by task, language and place in the text, and in fewer bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .colors import BLACK, BLUE, GREEN, ORANGE
from .files import save_figure

DOT = {"color": BLACK, "markeredgecolor": "white", "markeredgewidth": 0.6, "markersize": 5, "clip_on": False}
TASK_NAMES = {"count_shape": "count a shape", "count_color": "count a colour", "color": "colour"}
LANGUAGE_NAMES = {
    "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi", "id": "Indonesian",
    "it": "Italian", "ko": "Korean", "pt": "Portuguese", "th": "Thai", "tl": "Tagalog", "vi": "Vietnamese",
}  # fmt: skip

Table = Mapping[str, Any]


def draw_accuracy(report: Mapping[str, Any]) -> Figure:
    """Four or six panels from what `llama4-explained evaluate` measures: bars are the mean, dots the checkpoints."""
    panels = [(_tasks, _languages), (_notes, _positions)]
    heights = [5.2, 4.0]
    if "quantization" in report["mean"]:
        panels.append((_formats, _divergence))
        heights.append(4.2)
    figure = plt.figure(figsize=(11, sum(heights)), layout="constrained")
    # Every row by itself, so that none makes room for another's long names.
    rows = figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False).flat
    for row, pair in zip(rows, panels, strict=True):
        for axis, panel in zip(row.subplots(1, 2), pair, strict=True):
            panel(axis, report)
            axis.grid(axis="x", alpha=0.3)
            axis.set_axisbelow(True)
            axis.spines[["top", "right"]].set_visible(False)
    names = [record["name"] for record in report["checkpoints"]]
    of = names[0] if len(names) == 1 else f"mean of {len(names)} checkpoints, each a dot"
    figure.suptitle(f"Answers that are right to the last token, % ({of})")
    return figure


def save_accuracy(report: Mapping[str, Any], path: str | Path) -> None:
    """Draw an evaluation into a file.

    Errors: UserError if the file cannot be written.
    """
    save_figure(draw_accuracy(report), path)


def _tasks(axis: Axes, report: Mapping[str, Any]) -> None:
    seen, unseen = (_records(report, "tasks", pairs) for pairs in ("seen", "unseen"))
    names = list(seen[0])
    _bars(axis, seen, names, BLUE, label="seen pairs", offset=-0.2, height=0.38)
    _bars(axis, unseen, names, ORANGE, label="pairs never shown in training", offset=0.2, height=0.38)
    _label_rows(axis, [TASK_NAMES.get(name, name) for name in names])
    axis.set_title("Pictures of one tile, by task", loc="left")
    _legend_below(axis, ncols=2)


def _languages(axis: Axes, report: Mapping[str, Any]) -> None:
    tables = _records(report, "languages")
    _bars(axis, tables, list(tables[0]), BLUE)
    _label_rows(axis, [LANGUAGE_NAMES.get(code, code) for code in tables[0]])
    axis.set_title("The same, by language", loc="left")


def _notes(axis: Axes, report: Mapping[str, Any]) -> None:
    tables = _records(report, "lookup", "notes")
    _bars(axis, tables, list(tables[0]), BLUE)
    _label_rows(axis, [f"{name}, ~{entry['tokens']:.0f} tokens" for name, entry in tables[0].items()])
    axis.set_title("Lookup, by number of notes", loc="left")


def _positions(axis: Axes, report: Mapping[str, Any]) -> None:
    lengths = list(report["mean"]["lookup"]["positions"])
    for number, (notes, color) in enumerate(zip(lengths, (BLUE, ORANGE, GREEN), strict=True)):
        tables = _records(report, "lookup", "positions", notes)
        names = list(tables[0])
        _bars(axis, tables, names, color, label=f"{notes} notes", offset=0.27 * (number - 1), height=0.25)
    _label_rows(axis, [f"token {name}" for name in names])
    axis.set_title("Lookup, by the answer's place in its chunk", loc="left")
    _legend_below(axis, ncols=3)


def _formats(axis: Axes, report: Mapping[str, Any]) -> None:
    tables = _records(report, "quantization")
    rights = [{name: measured["all questions"] for name, measured in table.items()} for table in tables]
    _bars(axis, rights, list(tables[0]), BLUE)
    _label_rows(axis, [f"{name}: {measured['bytes'] / 1e6:.1f} MB" for name, measured in tables[0].items()])
    axis.set_title("All questions, in fewer bits", loc="left")


def _divergence(axis: Axes, report: Mapping[str, Any]) -> None:
    tables = _records(report, "quantization")
    rounded = list(tables[0])[1:]  # the first is the unquantised model, which does not differ from itself
    mean, *others = ([table[name]["kl"] for name in rounded] for table in tables)
    axis.plot(mean, range(len(rounded)), "o", color=BLUE, markersize=10)
    for kl in others:
        axis.plot(kl, range(len(rounded)), "o", **DOT)
    for row, value in enumerate(mean):
        axis.annotate(f"{value:.2g}", (value, row), (10, 0), textcoords="offset points", va="center", fontsize=9)
    axis.set_xscale("log")
    axis.margins(x=0.2)
    _label_rows(axis, rounded)
    axis.set_xlabel("KL, nats for each token of the answers")
    axis.set_title("How far the distribution moves", loc="left")


def _legend_below(axis: Axes, ncols: int) -> None:
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.02, -0.06), ncols=ncols, columnspacing=1)


def _records(report: Mapping[str, Any], *path: str) -> list[Table]:
    """A table of the mean, and, if there are several, of every checkpoint."""
    records = [report["mean"], *(report["checkpoints"] if len(report["checkpoints"]) > 1 else [])]
    for key in path:
        records = [record[key] for record in records]
    return records


def _bars(
    axis: Axes,
    tables: Sequence[Table],
    names: Sequence[str],
    color: str,
    label: str | None = None,
    offset: float = 0.0,
    height: float = 0.7,
) -> None:
    """A bar for each name: the first table's share, with the others' as dots. A share that is None has none."""
    rows = [row + offset for row in range(len(names))]
    values = [100 * (tables[0][name]["right"] or 0) for name in names]
    axis.barh(rows, values, height, color=color, label=label)
    for table in tables[1:]:
        dots = [float("nan") if table[name]["right"] is None else 100 * table[name]["right"] for name in names]
        axis.plot(dots, rows, "o", **DOT)
    for row, name in zip(rows, names, strict=True):
        share = tables[0][name]["right"]
        text = "no question" if share is None else f"{100 * share:.1f}"
        axis.text(102.5, row, text, va="center", fontsize=9)
    axis.set_xlim(0, 100)


def _label_rows(axis: Axes, labels: Sequence[str]) -> None:
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
