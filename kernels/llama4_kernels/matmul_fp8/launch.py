"""`matmul_fp8`: checks what it is given, chooses sizes, and starts the kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from ..inputs import as_rows, check_input
from .configs import RUN, Config, product_config
from .reference import Fp8Matrix, matmul_fp8_reference


def matmul_fp8(x: Tensor, matrix: Fp8Matrix) -> Tensor:
    """x, every token rounded to e4m3, times the transposed e4m3 matrix.

    On a machine without CUDA this is `matmul_fp8_reference`.

    Shapes: x [..., K] -> [..., N], of x's type; on CUDA bfloat16, elsewhere any floating type.
    Errors: ValueError if the last axis of x is not K, x is of another type, or the two are on different devices.
    Differs: 128 products at a time are added up as Hopper's tensor cores do it, in 14 bits; the rest in float32.
    """
    num_rows, width = matrix.shape
    check_input(x, matrix.shape, matrix.codes.device, "matmul_fp8_reference")
    if not x.is_cuda:
        return matmul_fp8_reference(x, matrix)
    tokens = as_rows(x)
    if len(tokens) == 0:
        product = tokens.new_empty(0, num_rows)
    else:
        product = run_product(*run_round(tokens), matrix, product_config(len(tokens), num_rows, width))
    return product.view(*x.shape[:-1], num_rows)


def run_round(x: Tensor) -> tuple[Tensor, Tensor]:
    """`round_tokens` by `round_kernel`: [M, K] -> float8_e4m3fn [M, K], float32 [M]."""
    from ..primitives import launch_options
    from .kernel import round_kernel

    num_tokens, width = x.shape
    codes = torch.empty(num_tokens, width, dtype=torch.float8_e4m3fn, device=x.device)
    scale = torch.empty(num_tokens, dtype=torch.float32, device=x.device)
    round_kernel[(num_tokens,)](
        x, codes, scale, x.stride(0), width, 1 << (width - 1).bit_length(), num_warps=8, **launch_options()
    )
    return codes, scale


def run_product(x: Tensor, x_scale: Tensor, matrix: Fp8Matrix, config: Config) -> Tensor:
    """e4m3 [M, K] and float32 [M] -> bfloat16 [M, N] by `product_kernel`, for any M."""
    from ..primitives import INTERPRETED, launch_options, workspace
    from .kernel import product_kernel

    num_rows, width = matrix.shape
    programs = -(-num_rows // config.rows) * -(-len(x) // config.tokens)
    out, partial, counter = workspace(x, num_rows, programs, config.splits)
    ahead = 0 if INTERPRETED else matrix.bytes_ahead(config.depth, config.splits)
    policy = "evict_first" if len(x) <= config.tokens else ""  # nobody else reads these weights
    product_kernel[(programs, config.splits)](
        x, x_scale, matrix.codes, matrix.scale, out, partial, counter, len(x), num_rows, width,
        config.rows, config.tokens, config.splits, config.depth, min(RUN, config.depth), 16, policy, ahead,
        config.stages, num_warps=config.warps, **launch_options(),
    )  # fmt: skip
    return out
