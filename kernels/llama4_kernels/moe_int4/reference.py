"""A mixture of experts with int4 weights, and what it computes. This file is the kernels' specification.

Every token goes through the shared expert and through the A experts that the router chose for it; the router's score
multiplies the token on its way *into* a chosen expert. An expert is a gated feed-forward:

    expert(x) = down @ (silu(gate @ x) * (up @ x))
    out[t]    = shared(x[t]) + sum over a of expert[index[t, a]](score[t, a] * x[t])

Shapes: T tokens, D hidden, F width of an expert, E experts, A experts a token; matrices as in `matmul_int4`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..matmul_int4.reference import Int4Matrix, dequantize_int4


@dataclass(frozen=True)
class Int4Expert:
    """One expert, or a stack of E: then every tensor has a leading axis, and shapes are those of one expert."""

    gate_up: Int4Matrix  # [2F, D]: the gate's rows, then up's
    down: Int4Matrix  # [D, F]

    def __getitem__(self, index: int) -> Int4Expert:
        """One expert of a stack."""
        parts = (Int4Matrix(m.words[index], m.scales[index], m.shape) for m in (self.gate_up, self.down))
        return Int4Expert(*parts)

    @property
    def hidden_size(self) -> int:
        return self.down.shape[0]

    @property
    def width(self) -> int:
        return self.down.shape[1]


def stack_experts(experts: list[Int4Expert]) -> Int4Expert:
    """E experts of the same shapes and kind as one stack."""

    def stacked(matrices: list[Int4Matrix]) -> Int4Matrix:
        words, scales = (
            torch.stack(list(parts)) for parts in zip(*((m.words, m.scales) for m in matrices), strict=True)
        )
        return Int4Matrix(words, scales, matrices[0].shape)

    return Int4Expert(stacked([e.gate_up for e in experts]), stacked([e.down for e in experts]))


def feed_forward(x: Tensor, expert: Int4Expert) -> Tensor:
    """[T, D] -> [T, D] by one expert, with its weights as numbers of x's type."""
    gate, up = F.linear(x, dequantize_int4(expert.gate_up, x.dtype)).chunk(2, dim=-1)
    return F.linear(F.silu(gate) * up, dequantize_int4(expert.down, x.dtype))


def moe_int4_reference(x: Tensor, index: Tensor, score: Tensor, experts: Int4Expert, shared: Int4Expert) -> Tensor:
    """Shapes: x [T, D], index int [T, A], score [T, A] -> [T, D], of x's type."""
    out = feed_forward(x, shared)
    for choice in range(index.shape[1]):
        scaled = x * score[:, choice, None].to(x.dtype)
        for expert in index[:, choice].unique().tolist():
            tokens = index[:, choice] == expert
            out[tokens] += feed_forward(scaled[tokens], experts[expert])
    return out
