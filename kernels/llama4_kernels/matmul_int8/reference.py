"""int8 matrices: how they lie in memory, and what multiplying by one means. This file is the kernels' specification.

A matrix is [N out, K in]. A row, the weights of one output channel, shares a scale; there are no zeros, as the code 128
means 0:

    w[n, k] = (code[n, k] - 128) * scale[n]          code is 0 ... 255

Codes lie as one reads them: row after row, a byte each. Eight numbers of a row whose scale is 0.5:

    code        128    129    255    127      0    160     96      1
    code - 128    0      1    127     -1   -128     32    -32   -127
    w           0.0    0.5   63.5   -0.5  -64.0   16.0  -16.0  -63.5

Shapes: M rows of x, N, K.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ZERO = 128


@dataclass(frozen=True)
class Int8Matrix:
    """A matrix [N, K] in eight bits. Nothing is copied: the kernels read codes as they lie.

    Errors: ValueError for other shapes or types, or codes that do not lie row after row.
    """

    codes: Tensor  # uint8 [N, K]
    scale: Tensor  # bfloat16 [N]

    def __post_init__(self) -> None:
        codes, scale = self.codes, self.scale
        if codes.ndim != 2 or codes.dtype != torch.uint8:
            raise ValueError(f"codes must be uint8 [N, K], got {codes.dtype} {list(codes.shape)}")
        if not codes.is_contiguous():
            raise ValueError(f"codes must lie row after row, got strides {list(codes.stride())}; call .contiguous()")
        if scale.shape != codes.shape[:1] or scale.dtype != torch.bfloat16 or not scale.is_contiguous():
            raise ValueError(
                f"scale must be bfloat16 [{len(codes)}], one a row, without gaps, got {scale.dtype} "
                f"{list(scale.shape)} with strides {list(scale.stride())}"
            )
        if scale.device != codes.device:
            raise ValueError(f"codes are on {codes.device}, scale on {scale.device}; move one of them")

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape[0], self.codes.shape[1]

    @property
    def num_bytes(self) -> int:
        """Memory that a multiplication reads: 8 bits a weight, and 16 a row."""
        return self.codes.nbytes + self.scale.nbytes


def dequantize_int8(matrix: Int8Matrix, dtype: torch.dtype = torch.float32) -> Tensor:
    """The numbers that the codes stand for, computed in float32 and rounded once to `dtype`.

    Shapes: [N, K].
    """
    return ((matrix.codes.float() - ZERO) * matrix.scale.float()[:, None]).to(dtype)


def matmul_int8_reference(x: Tensor, matrix: Int8Matrix) -> Tensor:
    """x times the transposed matrix: what the kernels compute, up to the order in which sums are taken.

    Shapes: x [..., K] of any floating type -> [..., N], of x's type.
    """
    return F.linear(x, dequantize_int8(matrix, x.dtype))
