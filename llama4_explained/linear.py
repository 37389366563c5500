"""Products with a matrix, quick also for a single token on a CPU.

One token's product is bound by reading the matrix. The routines that PyTorch has for one row use a single core, or read
with a third of the memory's speed (an AMD EPYC with two cores: 0.40 ms for 2048 x 512 float32 numbers). Those for a
batch of products do neither, so here one product becomes two, of the matrix's halves (0.14 ms).

Shapes: T tokens, K input channels, N output channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def product(x: Tensor, matrix: Tensor) -> Tensor:
    """x @ matrix.

    Shapes: x [T, K], matrix [K, N] -> [T, N].
    """
    if not _is_one_row_on_cpu(x) or matrix.shape[0] % 2:
        return x @ matrix
    return torch.bmm(x.view(2, 1, -1), matrix.unflatten(0, (2, -1))).sum(0)


class Linear(nn.Linear):
    """`nn.Linear` without a bias.

    Shapes: [..., K] -> [..., N].
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not _is_one_row_on_cpu(x) or self.out_features % 2:
            return super().forward(x)
        halves = self.weight.unflatten(0, (2, -1))  # [2, N/2, K]
        column = x.reshape(1, -1).T.expand(2, -1, 1)  # [2, K, 1]; transposed, because other strides are slow again
        return torch.bmm(halves, column).view(*x.shape[:-1], -1)


def _is_one_row_on_cpu(x: Tensor) -> bool:
    return x.numel() == x.shape[-1] and x.device.type == "cpu" and x.dtype == torch.float32
