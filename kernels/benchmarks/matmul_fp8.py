"""x times an e4m3 matrix at the largest matrix of Llama 4 Scout's layers.

Errors are held against a product with x as it is: rounding it to e4m3 is most of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from llama4_explained.number_formats import QuantizedTensor, dequantize
from llama4_kernels import Fp8Matrix, matmul_fp8
from llama4_kernels.matmul_fp8.configs import product_config
from llama4_kernels.matmul_fp8.launch import run_product, run_round

from .matmul_int8 import preparation, torch_bfloat16
from .peers import Implementation
from .tasks import Task

SHAPES = {"gate_up": (16384, 5120)}  # N, K
TOKENS = (1, 16, 256, 4096)


def tasks(
    device: torch.device, shapes: dict[str, tuple[int, int]] = SHAPES, tokens: Sequence[int] = TOKENS
) -> Iterator[Task]:
    """Ours first, with and without the rounding of x; then PyTorch's product, which is given x rounded already."""
    implementations = (
        ("ours", ours),
        ("ours (x rounded already)", our_product),
        ("torch._scaled_mm (x rounded already)", lambda stored: scaled_mm(stored, fast=False)),
        ("torch._scaled_mm (and sums of 14 bits)", lambda stored: scaled_mm(stored, fast=True)),
        ("torch bf16", torch_bfloat16),
    )
    for impl, make in implementations:
        for case, shape in shapes.items():
            yield Task(case, impl, tokens, preparation("fp8", make, shape, device))


def ours(stored: QuantizedTensor) -> Implementation:
    """The public function."""

    def run(x: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
        return matmul_fp8(x, Fp8Matrix(codes, scale))

    return _implementation(run, stored)


def our_product(stored: QuantizedTensor) -> Implementation:
    """The second kernel alone."""
    round_once = _rounded_once()

    def run(x: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
        return run_product(*round_once(x), Fp8Matrix(codes, scale), product_config(len(x), *codes.shape))

    return _implementation(run, stored)


def scaled_mm(stored: QuantizedTensor, fast: bool) -> Implementation:
    """PyTorch's product with a scale for each token and row; `fast`: sums stay in the tensor cores."""
    round_once = _rounded_once()

    def run(x: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
        x_codes, x_scale = round_once(x)
        return torch._scaled_mm(
            x_codes, codes.T, x_scale[:, None], scale[None], out_dtype=torch.bfloat16, use_fast_accum=fast
        )

    values = dequantize(stored, torch.float64)
    return Implementation(run, (stored.codes, stored.scale.squeeze(-1).float()), values)


def _implementation(run: Callable[..., Tensor], stored: QuantizedTensor) -> Implementation:
    return Implementation(run, (stored.codes, stored.scale.squeeze(-1)), dequantize(stored, torch.float64))


def _rounded_once() -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Rounds x when it is a new one; its calls then start with what is there."""
    seen: list[tuple[Tensor, tuple[Tensor, Tensor]]] = []

    def rounded(x: Tensor) -> tuple[Tensor, Tensor]:
        if not seen or seen[0][0] is not x:
            seen[:] = [(x, run_round(x))]
        return seen[0][1]

    return rounded
