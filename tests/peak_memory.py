"""How much memory a function holds at once on the CPU, as PyTorch's allocator sees it."""

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(run: Callable[[], object]) -> int:
    """The most memory that `run` holds at any time beyond what was held before.

    Without oneDNN: on processors that multiply bfloat16 themselves it takes working space that no tensor explains.
    """
    with (
        torch.backends.mkldnn.flags(enabled=False),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
    ):
        run()
    recorded = profiler.profiler.kineto_results.events()
    held = peak = 0
    for event in sorted(
        (event for event in recorded if event.name() == "[memory]"), key=lambda event: event.start_ns()
    ):
        held += event.nbytes()
        peak = max(peak, held)
    return peak
