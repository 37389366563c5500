"""Attention of a decode step over a long cache: many programs share the keys of a head, the last one adds up.

A program holds all query heads of a group (Scout: 5), so every key is read once. Softmax runs along: the largest score
so far, the sum of exponentials below it, and the weighted sum of values are kept, and scaled down when a larger score
comes (online softmax, arXiv 1805.02867).
"""

import triton
import triton.language as tl

from ..primitives import let_next_start, scale_of, unpack_int4, wait_for_previous, zero_of


@triton.jit
def scores_of(query_rows, query_mask, code_ptr, scale_ptr, key, is_key, BITS: tl.constexpr, PTX: tl.constexpr):
    """[keys, queries] products of a block of keys with all queries, in float32."""
    if BITS == 4:
        word = tl.arange(0, 32)
        packed = tl.load(code_ptr + key[:, None] * 32 + word[None, :], mask=is_key[:, None], other=0)
        pair = tl.load(scale_ptr + key, mask=is_key, other=0)
        zero = (zero_of(pair) + 128.0).to(tl.bfloat16)[:, None]
        products = tl.zeros((key.shape[0], query_mask.shape[1]), tl.float32)
        for place in tl.static_range(4):
            query = tl.load(query_rows + (place * 32 + word)[:, None], mask=query_mask, other=0.0)
            products = tl.dot(unpack_int4(packed, place, PTX) - zero, query, products)
        return products * scale_of(pair)[:, None]
    else:
        channel = tl.arange(0, 128)
        query = tl.load(query_rows + channel[:, None], mask=query_mask, other=0.0)
        keys = tl.load(code_ptr + key[:, None] * 128 + channel[None, :], mask=is_key[:, None], other=0)
        if BITS == 8:
            pair = tl.load(scale_ptr + key, mask=is_key, other=0)
            numbers = (keys.to(tl.float32) - zero_of(pair)[:, None]).to(tl.bfloat16)
            return tl.dot(numbers, query) * scale_of(pair)[:, None]
        else:
            return tl.dot(keys, query)


@triton.jit
def values_of(code_ptr, scale_ptr, key, is_key, BITS: tl.constexpr, PTX: tl.constexpr):
    """Scale and zero [keys] of a block of values: 1 and 0 for 16 bits."""
    if BITS == 16:
        return tl.full((key.shape[0],), 1.0, tl.float32), tl.zeros((key.shape[0],), tl.float32)
    else:
        pair = tl.load(scale_ptr + key, mask=is_key, other=0)
        return scale_of(pair), zero_of(pair)


