"""How long a kernel takes when its weights come from memory, as in a model, and how fast the device can be at best."""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

REPLAYS = 15
ROUNDS = 2  # through all copies, in one replay
CACHE_FULLS = 5  # bytes that rotate, in sizes of the second-level cache

Copies = Sequence[tuple[Tensor, ...]]
# (call, copies) -> microseconds of one `call(*copy)`, a number for each replay
Clock = Callable[[Callable[..., Any], Copies], list[float]]


def copies_beyond_cache(tensors: tuple[Tensor, ...], cache_bytes: int) -> list[tuple[Tensor, ...]]:
    """So many copies that none is still in the cache when its turn comes again.

    A matrix of 15 MB would stay in a cache of 50 MB, and look quicker than memory is.
    """
    num_bytes = sum(tensor.nbytes for tensor in tensors)
    count = max(2, -(-CACHE_FULLS * cache_bytes // num_bytes))
    return [tensors] + [tuple(tensor.clone() for tensor in tensors) for _ in range(count - 1)]


def cache_bytes(device: torch.device) -> int:
    """Size of the second-level cache; a CPU counts as having none."""
    return torch.cuda.get_device_properties(device).L2_cache_size if device.type == "cuda" else 0


def graph_clock(call: Callable[..., Any], copies: Copies) -> list[float]:
    """Replays of a CUDA graph that calls once for each copy, and then again: launches from Python cost nothing.

    The first calls are not in the graph: they compile, tune, and make what is kept for later calls.
    """
    events = [torch.cuda.Event(enable_timing=True) for _ in range(REPLAYS + 1)]
    stream = _stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for copy in copies[:3]:
            call(*copy)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for _ in range(ROUNDS):
                for copy in copies:
                    call(*copy)
        # All are under way before the first has ended, so that the device never waits for Python.
        graph.replay()
        graph.replay()
        for event in events[:-1]:
            event.record()
            graph.replay()
        events[-1].record()
        events[-1].synchronize()
    calls = ROUNDS * len(copies)
    return [1000 * start.elapsed_time(end) / calls for start, end in itertools.pairwise(events)]


@functools.cache
def _stream() -> torch.cuda.Stream:
    """One for all clocks: libraries keep working memory for every stream that they have seen."""
    return torch.cuda.Stream()


def summary(times: list[float]) -> dict[str, float]:
    """Median, smallest and largest, in microseconds to three decimals."""
    values = {"us_median": statistics.median(times), "us_min": min(times), "us_max": max(times)}
    return {name: round(us, 3) for name, us in values.items()}


def measure_roofs(device: torch.device, clock: Clock, read_bytes: int = 2**32, width: int = 8192) -> dict[str, int]:
    """The two limits that times are held against: reading memory, and multiplying bfloat16 matrices.

    Units: GB/s (10^9 bytes) of adding up 4 GB; TFLOP/s of the product of two square matrices of normal numbers.
    """
    numbers = torch.ones(read_bytes // 4, device=device)
    read_us = statistics.median(clock(torch.sum, [(numbers,)]))
    del numbers
    left, right = (torch.randn(width, width, device=device, dtype=torch.bfloat16) for _ in range(2))
    multiply_us = statistics.median(clock(torch.mm, [(left, right)]))
    return {
        "read_roof_gb_s": round(read_bytes / read_us / 1e3),
        "bf16_roof_tflop_s": round(2 * width**3 / multiply_us / 1e6),
    }
