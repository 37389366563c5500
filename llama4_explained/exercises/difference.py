"""In what two results differ, in words: tensors, numbers, and tuples, lists or dicts of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

SHOWN = 12  # numbers of a tensor that are shown


def difference(got: Any, expected: Any, tolerance: float) -> str | None:
    """What tells `got` from `expected`; None if nothing does.

    Whole numbers, truth values and texts must be equal; other numbers may differ by `tolerance` times the largest
    expected one. It does not matter whether a number is a tensor, nor which of its types a tensor has.
    """
    if isinstance(expected, Tensor):
        return _of_tensors(got, expected, tolerance)
    if isinstance(expected, bool | int | float) and isinstance(got, bool | int | float | Tensor):
        value = torch.as_tensor(got)
        if value.numel() != 1:
            return f"shape {list(value.shape)} instead of one number"
        return _of_tensors(value.reshape(()), torch.as_tensor(expected), tolerance)
    if isinstance(expected, tuple | list):
        return _of_sequences(got, expected, tolerance)
    if isinstance(expected, dict):
        if not isinstance(got, dict) or got.keys() != expected.keys():
            return f"{in_short(got)} instead of a dict of {', '.join(map(repr, expected))}"
        return _of_sequences([got[key] for key in expected], list(expected.values()), tolerance, tuple(expected))
    return None if type(got) is type(expected) and got == expected else f"{in_short(got)} came"


def _of_tensors(got: Any, expected: Tensor, tolerance: float) -> str | None:
    if not isinstance(got, Tensor):
        return f"{in_short(got)} instead of a tensor"
    if got.shape != expected.shape:
        return f"shape {list(got.shape)} instead of {list(expected.shape)}"
    got, wanted = got.detach().cpu().double(), expected.detach().cpu().double()
    largest = float(wanted.abs().max()) if wanted.numel() else 0.0
    allowed = tolerance * largest if expected.is_floating_point() else 0.0
    is_far = ~((got - wanted).abs() <= allowed)  # also where NaN came
    if not is_far.any():
        return None
    place = tuple(is_far.nonzero()[0].tolist())
    at = f" at {list(place)}" if place else ""
    return f"{got[place].item():.6g}{at} instead of {wanted[place].item():.6g}"


def _of_sequences(got: Any, expected: Sequence[Any], tolerance: float, names: Sequence[Any] = ()) -> str | None:
    if not isinstance(got, tuple | list) or len(got) != len(expected):
        return f"{in_short(got)} instead of {len(expected)} results"
    for i, (one, other) in enumerate(zip(got, expected, strict=True)):
        if (gap := difference(one, other, tolerance)) is not None:
            return f"result {names[i] if names else i}: {gap}"
    return None


def copied(values: Any) -> Any:
    """The same, in tensors of its own, so that what happens to them happens to nothing else."""
    if isinstance(values, Tensor):
        return values.clone()
    if isinstance(values, tuple | list):
        return type(values)(copied(value) for value in values)
    return values


def in_short(value: Any) -> str:
    """One line: a small tensor's numbers, a large one's shape, anything else as it prints, cut where it is long."""
    if isinstance(value, Tensor):
        if value.numel() > SHOWN:
            return f"a tensor of shape {list(value.shape)}"
        numbers = value.double().round(decimals=3) if value.is_floating_point() else value
        return str(numbers.tolist())
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
