"""The page of measured times: a table for each file that a benchmark wrote, labelled with its device."""

from __future__ import annotations

import json
from typing import Any

from .reports import WIDE
from .source_folder import ROOT, SourceFolder, table

RESULTS = ROOT / "kernels" / "benchmarks" / "results"
HEAD = f"{WIDE}# Performance\n\nWhat programs measured and wrote down; nothing on this page was typed.\n"
NOTHING_YET = "No benchmark has written a result yet.\n"
# Columns in this order if any record has them; the others are for recomputing shares of a roof.
COLUMNS = {
    "op": "op", "case": "case", "impl": "implementation", "batch": "batch", "context": "context", "M": "M", "N": "N",
    "K": "K", "us_median": "µs (median)", "tokens_per_s": "tokens/s", "peak_gib": "peak GiB",
    "rel_error": "relative error", "error_ratio": "error / HF bf16's", "top1_agreement": "top-1 agreement",
}  # fmt: skip
WORDS = ("op", "case", "implementation")


def write_performance(source: SourceFolder) -> None:
    files = sorted(RESULTS.glob("*.json")) if RESULTS.is_dir() else []
    sections = [section(json.loads(path.read_text(encoding="utf-8"))) for path in files]
    source.write("performance.md", "\n".join([HEAD, *(sections or [NOTHING_YET])]))


def section(results: dict[str, Any]) -> str:
    records = results["records"]
    shown = [key for key in COLUMNS if any(key in record for record in records)]
    gpus = "" if results.get("gpus", 1) == 1 else f"{results['gpus']} x "
    made_with = ", ".join(
        f"{name} {results[name]}" for name in ("driver", "torch", "triton", "transformers", "date") if name in results
    )
    ops = sorted({record["op"] for record in records})
    rows = [[number(record.get(key, "")) for key in shown] for record in records]
    head = f"## {gpus}{results['device']}: {', '.join(ops)}\n\nMeasured with {made_with}.\n"
    names = [COLUMNS[key] for key in shown]
    return f"{head}\n{table(names, rows, [name for name in names if name not in WORDS])}"


def number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
