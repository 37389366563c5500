"""Routed experts for many tokens: pairs sorted by expert, then one grouped product for gate and up, and one for down.

A *pair* is a token and an expert chosen for it. Pairs stand sorted by expert; `end_ptr[e]` is where expert e's end.
A program finds on the device which expert it works for, so nothing has to be known on the CPU.
"""

import triton
import triton.language as tl

from ..matmul_int4.kernel import load_scales, load_x
from ..primitives import unpack_int4


@triton.jit
def place_of_program(end_ptr, tiles_n, EXPERTS: tl.constexpr, TOKENS: tl.constexpr):
    """(expert, tile of rows, first pair, end of the expert's pairs); an expert beyond the last one has nothing to do.

    Programs of an expert are neighbours, and so are those that share weights: its tiles of tokens.
    """
    expert = tl.arange(0, EXPERTS)
    end = tl.load(end_ptr + expert)
    begin = tl.where(expert == 0, 0, tl.load(end_ptr + expert - 1, mask=expert > 0, other=0))
    tiles_m = (end - begin + TOKENS - 1) // TOKENS
    last = tl.cumsum(tiles_m * tiles_n, 0)
    program = tl.program_id(0)
    own = tl.sum((last <= program).to(tl.int32))
    is_own = expert == own
    before = tl.max(tl.where(expert < own, last, 0))
    own_tiles = tl.maximum(tl.sum(tl.where(is_own, tiles_m, 0)), 1)
    own_begin, own_end = tl.sum(tl.where(is_own, begin, 0)), tl.sum(tl.where(is_own, end, 0))
    within = program - before
    return own, within // own_tiles, own_begin + within % own_tiles * TOKENS, own_end


