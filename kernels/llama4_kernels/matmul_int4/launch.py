"""`matmul_int4`: checks what it is given, chooses how to compute it, and starts the kernel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..inputs import as_rows, check_input
from .configs import DECODE_TOKENS, Config, decode_config, fused_config, fused_tokens
from .reference import GROUP, ROWS, Int4Matrix, matmul_int4_reference


def matmul_int4(x: Tensor, matrix: Int4Matrix) -> Tensor:
    """x times the transposed int4 matrix, summed up in float32.

    Few, some and many tokens are computed in three ways; `configs.py` and the README say why. On a machine without
    CUDA this is `matmul_int4_reference`.

    Shapes: x [..., K] -> [..., N], of x's type; on CUDA bfloat16, elsewhere any floating type.
    Errors: ValueError if the last axis of x is not K, x is of another type, or the two are on different devices.
    Differs: for more than 16 tokens every weight is rounded to bfloat16 before the product, as a bfloat16 model's are.
    """
    num_rows = matrix.shape[0]
    check_input(x, matrix.shape, matrix.words.device, "matmul_int4_reference")
    if not x.is_cuda:
        return matmul_int4_reference(x, matrix)
    tokens = as_rows(x)
    num_tokens = len(tokens)
    if num_tokens == 0:
        product = tokens.new_empty(0, num_rows)
    elif num_tokens <= DECODE_TOKENS:
        product = run_decode(tokens, matrix, decode_config(num_tokens, num_rows, matrix.words.shape[1]))
    elif num_tokens <= fused_tokens(num_rows):
        product = run_fused(tokens, matrix, fused_config(num_tokens, num_rows))
    else:
        product = F.linear(tokens, run_dequantize(matrix))
    return product.view(*x.shape[:-1], num_rows)


def run_decode(x: Tensor, matrix: Int4Matrix, config: Config) -> Tensor:
    """[M, K] -> [M, N] by `decode_kernel`; M is at most `config.tokens`."""
    from ..primitives import launch_options, workspace
    from .kernel import decode_kernel

    (num_rows, width), num_groups = matrix.shape, matrix.words.shape[1]
    steps = num_groups // config.groups
    ahead = min(4096, steps // config.splits * config.groups * ROWS * GROUP // 2)
    programs = -(-num_rows // config.rows)
    out, partial, counter = workspace(x, num_rows, programs, config.splits)
    decode_kernel[(programs, config.splits)](
        x, matrix.words, matrix.scales, out, partial, counter, len(x), num_rows, x.stride(0), width,
        matrix.is_symmetric, config.rows, config.tokens, config.splits, config.groups, ahead, config.stages,
        num_warps=config.warps, **launch_options(),
    )  # fmt: skip
    return out


def run_fused(x: Tensor, matrix: Int4Matrix, config: Config) -> Tensor:
    """[M, K] -> [M, N] by `fused_kernel`, for any M."""
    from ..primitives import launch_options, workspace
    from .kernel import fused_kernel

    num_rows, width = matrix.shape
    programs = -(-num_rows // config.rows) * -(-len(x) // config.tokens)
    out, partial, counter = workspace(x, num_rows, programs, config.splits)
    fused_kernel[(programs, config.splits)](
        x, matrix.words, matrix.scales, out, partial, counter, len(x), num_rows, x.stride(0), width,
        matrix.is_symmetric, config.rows, config.tokens, config.splits, 16, config.stages,
        num_warps=config.warps, **launch_options(),
    )  # fmt: skip
    return out


def run_dequantize(matrix: Int4Matrix) -> Tensor:
    """The whole matrix in bfloat16 [N, K], by `dequantize_kernel`."""
    from ..primitives import INTERPRETED
    from .kernel import dequantize_kernel

    num_rows, width = matrix.shape
    out = torch.empty(num_rows, width, dtype=torch.bfloat16, device=matrix.words.device)
    grid = (matrix.words.shape[0], matrix.words.shape[1])
    dequantize_kernel[grid](
        matrix.words, matrix.scales, out, num_rows, width, matrix.is_symmetric, 1, PTX=not INTERPRETED, num_warps=4
    )
    return out
