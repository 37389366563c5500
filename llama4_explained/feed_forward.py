"""The gated feed-forward: dense layers have one, and every mixture of experts has one as its shared expert."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .linear import Linear


class FeedForward(nn.Module):
    """SwiGLU: one projection decides how much of another passes.

    Shapes: [..., D] -> [..., D], F wide inside.
    Source: "GLU Variants Improve Transformer" (arXiv 2002.05202); HF `Llama4TextMLP`.
    """

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.gate_proj = Linear(hidden_size, width)
        self.up_proj = Linear(hidden_size, width)
        self.down_proj = Linear(width, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