@triton.jit
def multiply(
    x_rows, is_pair, words, scales, K: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    SYMMETRIC: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """[ROWS, COLUMNS]: codes become bfloat16 on their way into the product, as in `fused_kernel`."""
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for group in tl.range(0, (K + 127) // 128, num_stages=STAGES):
        packed = tl.load(words + group * 1024)
        scale, zero = load_scales(scales + group * 32, SYMMETRIC)
        scale, zero = scale.to(tl.bfloat16)[:, None], zero.to(tl.bfloat16)[:, None]
        for place in tl.static_range(4):
            x = load_x(x_rows, is_pair, group, place, K)
            total = tl.dot((unpack_int4(packed, place, PTX) - zero) * scale, x, total)
    return total


@triton.jit
def gate_up_columns(
    x_ptr, token_ptr, score_ptr, words, scales, hidden_ptr, first, end, tile_n, K: tl.constexpr, WIDTH: tl.constexpr,
    SYMMETRIC: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """hidden of COLUMNS pairs, for 64 rows of gate and the same 64 of up."""
    pair = first + tl.arange(0, COLUMNS)
    is_pair = pair < end
    token = tl.load(token_ptr + pair, mask=is_pair, other=0).to(tl.int64)
    score = tl.load(score_ptr + pair, mask=is_pair, other=0.0).to(tl.float32)
    x_rows = x_ptr + token[None, :] * K
    both = multiply(x_rows, is_pair[None, :], words, scales, K, 128, COLUMNS, SYMMETRIC, STAGES, PTX)
    gate, up = tl.split(tl.permute(tl.reshape(both * score[None, :], (2, 64, COLUMNS)), (1, 2, 0)))
    hidden = gate / (1 + tl.exp(-gate)) * up
    where = pair[None, :].to(tl.int64) * WIDTH + (tile_n * 64 + tl.arange(0, 64))[:, None]
    tl.store(hidden_ptr + where, hidden.to(tl.bfloat16), mask=is_pair[None, :])


@triton.jit
def prefill_gate_up_kernel(
    x_ptr, token_ptr, score_ptr, end_ptr, word_ptr, scale_ptr, hidden_ptr, K: tl.constexpr, WIDTH: tl.constexpr,
    EXPERTS: tl.constexpr, PADDED: tl.constexpr, SYMMETRIC: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """hidden[pair] = silu(score * gate @ x[token]) * (score * up @ x[token]), pairs in sorted order.

    Grid: WIDTH / 64 times as many tiles of 128 pairs as there can be. PADDED is a power of two that holds EXPERTS;
    the ends of experts that do not exist are those of the last one.
    """
    G: tl.constexpr = (K + 127) // 128
    expert, tile_n, first, end = place_of_program(end_ptr, WIDTH // 64, PADDED, 128)
    if expert < EXPERTS:
        row, word = tl.arange(0, 128), tl.arange(0, 32)
        # Rows 0 ... 63 are the gate's, 64 ... 127 are up's, which lie WIDTH rows further.
        tile = tile_n * 2 + row // 32 % 2 + row // 64 * (WIDTH // 32)
        word_ptr += expert.to(tl.int64) * (2 * WIDTH // 32 * G * 1024)
        scale_ptr += expert.to(tl.int64) * (2 * WIDTH // 32 * G * 32)
        words = word_ptr + (tile * (G * 1024) + row % 32 * 32)[:, None] + word[None, :]
        scales = scale_ptr + tile * (G * 32) + row % 32
        if end - first > 64:
            gate_up_columns(
                x_ptr, token_ptr, score_ptr, words, scales, hidden_ptr, first, end, tile_n, K, WIDTH, SYMMETRIC,
                128, STAGES, PTX,
            )  # fmt: skip
        else:  # half a tile of tokens or less: half the work
            gate_up_columns(
                x_ptr, token_ptr, score_ptr, words, scales, hidden_ptr, first, end, tile_n, K, WIDTH, SYMMETRIC,
                64, STAGES, PTX,
            )  # fmt: skip


@triton.jit
def down_columns(
    hidden_ptr, pair_ptr, words, scales, out_ptr, first, end, tile_n, K: tl.constexpr, N: tl.constexpr,
    SYMMETRIC: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """out of COLUMNS pairs, for 128 rows of down, at the places that the pairs had before they were sorted."""
    pair = first + tl.arange(0, COLUMNS)
    is_pair = pair < end
    hidden_rows = hidden_ptr + pair[None, :].to(tl.int64) * K
    total = multiply(hidden_rows, is_pair[None, :], words, scales, K, 128, COLUMNS, SYMMETRIC, STAGES, PTX)
    place = tl.load(pair_ptr + pair, mask=is_pair, other=0).to(tl.int64)
    n = tile_n * 128 + tl.arange(0, 128)
    tl.store(out_ptr + place[None, :] * N + n[:, None], total.to(tl.bfloat16), mask=is_pair[None, :])


@triton.jit
def prefill_down_kernel(
    hidden_ptr, pair_ptr, end_ptr, word_ptr, scale_ptr, out_ptr, K: tl.constexpr, N: tl.constexpr,
    EXPERTS: tl.constexpr, PADDED: tl.constexpr, SYMMETRIC: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """out[pair] = down @ hidden[sorted pair]. Grid: N / 128 times as many tiles of 128 pairs as there can be."""
    G: tl.constexpr = (K + 127) // 128
    expert, tile_n, first, end = place_of_program(end_ptr, N // 128, PADDED, 128)
    if expert < EXPERTS:
        row, word = tl.arange(0, 128), tl.arange(0, 32)
        tile = tile_n * 4 + row // 32
        word_ptr += expert.to(tl.int64) * (N // 32 * G * 1024)
        scale_ptr += expert.to(tl.int64) * (N // 32 * G * 32)
        words = word_ptr + (tile * (G * 1024) + row % 32 * 32)[:, None] + word[None, :]
        scales = scale_ptr + tile * (G * 32) + row % 32
        if end - first > 64:
            down_columns(
                hidden_ptr, pair_ptr, words, scales, out_ptr, first, end, tile_n, K, N, SYMMETRIC, 128, STAGES, PTX
            )
        else:
            down_columns(
                hidden_ptr, pair_ptr, words, scales, out_ptr, first, end, tile_n, K, N, SYMMETRIC, 64, STAGES, PTX
            )
