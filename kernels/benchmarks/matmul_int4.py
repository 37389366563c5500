"""x times an int4 matrix, at the four shapes of Llama 4 Scout's layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from llama4_explained.number_formats import QuantizationConfig, quantize_tensor, unpack_bits
from llama4_kernels import Int4Matrix, matmul_int4, pack_int4
from llama4_kernels.matmul_int4.configs import fused_config
from llama4_kernels.matmul_int4.launch import run_dequantize, run_fused

from . import peers
from .peers import Implementation, Matrix, Peer
from .tasks import Task, Work
from .timing import cache_bytes, copies_beyond_cache

SHAPES = {"qkv": (7168, 5120), "o": (5120, 5120), "gate_up": (16384, 5120), "down": (5120, 8192)}  # N, K
TOKENS = tuple(2**i for i in range(13))  # 1 ... 4096
MANY = tuple(count for count in TOKENS if count >= 256)
WEIGHT_STD = 0.02

PEERS = (
    Peer("torch bf16", peers.torch_bfloat16, TOKENS),
    Peer("tinygemm", peers.tinygemm, tuple(count for count in TOKENS if count <= 256)),  # 40 times slower at 4,096
    Peer("bitsandbytes NF4", peers.bitsandbytes_nf4, TOKENS),
    Peer("fbgemm bf16i4bf16_shuffled", peers.fbgemm, TOKENS),
    Peer("gemlite", peers.gemlite, (1, 16, 64, 256)),  # it may search for half a minute at every new size
)


def tasks(
    device: torch.device, shapes: dict[str, tuple[int, int]] = SHAPES, tokens: Sequence[int] = TOKENS
) -> Iterator[Task]:
    """Ours at all shapes first, then its two ways for many tokens, then every peer."""
    ours = (
        Peer("ours", our_choice, TOKENS),
        Peer("ours (fused)", our_fused, MANY),
        Peer("ours (dequantise, then torch)", our_dequantize, MANY),
    )
    for peer in ours + PEERS:
        for case, shape in shapes.items():
            counts = [count for count in tokens if count in peer.tokens]
            yield Task(case, peer.name, counts, _preparation(peer.make, shape, device))


def _preparation(
    make: Callable[[Matrix], Implementation], shape: tuple[int, int], device: torch.device
) -> Callable[[], Callable[[int], Work]]:
    def prepare() -> Callable[[int], Work]:
        implementation = make(gaussian_matrix(shape, device))
        copies = copies_beyond_cache(implementation.weights, cache_bytes(device))
        return lambda num_tokens: work(implementation, copies, num_tokens)

    return prepare


def work(implementation: Implementation, copies: Sequence[tuple[Tensor, ...]], num_tokens: int) -> Work:
    """What there is to time at `num_tokens` rows of x, and how far the product is from the exact one."""
    (num_rows, width), device = implementation.values.shape, implementation.values.device
    x = torch.randn(num_tokens, width, device=device, generator=_generator(device, 1)).bfloat16()
    product = implementation.run(x, *implementation.weights)
    if product.shape != (num_tokens, num_rows):
        raise ValueError(f"the product is {list(product.shape)}, not {[num_tokens, num_rows]}")
    exact = x.double() @ implementation.values.T
    rel_error = float((product.double() - exact).norm() / exact.norm())
    return Work(
        call=lambda *weights: implementation.run(x, *weights),
        copies=copies,
        sizes={"M": num_tokens, "N": num_rows, "K": width},
        num_bytes=sum(tensor.nbytes for tensor in (x, product, *implementation.weights)),
        flops=2 * num_tokens * num_rows * width,
        rel_error=float(f"{rel_error:.3g}"),
    )


def gaussian_matrix(shape: tuple[int, int], device: torch.device) -> Matrix:
    """The same normal weights for everyone, rounded to int4."""
    weight = torch.randn(shape, device=device, generator=_generator(device, 0)) * WEIGHT_STD
    quantized = quantize_tensor(weight, QuantizationConfig.of("int4"))
    assert quantized.zero is not None
    return Matrix(unpack_bits(quantized.codes, 4, shape[1]).contiguous(), quantized.scale, quantized.zero)


def our_choice(matrix: Matrix) -> Implementation:
    """What the public function chooses."""
    return _ours(matrix, matmul_int4)


def our_fused(matrix: Matrix) -> Implementation:
    """Codes become numbers in every tile of the product."""
    num_rows, _ = matrix.shape
    return _ours(matrix, lambda x, packed: run_fused(x, packed, fused_config(len(x), num_rows)))


def our_dequantize(matrix: Matrix) -> Implementation:
    """The whole matrix becomes bfloat16 in memory; PyTorch multiplies."""
    return _ours(matrix, lambda x, packed: F.linear(x, run_dequantize(packed)))


def _ours(matrix: Matrix, multiply: Callable[[Tensor, Int4Matrix], Tensor]) -> Implementation:
    packed = pack_int4(matrix.codes, matrix.scale, matrix.zero)

    def run(x: Tensor, words: Tensor, scales: Tensor) -> Tensor:
        return multiply(x, Int4Matrix(words, scales, packed.shape))

    return Implementation(run, (packed.words, packed.scales), matrix.values())


def _generator(device: torch.device, seed: int) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)
