"""Two kernels: tokens are rounded, then multiplied. `reference.py` says how numbers lie, and how they are rounded.

Names: M tokens, N weight rows (output channels), K inputs. Pointers end in `_ptr`.
"""

import triton
import triton.language as tl

from ..primitives import let_next_start, store_sum, wait_for_previous
from ..row_major import load_rows, prefetch_rows, tile_in_bands


@triton.jit
def round_kernel(x_ptr, code_ptr, scale_ptr, x_stride, K: tl.constexpr, WIDTH: tl.constexpr, PTX: tl.constexpr):
    """code[m, k] = x[m, k] / scale[m] as e4m3, scale[m] = the token's largest |x| / 448. Grid: (M,).

    WIDTH is the next power of two from K on. Divisions are exact ones, as PyTorch's are.
    """
    token = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, WIDTH)
    wait_for_previous(PTX)
    let_next_start(PTX)  # it has weights fetched meanwhile
    x = tl.load(x_ptr + token * x_stride + k, mask=k < K, other=0.0).to(tl.float32)
    largest = tl.max(tl.abs(x), axis=0)
    scale = tl.maximum(tl.div_rn(largest, 448.0), 1.1754943508222875e-38)  # one can divide by it: not 0
    tl.store(code_ptr + token * K + k, tl.div_rn(x, scale).to(tl.float8e4nv), mask=k < K)
    tl.store(scale_ptr + token, scale)


@triton.jit
def product_kernel(
    x_ptr, x_scale_ptr, weight_ptr, scale_ptr, out_ptr, partial_ptr, counter_ptr, M, N, K: tl.constexpr,
    ROWS: tl.constexpr, TOKENS: tl.constexpr, SPLITS: tl.constexpr, DEPTH: tl.constexpr, RUN: tl.constexpr,
    BAND: tl.constexpr, POLICY: tl.constexpr, AHEAD: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """out[m, n] = x_scale[m] * scale[n] * sum over k of x[m, k] * weight[n, k], x and weight being e4m3.

    Grid: (ceil(N / ROWS) * ceil(M / TOKENS), SPLITS). A program takes ROWS rows of weights, TOKENS tokens and one of
    SPLITS parts of K, DEPTH inputs a step. The tensor cores themselves add up RUN products; float32 numbers take over
    from there. AHEAD bytes of each row are asked for while the tokens are rounded.
    """
    STEPS: tl.constexpr = (K + DEPTH - 1) // DEPTH
    part = tl.program_id(1)
    first, end = part * STEPS // SPLITS, (part + 1) * STEPS // SPLITS
    tile_n, tile_m = tile_in_bands(tl.program_id(0), tl.cdiv(N, ROWS), tl.cdiv(M, TOKENS), BAND)
    n = tile_n * ROWS + tl.arange(0, ROWS)
    row = tl.minimum(n, N - 1)  # what lies further is never stored
    rows = weight_ptr + row.to(tl.int64) * K
    if AHEAD > 0:
        prefetch_rows(rows + first * DEPTH, AHEAD)
    wait_for_previous(PTX)

    m = tile_m * TOKENS + tl.arange(0, TOKENS)
    token = tl.minimum(m, M - 1)
    tokens = x_ptr + token.to(tl.int64) * K
    total = tl.zeros((ROWS, TOKENS), tl.float32)
    for step in tl.range(first, end, num_stages=STAGES):
        k = step * DEPTH + tl.arange(0, DEPTH)
        weight = load_rows(rows, k, K, DEPTH, POLICY)
        x = load_rows(tokens, k, K, DEPTH, "")
        total = tl.dot(weight, tl.trans(x), total, max_num_imprecise_acc=RUN)
    let_next_start(PTX)

    scale = tl.load(scale_ptr + row).to(tl.float32)
    total = total * scale[:, None] * tl.load(x_scale_ptr + token)[None, :]
    offset = m[None, :].to(tl.int64) * N + n[:, None]
    mask = (m < M)[None, :] & (n < N)[:, None]
    store_sum(out_ptr, partial_ptr, counter_ptr + tl.program_id(0), total, offset, mask, M * N, part, SPLITS)
