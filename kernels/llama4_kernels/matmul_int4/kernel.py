"""Three kernels: few tokens, many tokens, and codes to numbers alone. `reference.py` says how the words lie.

Names: M tokens, N weight rows (output channels), K inputs, G groups of 128 along K. Pointers end in `_ptr`.
"""

import triton
import triton.language as tl

from ..primitives import let_next_start, prefetch, scale_of, store_sum, unpack_int4, wait_for_previous, zero_of


@triton.jit
def load_scales(scale_ptr, SYMMETRIC: tl.constexpr):
    """Scale, and zero + 128 (what `unpack_int4` adds to a code), float32."""
    if SYMMETRIC:
        scale = tl.load(scale_ptr, eviction_policy="evict_first").to(tl.float32)
        return scale, tl.zeros_like(scale) + 136.0
    else:
        pair = tl.load(scale_ptr, eviction_policy="evict_first")
        return scale_of(pair), zero_of(pair) + 128.0


@triton.jit
def load_x(x_rows, is_token, group, PLACE: tl.constexpr, K: tl.constexpr):
    """[32, tokens]: the inputs that the codes at PLACE of a group's 32 words are multiplied by."""
    k = group * 128 + PLACE * 32 + tl.arange(0, 32)
    mask = is_token if K % 128 == 0 else is_token & (k < K)[:, None]
    return tl.load(x_rows + k[:, None], mask=mask, other=0.0)


