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

import torch
import torch.nn.functional as F
from torch import Tensor

from ..inputs import RowMatrix

ZERO = 128


class Int8Matrix(RowMatrix):
    """A matrix [N, K] in eight bits: codes uint8 [N, K], scale bfloat16 [N]."""

    CODES = torch.uint8


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
