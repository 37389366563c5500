"""A results file: what was measured, on which device, with which versions; and the same as a table."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent / "results"
UNKNOWN = "unknown"
COMMIT = ("describe", "--always", "--exclude=*", "--abbrev=40", "--dirty")  # its whole hash, and whether files differ
SIZES = ("M", "batch", "context")  # what may grow from record to record of a case; the first that is there counts

Record = dict[str, Any]


def describe(device: torch.device, commit: str | None = None) -> dict[str, Any]:
    """The head of a results file: device, versions, commit, date."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU",
        "gpus": 1,
        "driver": _first_line("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "torch": torch.__version__,
        "triton": _version("triton"),
        "transformers": _version("transformers"),
        "commit": commit or _first_line("git", "-C", str(FOLDER.parent), *COMMIT),
        "date": datetime.now(UTC).date().isoformat(),
    }


def file_name(device: str, op: str) -> str:
    """As in nvidia-h100-80gb-hbm3-matmul_int4.json."""
    return f"{re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-')}-{op}.json"


def save(results: dict[str, Any], path: Path) -> None:
    """Write all of it, or leave the file as it is. A record is a line, so that a new run is easy to compare."""
    *head, _ = json.dumps({**results, "records": []}, indent=1).splitlines()
    records = ",\n".join(f"  {json.dumps(record)}" for record in results["records"])
    text = "\n".join([*head[:-1], ' "records": [', records, " ]", "}"]) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def shortest_us(record: Record, results: dict[str, Any]) -> tuple[float, float]:
    """Microseconds that no kernel can beat on this device: to read and write all bytes, and to do all arithmetic."""
    return record["bytes"] / results["read_roof_gb_s"] / 1e3, record["flops"] / results["bf16_roof_tflop_s"] / 1e6


def table(results: dict[str, Any]) -> str:
    """A line for each record: its time, how much of the limit that binds it reaches, and a peer's time over ours."""
    size = size_of(results["records"])
    ours = {(r["case"], r.get(size)): r["us_median"] for r in results["records"] if r["impl"] == "ours"}
    width = max(len(record["impl"]) for record in results["records"])
    lines = [
        f"{results['device']}: {results['read_roof_gb_s']} GB/s, {results['bf16_roof_tflop_s']} TFLOP/s at most",
        f"{'case':<9}{size:>6}  {'':<{width}}{'us':>10}{'rate':>16}{'of roof':>9}{'error':>9}{'/ ours':>8}",
    ]
    for record in results["records"]:
        us, (reading, computing) = record["us_median"], shortest_us(record, results)
        if reading > computing:
            rate = f"{record['bytes'] / us / 1e6:.2f} TB/s"
        else:
            rate = f"{record['flops'] / us / 1e6:.0f} TFLOP/s"
        base = ours.get((record["case"], record.get(size)))
        ratio = f"{us / base:.2f}" if base and not record["impl"].startswith("ours") else ""
        lines.append(
            f"{record['case']:<9}{record.get(size, ''):>6}  {record['impl']:<{width}}{us:>10.2f}{rate:>16}"
            f"{max(reading, computing) / us:>9.1%}{record['rel_error']:>9.1e}{ratio:>8}"
        )
    return "\n".join(lines)


def size_of(records: Sequence[Record]) -> str:
    """The name of what grows: M, batch or context."""
    return next((name for name in SIZES if any(name in record for record in records)), SIZES[0])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return UNKNOWN


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    lines = done.stdout.split("\n")
    return lines[0].strip() if done.returncode == 0 and lines[0].strip() else UNKNOWN
