"""The command: measure ops and write what was found, print it as a table, draw it."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

import torch

from . import results
from .tasks import measure_all
from .timing import graph_clock, measure_roofs

# An op is the file of its name: `tasks(device)` there gives what is to be measured.
OPS = ("matmul_int4", "matmul_int8", "matmul_fp8", "moe_decode", "moe_prefill", "attention_decode")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 2 if nothing can be measured here."""
    options = _parser().parse_args(arguments)
    if "chart" in options.what or "table" in options.what:
        if len(options.what) > 1:
            _parser().error("chart and table stand alone")
        return _show(options.what[0], options.output or results.FOLDER)
    if not torch.cuda.is_available():
        print("the benchmarks need a CUDA device, and PyTorch finds none", file=sys.stderr)
        return 2
    device = torch.device("cuda", torch.cuda.current_device())
    with torch.no_grad():
        roofs = measure_roofs(device, graph_clock)
        for op in options.what:
            _measure(op, device, {**results.describe(device, options.commit), **roofs}, options)
    return 0


def _measure(op: str, device: torch.device, head: dict[str, object], options: argparse.Namespace) -> None:
    module = importlib.import_module(f".{op}", __package__)  # now, as Triton may be missing where charts are drawn
    tasks = [task for task in module.tasks(device) if not options.only or task.case in options.only]
    if not tasks:
        print(f"{op} has no case {' or '.join(options.only)}", file=sys.stderr)
        return
    # A part of the cases never takes the place of a file that has all.
    folder = options.output or (None if options.only else results.FOLDER)
    path = folder and folder / results.file_name(str(head["device"]), op)
    measured = measure_all(op, tasks, head, graph_clock, path, time.monotonic() + options.seconds)
    print(results.table(measured) if measured["records"] else f"{op}: nothing was measured")
    if path is not None:
        print(f"written to {path}")


def _show(what: str, folder: Path) -> int:
    files = sorted(folder.glob("*.json"))
    if not files:
        print(f"no results in {folder}; run an op first", file=sys.stderr)
        return 2
    for path in files:
        if what == "table":
            print(results.table(results.load(path)), end="\n\n")
        else:
            from .chart import save_chart

            save_chart(results.load(path), path.with_suffix(".png"))
            print(path.with_suffix(".png"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python kernels/benchmarks", description="Measure the kernels beside their peers.")
    parser.add_argument(
        "what", nargs="+", choices=[*OPS, "table", "chart"], metavar="OP",
        help=f"{', '.join(OPS)}; or `table` or `chart`, which print and draw the results that are there",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where results are (default: results/ beside this)"
    )
    parser.add_argument("--only", action="append", metavar="CASE", help="this case alone; can be given again")
    parser.add_argument(
        "--seconds", type=float, default=200, metavar="N", help="for each op; then the rest is left out (default 200)"
    )
    parser.add_argument("--commit", metavar="HASH", help="of the code, where there is no git folder")
    return parser
