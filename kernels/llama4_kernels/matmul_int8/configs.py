"""Which sizes the kernel runs in, each with its reason.

Weights are the left operand of the tensor cores' product and tokens the right one: their 16 or 64 rows are then always
full of weights, however few tokens there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DECODE_TOKENS = 16  # at most; reading the weights is then nearly all that takes time
LINE = 128  # bytes that memory is read in
MULTIPROCESSORS = 132  # of an H100


@dataclass(frozen=True)
class Config:
    """Sizes of one launch."""

    rows: int  # weight rows a program
    tokens: int  # a program
    splits: int  # parts of K that are summed by different programs
    depth: int  # inputs a step of the loop
    warps: int
    stages: int  # steps of the loop whose loads are under way at once, and one more


def product_config(num_tokens: int, num_rows: int, width: int) -> Config:
    """Few tokens: a step reads a whole line of memory of each row, as codes lie row by row. About 1,000 warps, two for
    64 rows, keep memory busy; where rows give fewer, K is split evenly, into parts of at least four steps. The output
    head's rows alone give six times as many.

    Many: with tiles of 128 x 128 and steps of half a line two programs share a multiprocessor, of which one multiplies
    while the other turns codes into numbers; whole lines fill registers and memory with one. For fewer tokens tiles are
    narrower, and four warps spend fewer instructions a weight than eight. Where tiles leave multiprocessors idle, K is
    split; a 128 x 128 program that sums parts up has no room for a second one.
    """
    steps = -(-width // LINE)
    if num_tokens <= DECODE_TOKENS:
        most = min(steps // 4, 512 // -(-num_rows // 64))
        splits = max((n for n in range(1, most + 1) if steps % n == 0), default=1)
        return Config(64, 8 if num_tokens <= 8 else 16, splits, LINE, 2, 4)
    if num_tokens <= 32:
        config, room = Config(64, 32, 1, LINE, 4, 3), 2 * MULTIPROCESSORS
    elif num_tokens <= 128:
        config, room = Config(128, 64, 1, LINE, 4, 3), 2 * MULTIPROCESSORS
    else:
        config, room = Config(128, 128, 1, LINE // 2, 8, 4), MULTIPROCESSORS
    tiles = -(-num_rows // config.rows) * -(-num_tokens // config.tokens)
    return replace(config, splits=max(1, min(4, steps // 4, room // tiles)))


def fused_tokens(num_rows: int) -> int:
    """Up to how many tokens the kernel is used, and not PyTorch's product with the matrix turned into bfloat16.

    These are `matmul_int4`'s bounds: tiles are the same, and so is what turning costs, three bytes of memory a weight.
    """
    return 1024 if num_rows > 5120 else 256
