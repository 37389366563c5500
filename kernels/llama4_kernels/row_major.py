"""What kernels share whose matrices lie row by row, a byte for each number."""

import triton
import triton.language as tl


@triton.jit
def prefetch_rows(pointers, BYTES: tl.constexpr):
    """Have the next BYTES (a multiple of 16) from each pointer on fetched into the second-level cache."""
    tl.inline_asm_elementwise(
        "cp.async.bulk.prefetch.L2.global [$1], $2; mov.u32 $0, 0;", "=r,l,n", [pointers, BYTES],
        dtype=tl.int32, is_pure=False, pack=1,
    )  # fmt: skip


@triton.jit
def load_rows(rows, k, K: tl.constexpr, DEPTH: tl.constexpr, POLICY: tl.constexpr):
    """[rows, DEPTH]: the numbers k of each row, 0 beyond its end."""
    if K % DEPTH == 0:
        return tl.load(rows[:, None] + k[None, :], eviction_policy=POLICY)
    else:
        return tl.load(rows[:, None] + k[None, :], mask=(k < K)[None, :], other=0.0, eviction_policy=POLICY)


@triton.jit
def tile_in_bands(program, tiles_n, tiles_m, BAND: tl.constexpr):
    """Tile of weight rows and tile of tokens of a program, so that those that run side by side share what they read.

    The first BAND tiles of tokens go through all weights, then the next BAND.
    """
    band = program // (BAND * tiles_n)
    within = program % (BAND * tiles_n)
    height = tl.minimum(tiles_m - band * BAND, BAND)
    return within // height, band * BAND + within % height
