"""The page of measured times: a picture and tables for each file that a benchmark wrote, labelled with its device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from benchmarks.chart import draw_chart
from benchmarks.results import FOLDER, Record, load, shortest_us, size_of

from .model_card import as_png
from .reports import WIDE
from .source_folder import SourceFolder, table

HEAD = f"{WIDE}# Performance\n\nWhat programs measured and wrote down; nothing on this page was typed.\n"
NOTHING_YET = "No benchmark has written a result yet.\n"
# Columns in this order if any record has them; the others are for recomputing shares of a roof.
COLUMNS = {
    "op": "op", "case": "case", "impl": "implementation", "batch": "batch", "context": "context", "M": "M", "N": "N",
    "K": "K", "us_median": "µs (median)", "tokens_per_s": "tokens/s", "peak_gib": "peak GiB",
    "rel_error": "relative error", "error_ratio": "error / HF bf16's", "top1_agreement": "top-1 agreement",
}  # fmt: skip
WORDS = ("op", "case", "implementation")
READING = (
    "Microseconds of one call, the median of replays of a CUDA graph whose weights come from memory each time. *Of the "
    "limit* is how near ours comes to the shortest possible time on this device: to read every byte once at "
    "{read_roof_gb_s:,} GB/s, or to do all arithmetic at {bf16_roof_tflop_s:,} TFLOP/s, both measured in the same run. "
    "*Largest relative error* is against float64 products of the numbers that each format stores."
)


def write_performance(source: SourceFolder) -> None:
    files = sorted(FOLDER.glob("*.json"))
    sections = [section(source, path) for path in files]
    source.write("performance.md", "\n".join([HEAD, *(sections or [NOTHING_YET])]))


def section(source: SourceFolder, path: Path) -> str:
    results = load(path)
    records = results["records"]
    gpus = "" if results.get("gpus", 1) == 1 else f"{results['gpus']} x "
    made_with = ", ".join(
        f"{name} {results[name]}" for name in ("driver", "torch", "triton", "transformers", "date") if name in results
    )
    ops = ", ".join(sorted({record["op"] for record in records}))
    head = f"## {gpus}{results['device']}: {ops}\n\nMeasured with {made_with}.\n"
    size = size_of(records)
    if not all(size in record and "bytes" in record for record in records):
        return f"{head}\n{list_of_records(records)}"
    source.write(f"figures/{path.stem}.png", picture(results))
    alt = f"Time of one call of {ops} against the number of tokens, a line for each implementation. The tables say it."
    image = f"```{{image}} figures/{path.stem}.png\n:alt: {alt}\n```"
    cases = dict.fromkeys(record["case"] for record in records)
    tables = [case_table([record for record in records if record["case"] == case], results, size) for case in cases]
    return "\n".join([head, READING.format(**results), "", image, "", *tables])


def picture(results: dict[str, Any]) -> bytes:
    figure = draw_chart(results)
    try:
        return as_png(figure)
    finally:
        plt.close(figure)


def case_table(records: Sequence[Record], results: dict[str, Any], size: str) -> str:
    """A row for each number of tokens (or context), a column for each implementation."""
    impls = list(dict.fromkeys(record["impl"] for record in records))
    times = {(record[size], record["impl"]): record for record in records}
    rows = []
    for tokens in sorted({record[size] for record in records}):
        cells = [f"{times[tokens, impl]['us_median']:.1f}" if (tokens, impl) in times else "" for impl in impls]
        ours = times.get((tokens, "ours"))
        rows.append([str(tokens), *cells, f"{max(shortest_us(ours, results)) / ours['us_median']:.0%}" if ours else ""])
    errors = [f"{max(record['rel_error'] for record in records if record['impl'] == impl):.1e}" for impl in impls]
    rows.append(["largest relative error", *errors, ""])
    names = ["tokens" if size == "M" else size, *impls, "ours, of the limit"]
    first = records[0]
    shape = f", {first['N']:,} x {first['K']:,}" if "N" in first else ""
    return f"### {first['case']}{shape}\n\n{table(names, rows, names)}"


def list_of_records(records: Sequence[Record]) -> str:
    """A row for each record."""
    shown = [key for key in COLUMNS if any(key in record for record in records)]
    names = [COLUMNS[key] for key in shown]
    rows = [[number(record.get(key, "")) for key in shown] for record in records]
    return table(names, rows, [name for name in names if name not in WORDS])


def number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
