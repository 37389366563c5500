"""Which kernel runs, and in which sizes: few choices, each with its reason. Measured on an H100; see README.md.

Weights are the left operand of the tensor cores' product and tokens the right one: their 16 or 64 rows are then always
full of weights, however few tokens there are.
"""

from __future__ import annotations

from dataclasses import dataclass

DECODE_TOKENS = 16  # at most; more are worth turning weights into bfloat16 numbers before the product


@dataclass(frozen=True)
class Config:
    """Sizes of one launch."""

    rows: int  # weight rows a program, a multiple of 32
    tokens: int  # a program
    splits: int  # parts of K that are summed by different programs
    groups: int  # of K, a step of the loop
    warps: int
    stages: int  # steps of the loop whose loads are under way at once, and one more


def decode_config(num_tokens: int, num_rows: int, num_groups: int) -> Config:
    """For up to 16 tokens, where reading the weights is nearly all that takes time.

    About 1,000 warps keep memory busy: with fewer it idles while they compute, more of them cost time to start and to
    sum up. Two warps share 64 rows, and so what they read of x. K is split evenly, into at least four steps. With more
    than 8 tokens partial sums cost more, and x takes the room of a second group, unless no parts are needed.
    """
    tiles, many = -(-num_rows // 64), num_tokens > 8
    groups = 2 if num_groups % 2 == 0 and not (many and tiles < 256) else 1
    steps = num_groups // groups
    most = min(steps // 4, (640 if many else 512) // tiles)
    splits = 1 if many and tiles >= 256 else max((n for n in range(1, most + 1) if steps % n == 0), default=1)
    return Config(64, 16 if many else 8, splits, groups, 2, 4 if many and groups == 2 else 3)


def fused_tokens(num_rows: int) -> int:
    """Up to how many tokens the fused kernel is quicker than turning the matrix into bfloat16 for PyTorch's product.

    A narrow matrix has too few tiles for all multiprocessors, and little to turn.
    """
    return 1024 if num_rows > 5120 else 256


def fused_config(num_tokens: int, num_rows: int) -> Config:
    """For 17 tokens and more: weights become bfloat16 numbers in registers, on their way into the product.

    Tiles of 128 x 128 leave room for two programs on a multiprocessor: one multiplies while the other turns codes into
    numbers. For fewer tokens tiles are narrower. Where there are fewer tiles than multiprocessors, K is split.
    """
    narrow, narrowest = num_rows < 8192, num_rows <= 5120
    if num_tokens <= 32:
        return Config(64, 32, 4, 1, 4, 3) if narrow else Config(128, 32, 1, 1, 4, 3)
    if num_tokens <= 64:
        return Config(64, 64, 4, 1, 4, 3) if narrowest else Config(128, 64, 4 if narrow else 1, 1, 8, 3)
    if num_tokens <= 128:
        return Config(128, 128, 3, 1, 8, 3) if narrowest else Config(128, 64, 1, 1, 4, 3)
    if num_tokens <= 256 and narrow:
        return Config(128, 64, 2 if narrowest else 1, 1, 4, 3)
    return Config(128, 128, 1, 1, 8, 3)