@triton.jit
def decode_kernel(
    query_ptr, key_ptr, key_scale_ptr, value_ptr, value_scale_ptr, length_ptr, out_ptr, partial_ptr, counter_ptr, room,
    scale, HEADS: tl.constexpr, GROUP: tl.constexpr, QUERIES: tl.constexpr, BITS: tl.constexpr, KEYS: tl.constexpr,
    SPLITS: tl.constexpr, STAGES: tl.constexpr, PTX: tl.constexpr,
):  # fmt: skip
    """out [B, HEADS * GROUP, 128]. Grid: (B * HEADS, SPLITS); a program takes KEYS keys a step of its part.

    partial is [B * HEADS, SPLITS, QUERIES, 130]: the weighted sum of values, its largest score, its sum of weights.
    QUERIES is 16 at least, what the tensor cores multiply at once; GROUP of them exist.
    """
    head, part = tl.program_id(0), tl.program_id(1)
    wait_for_previous(PTX)
    length = tl.load(length_ptr + head // HEADS)
    blocks = tl.cdiv(length, KEYS)
    first, end = part * blocks // SPLITS, (part + 1) * blocks // SPLITS
    query, channel, word = tl.arange(0, QUERIES), tl.arange(0, 128), tl.arange(0, 32)
    query_mask = (query < GROUP)[None, :]
    query_rows = query_ptr + (head * GROUP + query)[None, :] * 128
    WIDTH: tl.constexpr = 32 if BITS == 4 else 128  # words or numbers of a key
    start = head.to(tl.int64) * room
    key_ptr += start * WIDTH
    value_ptr += start * WIDTH
    key_scale_ptr += start
    value_scale_ptr += start

    largest = tl.full((QUERIES,), float("-inf"), tl.float32)
    weight_sum = tl.zeros((QUERIES,), tl.float32)
    # 4 bits: four sums of 32 channels each, as the words hold them; otherwise the first is [queries, 128].
    sums = tl.zeros((QUERIES, WIDTH), tl.float32)
    sums_1, sums_2, sums_3 = sums, sums, sums
    for block in tl.range(first, end, num_stages=STAGES):
        key = block * KEYS + tl.arange(0, KEYS)
        is_key = key < length
        scores = scores_of(query_rows, query_mask, key_ptr, key_scale_ptr, key, is_key, BITS, PTX)
        scores = tl.where(is_key[:, None], scores * (scale * 1.4426950408889634), float("-inf"))  # to powers of two
        new_largest = tl.maximum(largest, tl.max(scores, 0))
        weights = tl.exp2(scores - new_largest[None, :])
        fade = tl.exp2(largest - new_largest)
        weight_sum = weight_sum * fade + tl.sum(weights, 0)
        largest = new_largest
        value_scale, value_zero = values_of(value_ptr, value_scale_ptr, key, is_key, BITS, PTX)
        # A value's scale multiplies its weight: once a token, not once a channel.
        weights = tl.trans((weights * value_scale[:, None]).to(tl.bfloat16))
        if BITS == 4:
            packed = tl.load(value_ptr + key[:, None] * 32 + word[None, :], mask=is_key[:, None], other=0)
            zero = (value_zero + 128.0).to(tl.bfloat16)[:, None]
            sums = tl.dot(weights, unpack_int4(packed, 0, PTX) - zero, sums * fade[:, None])
            sums_1 = tl.dot(weights, unpack_int4(packed, 1, PTX) - zero, sums_1 * fade[:, None])
            sums_2 = tl.dot(weights, unpack_int4(packed, 2, PTX) - zero, sums_2 * fade[:, None])
            sums_3 = tl.dot(weights, unpack_int4(packed, 3, PTX) - zero, sums_3 * fade[:, None])
        else:
            values = tl.load(value_ptr + key[:, None] * 128 + channel[None, :], mask=is_key[:, None], other=0)
            if BITS == 8:
                values = (values.to(tl.float32) - value_zero[:, None]).to(tl.bfloat16)
            sums = tl.dot(weights, values, sums * fade[:, None])
    let_next_start(PTX)

    row = ((head * SPLITS + part) * QUERIES + query).to(tl.int64) * 130
    tl.store(partial_ptr + row + 128, largest)
    tl.store(partial_ptr + row + 129, weight_sum)
    if BITS == 4:
        own = partial_ptr + row[:, None] + word[None, :]
        tl.store(own, sums)
        tl.store(own + 32, sums_1)
        tl.store(own + 64, sums_2)
        tl.store(own + 96, sums_3)
    else:
        tl.store(partial_ptr + row[:, None] + channel[None, :], sums)
    tl.debug_barrier()  # all threads have written before one of them counts
    if tl.atomic_add(counter_ptr + head, 1, sem="acq_rel", scope="gpu") == SPLITS - 1:
        largest = tl.full((QUERIES,), float("-inf"), tl.float32)
        weight_sum = tl.zeros((QUERIES,), tl.float32)
        total = tl.zeros((QUERIES, 128), tl.float32)
        for other in tl.range(0, SPLITS):
            row = ((head * SPLITS + other) * QUERIES + query).to(tl.int64) * 130
            other_largest = tl.load(partial_ptr + row + 128, cache_modifier=".cg")
            new_largest = tl.maximum(largest, other_largest)
            # A part without keys has nothing: its largest is -inf, and so are all before it, perhaps.
            fade = tl.where(largest == float("-inf"), 0.0, tl.exp2(largest - new_largest))
            rise = tl.where(other_largest == float("-inf"), 0.0, tl.exp2(other_largest - new_largest))
            weight_sum = weight_sum * fade + tl.load(partial_ptr + row + 129, cache_modifier=".cg") * rise
            sums_there = tl.load(partial_ptr + row[:, None] + channel[None, :], cache_modifier=".cg")
            total = total * fade[:, None] + sums_there * rise[:, None]
            largest = new_largest
        out = out_ptr + (head * GROUP + query)[:, None] * 128 + channel[None, :]
        tl.store(out, (total / weight_sum[:, None]).to(out_ptr.dtype.element_ty), mask=(query < GROUP)[:, None])
        tl.store(counter_ptr + head, 0)
