"""The whole feed-forward of a decode step in two launches: gate and up, then down and all sums.

A *pair* is a token and one of the A experts chosen for it: pair p belongs to token p // A. A *slot* is an expert at
work: slot 0 the shared one, with all tokens; the others routed ones, with the pairs that chose them. Which these are is
read on the device, so that a CUDA graph can hold the launches. Weights of an expert are read once, however many tokens
it has: they lie side by side as columns of one product.
"""

import triton
import triton.language as tl

from ..matmul_int4.kernel import load_scales, load_x
from ..primitives import let_next_start, prefetch, unpack_int4, wait_for_previous


@triton.jit
def expert_of(slot, index_ptr, P, PAIRS: tl.constexpr, BY_PAIR: tl.constexpr):
    """The expert of a routed slot (0, 1, ...), and which pairs chose it: none if an earlier slot has them.

    BY_PAIR: with fewer pairs than experts, a slot is a pair; otherwise it is an expert.
    """
    pair = tl.arange(0, PAIRS)
    chosen = tl.load(index_ptr + pair, mask=pair < P, other=-1)
    if BY_PAIR:
        expert = tl.load(index_ptr + slot).to(tl.int32)
        is_member = chosen == expert
        is_first = tl.sum((is_member & (pair < slot)).to(tl.int32)) == 0
        return expert, is_member & is_first
    else:
        return slot, chosen == slot


@triton.jit
def pairs_in_columns(is_member, COLUMNS: tl.constexpr, PAIRS: tl.constexpr):
    """Members side by side: the pair in each column, and whether there is one."""
    pair, column = tl.arange(0, PAIRS), tl.arange(0, COLUMNS)
    place = tl.cumsum(is_member.to(tl.int32), 0) - 1
    here = is_member[None, :] & (place[None, :] == column[:, None])
    return tl.sum(tl.where(here, pair[None, :], 0), 1), column < tl.sum(is_member.to(tl.int32))


