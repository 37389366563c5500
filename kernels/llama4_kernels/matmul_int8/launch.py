"""`matmul_int8`: checks what it is given, chooses how to compute it, and starts the kernel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..inputs import as_rows, check_input
from .configs import Config, fused_tokens, product_config
from .reference import Int8Matrix, matmul_int8_reference


def matmul_int8(x: Tensor, matrix: Int8Matrix) -> Tensor:
    """x times the transposed int8 matrix, summed up in float32.

    Few and many tokens are computed in two ways; `configs.py` and the README say why. On a machine without CUDA this
    is `matmul_int8_reference`.

    Shapes: x [..., K] -> [..., N], of x's type; on CUDA bfloat16, elsewhere any floating type.
    Errors: ValueError if the last axis of x is not K, x is of another type, or the two are on different devices.
    Differs: for many tokens every weight is rounded to bfloat16 before the product, as a bfloat16 model's are.
    """
    num_rows, width = matrix.shape
    check_input(x, matrix.shape, matrix.codes.device, "matmul_int8_reference")
    if not x.is_cuda:
        return matmul_int8_reference(x, matrix)
    tokens = as_rows(x)
    if len(tokens) == 0:
        product = tokens.new_empty(0, num_rows)
    elif len(tokens) <= fused_tokens(num_rows):
        product = run_product(tokens, matrix, product_config(len(tokens), num_rows, width))
    else:
        product = F.linear(tokens, run_dequantize(matrix))
    return product.view(*x.shape[:-1], num_rows)


def run_product(x: Tensor, matrix: Int8Matrix, config: Config) -> Tensor:
    """[M, K] -> [M, N] by `product_kernel`, for any M."""
    from ..primitives import INTERPRETED, launch_options, workspace
    from .kernel import product_kernel

    num_rows, width = matrix.shape
    programs = -(-num_rows // config.rows) * -(-len(x) // config.tokens)
    out, partial, counter = workspace(x, num_rows, programs, config.splits)
    ahead = 0 if INTERPRETED else matrix.bytes_ahead(config.depth, config.splits)
    policy = "evict_first" if len(x) <= config.tokens else ""  # nobody else reads these weights
    product_kernel[(programs, config.splits)](
        x, matrix.codes, matrix.scale, out, partial, counter, len(x), num_rows, x.stride(0), width,
        config.rows, config.tokens, config.splits, config.depth, 16, policy, ahead, config.stages,
        num_warps=config.warps, **launch_options(),
    )  # fmt: skip
    return out


def run_dequantize(matrix: Int8Matrix) -> Tensor:
    """The whole matrix in bfloat16 [N, K], by `dequantize_kernel`."""
    from ..primitives import INTERPRETED
    from .kernel import dequantize_kernel

    num_rows, width = matrix.shape
    out = torch.empty(num_rows, width, dtype=torch.bfloat16, device=matrix.codes.device)
    depth = 1024
    dequantize_kernel[(num_rows, -(-width // depth))](
        matrix.codes, matrix.scale, out, width, depth, PTX=not INTERPRETED, num_warps=4
    )
    return out
