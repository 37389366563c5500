"""What an op hands over to be measured, and the loop that measures it: one failure is one line, never the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from . import results
from .timing import Clock, summary


@dataclass(frozen=True)
class Work:
    """One thing to time, and what is known of it."""

    call: Callable[..., Any]
    copies: Sequence[tuple[Tensor, ...]]  # the call's arguments, in turn
    sizes: dict[str, int]  # M, N, K, or batch and context
    num_bytes: int  # the fewest that must be read and written
    flops: int  # the fewest that must be done
    rel_error: float


@dataclass(frozen=True)
class Task:
    """One implementation at one case. `prepare` runs once, and gives the work of each of `sizes`."""

    case: str
    impl: str
    sizes: Sequence[int]
    prepare: Callable[[], Callable[[int], Work]]

    def __str__(self) -> str:
        return f"{self.case}, {self.impl}"


def measure_all(
    op: str,
    tasks: Iterable[Task],
    head: dict[str, Any],
    clock: Clock,
    path: Path | None,
    deadline: float,
    now: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Every task's records below `head`, written into `path` after each task. After `deadline` the rest is left out."""
    measured: dict[str, Any] = {**head, "records": []}
    for task in tasks:
        start, count = now(), len(measured["records"])
        work_of = None
        for size in task.sizes:
            if now() > deadline:
                print(f"{task}: left out from size {size} on, time is over", flush=True)
                break
            try:
                work_of = work_of or task.prepare()
                measured["records"].append(record(op, task, work_of(size), clock))
            except Exception as error:  # noqa: BLE001  a peer may fail in any way
                print(f"{task}: {f'size {size}' if work_of else 'cannot run'}: {_reason(error)}", flush=True)
                if work_of is None:
                    break
            if path is not None:
                results.save(measured, path)
        if work_of is not None:
            print(f"{task}: {len(measured['records']) - count} measured in {now() - start:.0f} s", flush=True)
    return measured


def record(op: str, task: Task, work: Work, clock: Clock) -> results.Record:
    """One record of a results file."""
    return {
        "op": op,
        "case": task.case,
        **work.sizes,
        "impl": task.impl,
        **summary(clock(work.call, work.copies)),
        "bytes": work.num_bytes,
        "flops": work.flops,
        "rel_error": work.rel_error,
    }


def _reason(error: BaseException) -> str:
    """What went wrong at the root of it, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line}"[:300]