@triton.jit
def gate_up_columns(
    x_ptr, word_ptr, scale_ptr, hidden_ptr, token, hidden_row, factor, is_column, K: tl.constexpr, WIDTH: tl.constexpr,
    SYMMETRIC: tl.constexpr, GROUPS: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """hidden = silu(factor * gate @ x) * (factor * up @ x) for 32 rows of gate and of up; one column a token."""
    TILE: tl.constexpr = 1024
    G: tl.constexpr = (K + 127) // 128
    COLUMNS: tl.constexpr = token.shape[0]
    row, word = tl.arange(0, 32), tl.arange(0, 32)
    tile = tl.program_id(0)
    gate_words = word_ptr + tile.to(tl.int64) * (G * TILE) + row[:, None] * 32 + word[None, :]
    gate_scales = scale_ptr + tile.to(tl.int64) * (G * 32) + row
    up_words = gate_words + WIDTH // 32 * G * TILE
    up_scales = gate_scales + WIDTH // 32 * G * 32
    x_rows = x_ptr + token[None, :] * K
    is_column = is_column[None, :]
    gate, up = tl.zeros((32, COLUMNS), tl.float32), tl.zeros((32, COLUMNS), tl.float32)
    for step in tl.range(0, G // GROUPS, num_stages=STAGES):
        for i in tl.static_range(GROUPS):
            group = step * GROUPS + i
            gate_packed = tl.load(gate_words + group * TILE, eviction_policy="evict_first")
            up_packed = tl.load(up_words + group * TILE, eviction_policy="evict_first")
            gate_scale, gate_zero = load_scales(gate_scales + group * 32, SYMMETRIC)
            up_scale, up_zero = load_scales(up_scales + group * 32, SYMMETRIC)
            gate_sum, up_sum = tl.zeros((32, COLUMNS), tl.float32), tl.zeros((32, COLUMNS), tl.float32)
            for place in tl.static_range(4):
                x = load_x(x_rows, is_column, group, place, K)
                gate_sum = tl.dot(
                    unpack_int4(gate_packed, place, PTX) - gate_zero.to(tl.bfloat16)[:, None], x, gate_sum
                )
                up_sum = tl.dot(unpack_int4(up_packed, place, PTX) - up_zero.to(tl.bfloat16)[:, None], x, up_sum)
            gate += gate_scale[:, None] * gate_sum
            up += up_scale[:, None] * up_sum
    gate, up = gate * factor[None, :], up * factor[None, :]
    hidden = gate / (1 + tl.exp(-gate)) * up
    where = hidden_row[None, :].to(tl.int64) * WIDTH + (tile * 32 + row)[:, None]
    tl.store(hidden_ptr + where, hidden.to(tl.bfloat16), mask=is_column)


@triton.jit
def gate_up_kernel(
    x_ptr, index_ptr, score_ptr, word_ptr, scale_ptr, shared_word_ptr, shared_scale_ptr, hidden_ptr, T, P,
    CHOICES: tl.constexpr, K: tl.constexpr, WIDTH: tl.constexpr, SYMMETRIC: tl.constexpr, BY_PAIR: tl.constexpr,
    PAIRS: tl.constexpr, FEW: tl.constexpr, GROUPS: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """Rows 0 ... P-1 of hidden [P + T, WIDTH] for pairs, the rest for tokens in the shared expert.

    Grid: (WIDTH / 32, 1 + slots). PAIRS is a power of two that holds all pairs and tokens, FEW the columns that an
    expert with few tokens gets.
    """
    TILE: tl.constexpr = 1024
    G: tl.constexpr = (K + 127) // 128
    WIDE_GROUPS: tl.constexpr = GROUPS if PAIRS <= 16 else 1  # what waits in shared memory for 64 columns must be
    WIDE_STAGES: tl.constexpr = STAGES if PAIRS <= 16 else 2  # little enough for several programs on a multiprocessor
    slot = tl.program_id(1)
    pair = tl.arange(0, PAIRS)
    if slot == 0:
        if PTX:
            run = shared_word_ptr + tl.program_id(0).to(tl.int64) * (G * TILE)
            prefetch(run, min(4096, G * 2048))
            prefetch(run + WIDTH // 32 * G * TILE, min(4096, G * 2048))
        wait_for_previous(PTX)
        factor = tl.full((PAIRS,), 1.0, tl.float32)
        gate_up_columns(
            x_ptr, shared_word_ptr, shared_scale_ptr, hidden_ptr, pair, P + pair, factor, pair < T,
            K, WIDTH, SYMMETRIC, WIDE_GROUPS, WIDE_STAGES, PTX,
        )  # fmt: skip
    else:
        wait_for_previous(PTX)
        expert, is_member = expert_of(slot - 1, index_ptr, P, PAIRS, BY_PAIR)
        count = tl.sum(is_member.to(tl.int32))
        word_ptr += expert.to(tl.int64) * (2 * WIDTH // 32 * G * TILE)
        scale_ptr += expert.to(tl.int64) * (2 * WIDTH // 32 * G * 32)
        if (count > 0) & (count <= FEW):
            member, is_column = pairs_in_columns(is_member, FEW, PAIRS)
            factor = tl.load(score_ptr + member, mask=is_column, other=0.0).to(tl.float32)
            gate_up_columns(
                x_ptr, word_ptr, scale_ptr, hidden_ptr, member // CHOICES, member, factor, is_column,
                K, WIDTH, SYMMETRIC, GROUPS, STAGES, PTX,
            )  # fmt: skip
        if FEW < PAIRS:
            if count > FEW:
                factor = tl.load(score_ptr + pair, mask=is_member, other=0.0).to(tl.float32)
                gate_up_columns(
                    x_ptr, word_ptr, scale_ptr, hidden_ptr, pair // CHOICES, pair, factor, is_member,
                    K, WIDTH, SYMMETRIC, WIDE_GROUPS, WIDE_STAGES, PTX,
                )  # fmt: skip
    let_next_start(PTX)


@triton.jit
def down_columns(
    hidden_ptr, word_ptr, scale_ptr, partial_ptr, hidden_row, partial_row, is_column, first, end, K: tl.constexpr,
    N: tl.constexpr, SYMMETRIC: tl.constexpr, ROWS: tl.constexpr, GROUPS: tl.constexpr, STAGES: tl.constexpr,
    PTX: tl.constexpr,
):  # fmt: skip
    """partial[partial_row] = down @ hidden[hidden_row] over groups first ... end - 1, for ROWS rows of down."""
    TILE: tl.constexpr = 1024
    G: tl.constexpr = (K + 127) // 128
    COLUMNS: tl.constexpr = hidden_row.shape[0]
    row, word = tl.arange(0, ROWS), tl.arange(0, 32)
    tile = tl.program_id(0) * (ROWS // 32)
    words = (
        word_ptr + tile.to(tl.int64) * (G * TILE) + (row // 32 * (G * TILE) + row % 32 * 32)[:, None] + word[None, :]
    )
    scales = scale_ptr + tile.to(tl.int64) * (G * 32) + row // 32 * (G * 32) + row % 32
    hidden_rows = hidden_ptr + hidden_row[None, :] * K
    is_column = is_column[None, :]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in tl.range(first // GROUPS, end // GROUPS, num_stages=STAGES):
        for i in tl.static_range(GROUPS):
            group = step * GROUPS + i
            packed = tl.load(words + group * TILE, eviction_policy="evict_first")
            scale, zero = load_scales(scales + group * 32, SYMMETRIC)
            partial = tl.zeros((ROWS, COLUMNS), tl.float32)
            for place in tl.static_range(4):
                hidden = load_x(hidden_rows, is_column, group, place, K)
                partial = tl.dot(unpack_int4(packed, place, PTX) - zero.to(tl.bfloat16)[:, None], hidden, partial)
            total += scale[:, None] * partial
    n = tile * 32 + row
    tl.store(partial_ptr + partial_row[None, :].to(tl.int64) * N + n[:, None], total, mask=is_column & (n < N)[:, None])


@triton.jit
def down_kernel(
    hidden_ptr, index_ptr, word_ptr, scale_ptr, shared_word_ptr, shared_scale_ptr, partial_ptr, counter_ptr, out_ptr,
    T, P, CHOICES: tl.constexpr, K: tl.constexpr, N: tl.constexpr, SYMMETRIC: tl.constexpr, BY_PAIR: tl.constexpr,
    PAIRS: tl.constexpr, FEW: tl.constexpr, SPLITS: tl.constexpr, ROWS: tl.constexpr, GROUPS: tl.constexpr,
    STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """out[t] = the shared expert's result plus those of the token's pairs; whoever comes last adds up.

    Grid: (N / ROWS, (1 + slots) * SPLITS). partial is [SPLITS, P + T, N]: every pair and token has one row a split.
    """
    TILE: tl.constexpr = 1024
    G: tl.constexpr = (K + 127) // 128
    STEPS: tl.constexpr = G // GROUPS
    slot, part = tl.program_id(1) // SPLITS, tl.program_id(1) % SPLITS
    first, end = part * STEPS // SPLITS * GROUPS, (part + 1) * STEPS // SPLITS * GROUPS
    WIDE_GROUPS: tl.constexpr = GROUPS if PAIRS <= 16 else 1
    WIDE_STAGES: tl.constexpr = STAGES if PAIRS <= 16 else 2
    pair = tl.arange(0, PAIRS)
    row_of_tiles = tl.program_id(0).to(tl.int64) * (ROWS // 32 * G * TILE)
    partials = partial_ptr + part * (P + T) * N
    if slot == 0:
        if PTX:
            for i in tl.static_range(ROWS // 32):
                prefetch(
                    shared_word_ptr + row_of_tiles + (i * G * TILE + first * TILE),
                    min(4096, STEPS // SPLITS * GROUPS * 2048),
                )
        wait_for_previous(PTX)
        down_columns(
            hidden_ptr, shared_word_ptr, shared_scale_ptr, partials, P + pair, P + pair, pair < T, first, end,
            K, N, SYMMETRIC, ROWS, WIDE_GROUPS, WIDE_STAGES, PTX,
        )  # fmt: skip
    else:
        # The router's choice was there before the previous kernel began, which waited for it.
        expert, is_member = expert_of(slot - 1, index_ptr, P, PAIRS, BY_PAIR)
        count = tl.sum(is_member.to(tl.int32))
        word_ptr += expert.to(tl.int64) * (N // 32 * G * TILE)
        scale_ptr += expert.to(tl.int64) * (N // 32 * G * 32)
        if PTX:
            if count > 0:
                for i in tl.static_range(ROWS // 32):
                    prefetch(
                        word_ptr + row_of_tiles + (i * G * TILE + first * TILE),
                        min(4096, STEPS // SPLITS * GROUPS * 2048),
                    )
        wait_for_previous(PTX)
        if (count > 0) & (count <= FEW):
            member, is_column = pairs_in_columns(is_member, FEW, PAIRS)
            down_columns(
                hidden_ptr, word_ptr, scale_ptr, partials, member, member, is_column, first, end,
                K, N, SYMMETRIC, ROWS, GROUPS, STAGES, PTX,
            )  # fmt: skip
        if FEW < PAIRS:
            if count > FEW:
                down_columns(
                    hidden_ptr, word_ptr, scale_ptr, partials, pair, pair, is_member, first, end,
                    K, N, SYMMETRIC, ROWS, WIDE_GROUPS, WIDE_STAGES, PTX,
                )  # fmt: skip
    let_next_start(PTX)

    tl.debug_barrier()  # all threads have written before one of them counts
    counter_ptr += tl.program_id(0)
    if tl.atomic_add(counter_ptr, 1, sem="acq_rel", scope="gpu") == tl.num_programs(1) - 1:
        n = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        mask = (pair < T)[None, :] & (n < N)[:, None]
        total = tl.zeros((ROWS, PAIRS), tl.float32)
        for split in tl.static_range(SPLITS):
            sums = partial_ptr + split * (P + T) * N + n[:, None]
            total += tl.load(sums + (P + pair)[None, :] * N, mask=mask, other=0.0, cache_modifier=".cg")
            for choice in tl.static_range(CHOICES):
                total += tl.load(
                    sums + (pair * CHOICES + choice)[None, :] * N, mask=mask, other=0.0, cache_modifier=".cg"
                )
        tl.store(out_ptr + pair[None, :] * N + n[:, None], total.to(tl.bfloat16), mask=mask)
        tl.store(counter_ptr, 0)
