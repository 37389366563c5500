"""Which sizes the kernel runs in, each with its reason.

Weights are the left operand of the tensor cores' product and tokens the right one: their 64 rows are then always full
of weights, however few tokens there are. Both operands come straight from shared memory, so no instruction is spent on
a weight.
"""

from __future__ import annotations

from dataclasses import dataclass

DECODE_TOKENS = 16  # at most; reading the weights is then all that takes time
MULTIPROCESSORS = 132  # of an H100

# Hopper's tensor cores keep 14 bits of a sum of e4m3 products. So few of them are added up there, the rest in float32.
RUN = 128


@dataclass(frozen=True)
class Config:
    """Sizes of one launch."""

    rows: int  # weight rows a program
    tokens: int  # a program
    splits: int  # parts of K that are summed by different programs
    warps: int
    stages: int  # steps of the loop whose loads are under way at once, and one more
    depth: int = 128  # inputs a step of the loop: a line of memory of each row


def product_config(num_tokens: int, num_rows: int, width: int) -> Config:
    """Few tokens: 16 columns, as 8 are too few for the product that reads weights from shared memory. About 1,000
    warps, four for 64 rows, keep memory busy; where rows give fewer, K is split evenly, into parts of at least four
    steps.

    Many: a tile of 256 x 128 reads least from the second-level cache, which is what eight-bit numbers wait for. Each
    four warps take 128 x 128, in two products that use the same 64 registers for sums of RUN; with 128 x 256 they would
    need 128 at once, and spill. For fewer tokens tiles are smaller, and K is split where they leave multiprocessors
    idle.
    """
    config = Config(256, 128, 1, 8, 4)
    steps = -(-width // config.depth)
    if num_tokens <= DECODE_TOKENS:
        most = min(steps // 4, 256 // -(-num_rows // 64))
        return Config(64, 16, max((n for n in range(1, most + 1) if steps % n == 0), default=1), 4, 4)
    if num_tokens <= 64:
        rows, tokens, warps, room = 128, 64, 4, 2 * MULTIPROCESSORS
    elif -(-num_rows // config.rows) * -(-num_tokens // config.tokens) < MULTIPROCESSORS:
        rows, tokens, warps, room = 128, 128, 8, MULTIPROCESSORS
    else:
        return config
    tiles = -(-num_rows // rows) * -(-num_tokens // tokens)
    return Config(rows, tokens, max(1, min(4, steps // 4, room // tiles)), warps, 4)