@triton.jit
def tile_below(tile, row, N):
    """How many rows of tiles below `tile` each row lies; no further than the last one, for what is never stored."""
    return tl.minimum(row // 32, tl.cdiv(N, 32) - 1 - tile)


@triton.jit
def decode_kernel(
    x_ptr, word_ptr, scale_ptr, out_ptr, partial_ptr, counter_ptr, M, N, x_stride, K: tl.constexpr,
    SYMMETRIC: tl.constexpr, ROWS: tl.constexpr, TOKENS: tl.constexpr, SPLITS: tl.constexpr, GROUPS: tl.constexpr,
    AHEAD: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """out[m, n] = sum over k of x[m, k] * w[n, k], for at most TOKENS tokens.

    Grid: (ceil(N / ROWS), SPLITS). A program takes ROWS rows of weights and one of SPLITS parts of K, GROUPS groups a
    step, and asks for the first AHEAD bytes of each row of tiles while the previous kernel ends. Codes are multiplied
    as whole numbers; the sum of a group is multiplied by its scale, in float32.
    """
    TILE: tl.constexpr = 1024  # words of 32 rows and a group
    G: tl.constexpr = (K + 127) // 128
    STEPS: tl.constexpr = G // GROUPS
    part = tl.program_id(1)
    first, end = part * STEPS // SPLITS, (part + 1) * STEPS // SPLITS
    tile = tl.program_id(0) * (ROWS // 32)
    word_ptr += tile.to(tl.int64) * (G * TILE)
    scale_ptr += tile.to(tl.int64) * (G * 32)
    if PTX:
        for i in tl.static_range(ROWS // 32):
            prefetch(word_ptr + tile_below(tile, i * 32, N) * (G * TILE) + first * (GROUPS * TILE), AHEAD)
    wait_for_previous(PTX)

    row, word, token = tl.arange(0, ROWS), tl.arange(0, 32), tl.arange(0, TOKENS)
    below = tile_below(tile, row, N)
    words = word_ptr + (below * (G * TILE) + row % 32 * 32)[:, None] + word[None, :]
    scales = scale_ptr + below * (G * 32) + row % 32
    is_token = (token < M)[None, :]
    x_rows = x_ptr + token[None, :] * x_stride
    total = tl.zeros((ROWS, TOKENS), tl.float32)
    for step in tl.range(first, end, num_stages=STAGES):
        for i in tl.static_range(GROUPS):
            group = step * GROUPS + i
            packed = tl.load(words + group * TILE, eviction_policy="evict_first")
            scale, zero = load_scales(scales + group * 32, SYMMETRIC)
            partial = tl.zeros((ROWS, TOKENS), tl.float32)
            for place in tl.static_range(4):
                x = load_x(x_rows, is_token, group, place, K)
                code = unpack_int4(packed, place, PTX) - zero.to(tl.bfloat16)[:, None]
                partial = tl.dot(code, x, partial)
            total += scale[:, None] * partial
    let_next_start(PTX)

    n = tile * 32 + row
    offset = token[None, :] * N + n[:, None]
    mask = is_token & (n < N)[:, None]
    store_sum(out_ptr, partial_ptr, counter_ptr + tl.program_id(0), total, offset, mask, M * N, part, SPLITS)


@triton.jit
def fused_kernel(
    x_ptr, word_ptr, scale_ptr, out_ptr, partial_ptr, counter_ptr, M, N, x_stride, K: tl.constexpr,
    SYMMETRIC: tl.constexpr, ROWS: tl.constexpr, TOKENS: tl.constexpr, SPLITS: tl.constexpr, BAND: tl.constexpr,
    STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """The same for many tokens: codes become bfloat16 numbers in registers, on their way into the product.

    Grid: (ceil(N / ROWS) * ceil(M / TOKENS), SPLITS). Programs that run side by side share what they read: the first
    BAND tiles of tokens go through all weights, then the next BAND.
    """
    TILE: tl.constexpr = 1024  # words of 32 rows and a group
    G: tl.constexpr = (K + 127) // 128
    part = tl.program_id(1)
    tiles_n, tiles_m = tl.cdiv(N, ROWS), tl.cdiv(M, TOKENS)
    band = tl.program_id(0) // (BAND * tiles_n)
    within = tl.program_id(0) % (BAND * tiles_n)
    height = tl.minimum(tiles_m - band * BAND, BAND)
    tile_n = within // height
    tile_m = band * BAND + within % height

    row, word = tl.arange(0, ROWS), tl.arange(0, 32)
    token = tile_m * TOKENS + tl.arange(0, TOKENS)
    tile = tile_n * (ROWS // 32)
    below = tile_below(tile, row, N)
    word_ptr += tile.to(tl.int64) * (G * TILE)
    scale_ptr += tile.to(tl.int64) * (G * 32)
    words = word_ptr + (below * (G * TILE) + row % 32 * 32)[:, None] + word[None, :]
    scales = scale_ptr + below * (G * 32) + row % 32
    is_token = (token < M)[None, :]
    x_rows = x_ptr + token[None, :] * x_stride
    wait_for_previous(PTX)
    total = tl.zeros((ROWS, TOKENS), tl.float32)
    for group in tl.range(part * G // SPLITS, (part + 1) * G // SPLITS, num_stages=STAGES):
        packed = tl.load(words + group * TILE)
        scale, zero = load_scales(scales + group * 32, SYMMETRIC)
        scale, zero = scale.to(tl.bfloat16)[:, None], zero.to(tl.bfloat16)[:, None]
        for place in tl.static_range(4):
            x = load_x(x_rows, is_token, group, place, K)
            total = tl.dot((unpack_int4(packed, place, PTX) - zero) * scale, x, total)
    let_next_start(PTX)

    n = tile_n * ROWS + row
    offset = token[None, :].to(tl.int64) * N + n[:, None]
    mask = is_token & (n < N)[:, None]
    store_sum(out_ptr, partial_ptr, counter_ptr + tl.program_id(0), total, offset, mask, M * N, part, SPLITS)


@triton.jit
def dequantize_kernel(
    word_ptr, scale_ptr, out_ptr, N, K: tl.constexpr, SYMMETRIC: tl.constexpr, GROUPS: tl.constexpr, PTX: tl.constexpr
):
    """out[n, k] = w[n, k] in bfloat16. Grid: (ceil(N / 32), ceil(G / GROUPS))."""
    TILE: tl.constexpr = 1024  # words of 32 rows and a group
    G: tl.constexpr = (K + 127) // 128
    tile = tl.program_id(0).to(tl.int64)
    row, word = tl.arange(0, 32), tl.arange(0, 32)
    n = tile * 32 + row
    for i in tl.static_range(GROUPS):
        group = tl.program_id(1) * GROUPS + i
        if group < G:
            packed = tl.load(word_ptr + (tile * G + group) * TILE + row[:, None] * 32 + word[None, :])
            scale, zero = load_scales(scale_ptr + (tile * G + group) * 32 + row, SYMMETRIC)
            scale, zero = scale.to(tl.bfloat16)[:, None], zero.to(tl.bfloat16)[:, None]
            for place in tl.static_range(4):
                k = group * 128 + place * 32 + word
                number = (unpack_int4(packed, place, PTX) - zero) * scale
                tl.store(out_ptr + n[:, None] * K + k[None, :], number, mask=(n < N)[:, None] & (k < K)[None, :])
