"""Comparisons as lessons print them: the same text on every machine, and an error where anything differs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .compare import FACTORS, largest_difference
from .twins import in_float64


def equals(name: str, ours: Tensor, theirs: Tensor, bound: float) -> None:
    """Print that two tensors are equal within a bound, a power of ten.

    Errors: AssertionError if they are not.
    """
    error = largest_difference(ours, theirs)
    assert error <= bound, f"{name} differs by {error:.1e}, more than {bound:.0e}"
    print(f"{name}: equal, within {_up(bound)}")


@torch.no_grad()
def equals_hf(name: str, ours: Tensor, module: nn.Module, run: Callable[..., Tensor], *inputs: Any) -> None:
    """Print that ours is what `run(*inputs)` gives with HF's `module`, and how far rounding alone moves that.

    The floor is the largest difference between HF in float32 and HF in float64; the bound is 20 floors. Both are
    printed rounded up to a power of ten, which stays the same on other machines.

    Errors: AssertionError if the difference is above the bound.
    """
    theirs = run(*inputs)
    with in_float64(module):
        exact = run(*(x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs))
    floor = largest_difference(exact, theirs)
    bound = FACTORS[torch.float32] * floor
    error = largest_difference(ours, theirs)
    assert error <= bound, f"{name} differs from Hugging Face's by {error:.1e}, more than {bound:.1e}"
    print(f"{name}: equals Hugging Face's, within {_up(bound)}; their own rounding is up to {_up(floor)}")


def _up(number: float) -> str:
    """The next power of ten: 3e-7 is `1e-6`."""
    return f"1e{math.ceil(math.log10(number) - 1e-9)}" if number else "0"
