"""e4m3 matrices: how they lie in memory, and what multiplying by one means. This file is the kernels' specification.

e4m3 (float8_e4m3fn) has a sign, four bits of exponent and three of mantissa: 448 is the largest number, 2^-9 the
smallest above 0, and from 2^-6 on a number is off by 1 in 16 at most. A matrix is [N out, K in]; a row, the weights of
one output channel, shares a scale:

    w[n, k] = code[n, k] * scale[n]

x is rounded to e4m3 as well, a scale for each token, so that tensor cores multiply two numbers of eight bits:

    x_scale[m] = largest |x[m]| / 448          x_code[m, k] = x[m, k] / x_scale[m], rounded to nearest, ties to even
    out[m, n] = x_scale[m] * scale[n] * sum over k of x_code[m, k] * code[n, k]

Eight numbers of a token; its largest is 7, so x_scale = 7 / 448 = 1/64:

    x            7.0   -3.5   1.0   -0.3    0.1     0.0   0.01   0.00001
    x / x_scale  448   -224    64  -19.2    6.4     0.0   0.64   0.00064
    x_code       448   -224    64    -20    6.5     0.0   0.625  0.0
    bits        0x7E   0xF6  0x68   0xDA   0x4D    0x00   0x32   0x00
    stands for   7.0   -3.5   1.0 -0.3125 0.1016    0.0   0.0098 0.0

Numbers lie as one reads them: row after row, a byte each.

Shapes: M tokens of x, N, K.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..inputs import RowMatrix

LARGEST = 448.0


class Fp8Matrix(RowMatrix):
    """A matrix [N, K] in e4m3: codes float8_e4m3fn [N, K], scale bfloat16 [N]."""

    CODES = torch.float8_e4m3fn


def dequantize_fp8(matrix: Fp8Matrix, dtype: torch.dtype = torch.float32) -> Tensor:
    """The numbers that the codes stand for, computed in float32 and rounded once to `dtype`.

    Shapes: [N, K].
    """
    return (matrix.codes.float() * matrix.scale.float()[:, None]).to(dtype)


def round_tokens(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every token as e4m3 and a scale. A token of zeros has the smallest normal float32 as its scale.

    Shapes: [..., K] of any floating type -> float8_e4m3fn [..., K], float32 [...].
    """
    largest = x.abs().amax(-1).float()
    # A tensor, as CUDA divides by a bare number by multiplying with its inverse.
    scale = (largest / torch.full_like(largest, LARGEST)).clamp_min(torch.finfo(torch.float32).tiny)
    return (x.float() / scale[..., None]).to(torch.float8_e4m3fn), scale


def matmul_fp8_reference(x: Tensor, matrix: Fp8Matrix) -> Tensor:
    """x, rounded to e4m3, times the transposed matrix: what the kernels compute, up to the order of sums.

    Shapes: x [..., K] of any floating type -> [..., N], of x's type; sums in float32, or float64 if x is.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    codes, x_scale = round_tokens(x)
    total = codes.to(wide) @ matrix.codes.to(wide).T
    return (total * matrix.scale.to(wide) * x_scale.to(wide)[..., None]).to(x.dtype)
