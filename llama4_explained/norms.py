"""RMS normalisation, with a learned weight (around attention and feed-forward) and without (queries and keys)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def rms_normalize(x: Tensor, eps: float) -> Tensor:
    """Divide by the root mean square over the last axis, so that its mean square is 1.

    Shapes: [..., D] -> [..., D].
    Source: HF `Llama4TextL2Norm`, which despite its name is an RMS norm. Computed in float32, as there.
    """
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + eps)).type_as(x)


class RMSNorm(nn.Module):
    """RMS normalisation with one learned weight per channel.

    Shapes: [..., D] -> [..., D].
    Source: HF `Llama4TextRMSNorm`: rounds to the input's type before it multiplies by the weight.
    """

    def __init__(self, hidden_size: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        return rms_normalize(x, self.eps) * self.weight

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"
