"""x times an int8 matrix: Llama 4 Scout's output head, and the largest matrix of its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from llama4_explained.number_formats import QuantizationConfig, QuantizedTensor, dequantize, quantize_tensor
from llama4_kernels import Int8Matrix, matmul_int8

from .matmul_int4 import WEIGHT_STD, work
from .peers import Implementation
from .tasks import Task, Work
from .timing import cache_bytes, copies_beyond_cache

SHAPES = {"lm_head": (202048, 5120), "gate_up": (16384, 5120)}  # N, K
TOKENS = (1, 16, 64)


def tasks(
    device: torch.device, shapes: dict[str, tuple[int, int]] = SHAPES, tokens: Sequence[int] = TOKENS
) -> Iterator[Task]:
    """Ours at all shapes first, then the same numbers in bfloat16."""
    for impl, make in (("ours", ours), ("torch bf16", torch_bfloat16)):
        for case, shape in shapes.items():
            yield Task(case, impl, tokens, preparation("int8", make, shape, device))


def preparation(
    preset: str, make: Callable[[QuantizedTensor], Implementation], shape: tuple[int, int], device: torch.device
) -> Callable[[], Callable[[int], Work]]:
    """What makes an implementation ready, with the same normal weights for everyone."""

    def prepare() -> Callable[[int], Work]:
        weight = torch.randn(shape, device=device, generator=torch.Generator(device).manual_seed(0)) * WEIGHT_STD
        implementation = make(quantize_tensor(weight, QuantizationConfig.of(preset)))
        del weight
        copies = copies_beyond_cache(implementation.weights, cache_bytes(device))
        return lambda num_tokens: work(implementation, copies, num_tokens)

    return prepare


def ours(stored: QuantizedTensor) -> Implementation:
    """What the public function chooses."""

    def run(x: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
        return matmul_int8(x, Int8Matrix(codes, scale))

    return Implementation(run, (stored.codes, stored.scale.squeeze(-1)), dequantize(stored, torch.float64))


def torch_bfloat16(stored: QuantizedTensor) -> Implementation:
    """No quantisation at all: what the device does for a bfloat16 model."""
    weight = dequantize(stored, torch.bfloat16)
    return Implementation(F.linear, (weight,), weight.double())
