"""Experts chosen once, then the same in every run.

Rounding moves a router's logits a little, and where two experts are nearly equal the choice flips: a jump that says
nothing about rounding. So the runs that measure rounding all use the decisions of one of them. Whether a router decides
rightly is a piece of its own, `router.decisions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.llama4.modeling_llama4 import Llama4Router

from ..moe import Router


@contextmanager
def recorded_decisions(model: nn.Module) -> Iterator[list[Tensor]]:
    """The experts that `model` (ours or HF's) chooses inside: one int64 [BT, A] for each router call, in order."""
    decisions: list[Tensor] = []

    def leave(module: Any, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
        ours = isinstance(module, Router)
        decisions.append(output[0] if ours else output[1].topk(module.top_k, dim=-1).indices)

    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, Router | Llama4Router):
                stack.callback(module.register_forward_hook(leave).remove)
        yield decisions


@contextmanager
def pinned_decisions(model: nn.Module, decisions: list[Tensor]) -> Iterator[None]:
    """Inside, the routers of `model` (ours or HF's) take these decisions, call by call, and score them as usual."""
    remaining = iter(decisions)

    def leave(module: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        index = next(remaining)
        if isinstance(module, Router):
            chosen = F.linear(inputs[0], module.weight).gather(-1, index)
            return index, chosen.float().sigmoid().type_as(chosen)
        logits = output[1]
        scores = torch.full_like(logits, float("-inf")).scatter(1, index, logits.gather(-1, index))
        return scores.float().sigmoid().type_as(logits), logits

    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, Router | Llama4Router):
                stack.callback(module.register_forward_hook(leave).remove)
        yield
