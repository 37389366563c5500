"""int4 matrices: how they lie in memory, and what multiplying by one means. This file is the kernels' specification.

A matrix is [N out, K in]; 128 neighbours along K form a *group*, which shares a scale and a zero:

    w[n, k] = (code[n, k] - zero[n, k // 128]) * scale[n, k // 128]          code is 0 ... 15

Four codes of a group fill a 16-bit *word*. Word j of a group (j = 0 ... 31) holds k = j, j + 32, j + 64, j + 96 of
that group, the first in its lowest four bits:

    bits   15 ... 12   11 ... 8    7 ... 4    3 ... 0
    code    j + 96      j + 64      j + 32       j

so that one mask gives 32 codes that are neighbours, as x's numbers are, for every word of a group at once. Eight
numbers of a group with codes k = 0, 1, 32, 33, 64, 65, 96, 97 -> 3, 15, 0, 1, 9, 8, 12, 7:

    word 0 = 12 << 12 | 9 << 8 | 0 << 4 | 3  = 0xC903
    word 1 =  7 << 12 | 8 << 8 | 1 << 4 | 15 = 0x781F

Words of 32 rows and one group form a *tile* of 2,048 bytes that lie together, the tiles of a row of tiles follow each
other along K. Whoever computes 32 outputs reads one run of memory from its beginning to its end. Scale and zero of a
row and group are the lower and upper half of one 32-bit number; symmetric matrices have no zeros (theirs is 8) and
store 16-bit scales.

Shapes: M rows of x, N, K, G = ceil(K / 128) groups, R = ceil(N / 32) rows of tiles. Both ends are filled up with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

GROUP = 128  # weights along K that share a scale
ROWS = 32  # of a tile
SYMMETRIC_ZERO = 8


@dataclass(frozen=True)
class Int4Matrix:
    """A matrix [N, K] in four bits, in the order that the kernels read it. `pack_int4` makes one."""

    words: Tensor  # int16 [R, G, 32, 32]: row of tiles, group, row, word
    scales: Tensor  # int32 [R, G, 32], a bfloat16 scale below a bfloat16 zero; bfloat16 if symmetric
    shape: tuple[int, int]  # N, K

    @property
    def is_symmetric(self) -> bool:
        return self.scales.dtype == torch.bfloat16

    @property
    def num_bytes(self) -> int:
        """Memory that a multiplication reads: 4.25 bits a weight, 4.125 if symmetric."""
        return self.words.nbytes + self.scales.nbytes


def pack_int4(codes: Tensor, scale: Tensor, zero: Tensor | None = None) -> Int4Matrix:
    """Put codes, scales and zeros in the kernels' order.

    Shapes: codes uint8 [N, K], each 0 ... 15; scale and zero bfloat16 [N, G]. No zero: symmetric, around code 8.
    Errors: ValueError for other shapes or types.
    """
    if codes.ndim != 2 or codes.dtype != torch.uint8:
        raise ValueError(f"codes must be uint8 [N, K], got {codes.dtype} {list(codes.shape)}")
    num_rows, width = codes.shape
    groups = (num_rows, -(-width // GROUP))
    for name, value in (("scale", scale), ("zero", zero)):
        if value is not None and (value.shape != groups or value.dtype != torch.bfloat16):
            raise ValueError(
                f"{name} must be bfloat16 {list(groups)}, one a group of {GROUP}, got {value.dtype} {list(value.shape)}"
            )
    fours = _in_tiles(codes, groups[1] * GROUP).unflatten(-1, (4, -1)).int()  # [R, G, 32, 4, 32]
    words = sum(fours[..., i, :] << (4 * i) for i in range(4)).to(torch.int16)
    scales = _in_tiles(scale.view(torch.int16), groups[1])  # [R, G, 32, 1]
    if zero is None:
        scales = scales.view(torch.bfloat16)
    else:
        scales = (scales.int() & 0xFFFF) | (_in_tiles(zero.view(torch.int16), groups[1]).int() << 16)
    return Int4Matrix(words.contiguous(), scales.squeeze(-1).contiguous(), (num_rows, width))


def dequantize_int4(matrix: Int4Matrix, dtype: torch.dtype = torch.float32) -> Tensor:
    """The numbers that the codes stand for, computed in float32 and rounded once to `dtype`.

    Shapes: [N, K].
    """
    num_rows, width = matrix.shape
    words = matrix.words.int()[..., None, :]
    shifts = torch.arange(0, 16, 4, device=words.device)[:, None]
    codes = ((words >> shifts) & 15).flatten(-2).float()  # [R, G, 32, 128]
    if matrix.is_symmetric:
        scale, zero = matrix.scales.float(), torch.tensor(float(SYMMETRIC_ZERO), device=words.device)
    else:
        scale, zero = matrix.scales << 16, matrix.scales & -0x10000
        scale, zero = scale.view(torch.float32), zero.view(torch.float32)[..., None]
    values = (codes - zero) * scale[..., None]
    return values.transpose(1, 2).flatten(2).flatten(0, 1)[:num_rows, :width].to(dtype)


def matmul_int4_reference(x: Tensor, matrix: Int4Matrix) -> Tensor:
    """x times the transposed matrix: what the kernels compute, up to the order in which sums are taken.

    Shapes: x [..., K] of any floating type -> [..., N], of x's type.
    """
    return F.linear(x, dequantize_int4(matrix, x.dtype))


def _in_tiles(values: Tensor, width: int) -> Tensor:
    """[N, K or G] -> [R, G, 32, 128 or 1], filled up with zeros."""
    per_group = GROUP if values.dtype == torch.uint8 else 1
    padded = F.pad(values, (0, width - values.shape[1], 0, -values.shape[0] % ROWS))
    return padded.unflatten(0, (-1, ROWS)).unflatten(2, (-1, per_group)).transpose(1, 2)
