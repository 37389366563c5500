"""Two kernels: the product, for any number of tokens, and codes to numbers alone. `reference.py` says how codes lie.

Names: M tokens, N weight rows (output channels), K inputs. Pointers end in `_ptr`.
"""

import triton
import triton.language as tl

from ..primitives import let_next_start, store_sum, wait_for_previous
from ..row_major import load_rows, prefetch_rows, tile_in_bands


@triton.jit
def numbers_of(codes, PTX: tl.constexpr):
    """code - 128 as bfloat16, exactly. README.md tells how."""
    if PTX:
        return tl.inline_asm_elementwise(
            """{
            .reg .b32 pair, seven, eighth, minus_one;
            mov.b32 minus_one, 0xBF80BF80;
            prmt.b32 pair, $2, 0, 0x4140;
            lop3.b32 seven, pair, 0x007F007F, 0x43004300, 0xEA;
            lop3.b32 eighth, pair, 0x00800080, 0x43004300, 0xAE;
            fma.rn.bf16x2 $0, eighth, minus_one, seven;
            prmt.b32 pair, $2, 0, 0x4342;
            lop3.b32 seven, pair, 0x007F007F, 0x43004300, 0xEA;
            lop3.b32 eighth, pair, 0x00800080, 0x43004300, 0xAE;
            fma.rn.bf16x2 $1, eighth, minus_one, seven;
            }""",
            "=r,=r,r", [codes], dtype=tl.bfloat16, is_pure=True, pack=4,
        )  # fmt: skip
    else:
        return (codes.to(tl.float32) - 128.0).to(tl.bfloat16)


@triton.jit
def product_kernel(
    x_ptr, code_ptr, scale_ptr, out_ptr, partial_ptr, counter_ptr, M, N, x_stride, K: tl.constexpr,
    ROWS: tl.constexpr, TOKENS: tl.constexpr, SPLITS: tl.constexpr, DEPTH: tl.constexpr, BAND: tl.constexpr,
    POLICY: tl.constexpr, AHEAD: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """out[m, n] = scale[n] * sum over k of x[m, k] * (code[n, k] - 128).

    Grid: (ceil(N / ROWS) * ceil(M / TOKENS), SPLITS). A program takes ROWS rows of weights, TOKENS tokens and one of
    SPLITS parts of K, DEPTH inputs a step. AHEAD bytes of each row are asked for while the previous kernel ends.
    """
    STEPS: tl.constexpr = (K + DEPTH - 1) // DEPTH
    part = tl.program_id(1)
    first, end = part * STEPS // SPLITS, (part + 1) * STEPS // SPLITS
    tile_n, tile_m = tile_in_bands(tl.program_id(0), tl.cdiv(N, ROWS), tl.cdiv(M, TOKENS), BAND)
    n = tile_n * ROWS + tl.arange(0, ROWS)
    row = tl.minimum(n, N - 1)  # what lies further is never stored
    rows = code_ptr + row.to(tl.int64) * K
    if AHEAD > 0:
        prefetch_rows(rows + first * DEPTH, AHEAD)
    wait_for_previous(PTX)

    token = tile_m * TOKENS + tl.arange(0, TOKENS)
    is_token = (token < M)[None, :]
    x_rows = x_ptr + token[None, :].to(tl.int64) * x_stride
    total = tl.zeros((ROWS, TOKENS), tl.float32)
    for step in tl.range(first, end, num_stages=STAGES):
        k = step * DEPTH + tl.arange(0, DEPTH)
        codes = load_rows(rows, k, K, DEPTH, POLICY)
        x = tl.load(x_rows + k[:, None], mask=is_token if K % DEPTH == 0 else is_token & (k < K)[:, None], other=0.0)
        total = tl.dot(numbers_of(codes, PTX), x, total)
    let_next_start(PTX)

    total *= tl.load(scale_ptr + row).to(tl.float32)[:, None]
    offset = token[None, :].to(tl.int64) * N + n[:, None]
    mask = is_token & (n < N)[:, None]
    store_sum(out_ptr, partial_ptr, counter_ptr + tl.program_id(0), total, offset, mask, M * N, part, SPLITS)


@triton.jit
def dequantize_kernel(code_ptr, scale_ptr, out_ptr, K: tl.constexpr, DEPTH: tl.constexpr, PTX: tl.constexpr):
    """out[n, k] = w[n, k] in bfloat16. Grid: (N, ceil(K / DEPTH))."""
    n = tl.program_id(0).to(tl.int64)
    k = tl.program_id(1) * DEPTH + tl.arange(0, DEPTH)
    codes = tl.load(code_ptr + n * K + k, mask=k < K, other=0)
    scale = tl.load(scale_ptr + n)
    tl.store(out_ptr + n * K + k, numbers_of(codes, PTX) * scale, mask=k < K)
