"""Where a run first leaves HF's: every named tensor of both runs, in the order in which they come to be."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..model import Llama4, Llama4Text
from .compare import FACTORS, Result, largest_difference
from .hf_trace import hf_trace
from .routing import pinned_decisions, recorded_decisions
from .twins import in_float64


def compare_runs(
    ours: Llama4 | Llama4Text, theirs: Any, input_ids: Tensor, pixel_values: Tensor | None = None
) -> list[Result]:
    """One float32 run of both models on the same input, tensor by tensor, each against its own floor.

    `theirs` must compute its attention eagerly, as `twins.pair` makes it. Names are those of our traces; HF has all of
    them but the temperature.
    """
    inputs: dict[str, Tensor] = {"input_ids": input_ids}
    if pixel_values is not None:
        inputs["pixel_values"] = pixel_values
    with torch.no_grad(), recorded_decisions(theirs) as decisions, hf_trace(theirs) as expected:
        theirs(**inputs, use_cache=False)
    wide = {name: x.double() if x.is_floating_point() else x for name, x in inputs.items()}
    with in_float64(theirs), pinned_decisions(theirs, decisions), hf_trace(theirs) as exact:
        theirs(**wide, use_cache=False)
    results = []
    for name, tensor in ours.trace(input_ids, pixel_values=pixel_values).items():
        if name in expected:
            reference = expected[name]
            floor = largest_difference(reference, exact[name])
            if reference.numel() == tensor.numel():  # HF leaves out axes here and there; the order is the same
                reference = reference.view_as(tensor)
            results.append(Result(name, largest_difference(tensor, reference), floor, FACTORS[torch.float32] * floor))
    return results


def first_difference(
    ours: Llama4 | Llama4Text, theirs: Any, input_ids: Tensor, pixel_values: Tensor | None = None
) -> Result | None:
    """The first named tensor that differs by more than rounding, such as `layers.0.attention.query`; None if none does.

    The mistake is between that tensor and the one before it. Arguments as for `compare_runs`.
    """
    results = compare_runs(ours, theirs, input_ids, pixel_values)
    return next((result for result in results if not result.passed), None)
