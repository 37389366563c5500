"""Other libraries' multiplications by a matrix in four bits, each behind one function that makes it ready to run.

All are given the same codes, scales and zeros, and store them in their own way; bitsandbytes has codes of its own, for
the same weights. Each says what its stored numbers stand for, so that its error is held against its own format. A
library that is not installed raises ImportError when it is asked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

GROUP = 128
MIDDLE = 8  # codes that are stored with a sign are code - 8


@dataclass(frozen=True)
class Matrix:
    """int4, asymmetric, in groups of 128: w = (code - zero) * scale. Shapes: codes [N, K], scale and zero [N, G]."""

    codes: Tensor  # uint8, one a byte
    scale: Tensor  # bfloat16
    zero: Tensor  # bfloat16, whole numbers

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape[0], self.codes.shape[1]

    def scaled(self, zero: Tensor, offset: Tensor | None = None) -> Tensor:
        """(code - zero) * scale + offset, float64 [N, K]; zero and offset are [N, G]."""
        groups = self.codes.unflatten(1, (-1, GROUP)).double()
        values = (groups - zero.double()[..., None]) * self.scale.double()[..., None]
        return (values if offset is None else values + offset.double()[..., None]).flatten(1)

    def values(self) -> Tensor:
        """The numbers that the codes stand for, float64 [N, K]."""
        return self.scaled(self.zero)


@dataclass(frozen=True)
class Implementation:
    """A multiplication, ready to run: `run(x, *weights)` is [M, N]."""

    run: Callable[..., Tensor]
    weights: tuple[Tensor, ...]  # everything that it reads, except x
    values: Tensor  # what they stand for, float64 [N, K]


def torch_bfloat16(matrix: Matrix) -> Implementation:
    """No quantisation at all: what the device does for a bfloat16 model."""
    weight = matrix.values().bfloat16()
    return Implementation(F.linear, (weight,), weight.double())


def tinygemm(matrix: Matrix) -> Implementation:
    """PyTorch's own int4 kernel: w = (code - 8) * scale + zero."""
    middle = torch.full_like(matrix.zero, MIDDLE)
    zero = (middle - matrix.zero) * matrix.scale
    pairs = matrix.codes[:, ::2] << 4 | matrix.codes[:, 1::2]
    packed = torch.ops.aten._convert_weight_to_int4pack(pairs, 8)
    scales = torch.stack([matrix.scale, zero], -1).transpose(0, 1).contiguous()  # [G, N, 2]

    def run(x: Tensor, packed: Tensor, scales: Tensor) -> Tensor:
        return torch.ops.aten._weight_int4pack_mm(x, packed, GROUP, scales)

    return Implementation(run, (packed, scales), matrix.scaled(middle, zero))


def gemlite(matrix: Matrix) -> Implementation:
    """GemLite's Triton kernels, with the sizes it ships or finds: w = code * scale + offset."""
    from gemlite import DType, GemLiteLinear, forward_functional  # pyright: ignore[reportMissingImports]

    num_rows, width = matrix.shape
    layer = GemLiteLinear(
        4, group_size=GROUP, in_features=width, out_features=num_rows, input_dtype=DType.BF16, output_dtype=DType.BF16
    )
    layer.pack(matrix.codes, matrix.scale, matrix.zero)
    settings = layer.get_meta_args()
    offset = (-matrix.zero.float() * matrix.scale.float()).bfloat16()

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        return forward_functional(x, None, list(weights), settings)

    return Implementation(run, tuple(layer.get_tensor_args()), matrix.scaled(torch.zeros_like(offset), offset))


def bitsandbytes_nf4(matrix: Matrix) -> Implementation:
    """What `load_in_4bit` of Transformers runs: 16 values of a normal distribution, in groups of 64."""
    import bitsandbytes as bnb  # pyright: ignore[reportMissingImports]

    weight = matrix.values().float()
    codes, state = bnb.functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    shape, group = list(matrix.shape), state.blocksize

    def run(x: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
        return torch.ops.bitsandbytes.gemm_4bit(x, codes.view(-1, 1), shape, scales, group, "nf4")

    values = bnb.functional.dequantize_4bit(codes, state).double()
    return Implementation(run, (codes, state.absmax), values)


def fbgemm(matrix: Matrix) -> Implementation:
    """CUTLASS's product of mixed types, as FBGEMM ships it: w = (code - 8) * scale + zero."""
    package = importlib.util.find_spec("fbgemm_gpu")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'fbgemm_gpu'")
    folder = Path(package.submodule_search_locations[0])
    # The kernels alone: the Python package beside them loads much that is not needed here.
    torch.ops.load_library(str(folder / "experimental/gen_ai/fbgemm_gpu_experimental_gen_ai.so"))
    middle = torch.full_like(matrix.zero, MIDDLE)
    zero = (middle - matrix.zero) * matrix.scale
    signed = (matrix.codes.to(torch.int8) - MIDDLE) & 0xF
    pairs = signed[:, ::2] | signed[:, 1::2] << 4
    weights = torch.ops.fbgemm.preshuffle_i4(pairs.contiguous(), matrix.scale.t().contiguous())

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.ops.fbgemm.bf16i4bf16_shuffled(x, *weights)

    return Implementation(run, (*weights, zero.t().contiguous()), matrix.scaled(middle, zero))


@dataclass(frozen=True)
class Peer:
    """A name in the results, and the numbers of tokens at which it is measured."""

    name: str
    make: Callable[[Matrix], Implementation]
    tokens: Sequence[int]
