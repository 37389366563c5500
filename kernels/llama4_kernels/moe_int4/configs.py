"""Sizes of the two launches, with reasons. Measured on an H100; see README.md."""

from __future__ import annotations

from dataclasses import dataclass

DECODE_TOKENS = 64  # pairs of a token and an expert, at most


@dataclass(frozen=True)
class MoeConfig:
    pairs: int  # a power of two that holds all pairs
    few: int  # columns of an expert that few tokens chose
    rows: int  # of down, a program
    splits: int  # parts of down's K
    warps: int
    stages: int


def moe_config(num_tokens: int, num_pairs: int, num_experts: int) -> MoeConfig:
    """The tensor cores' narrowest product has 8 columns. Two experts at work need down's K split to fill the machine;
    a warp for each 32 rows then needs no barriers. More experts have enough rows for programs of two warps, which share
    what they read of the tokens.
    """
    pairs = max(8, 1 << (max(num_pairs, num_tokens) - 1).bit_length())
    if min(num_pairs, num_experts) <= 1:
        return MoeConfig(pairs, 8, 32, 4, 1, 3)
    return MoeConfig(pairs, 8, 64, 2, 2, 3)
