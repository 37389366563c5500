"""Sizes of the launch, with reasons. Not measured yet: see README.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodeConfig:
    keys: int  # a step
    splits: int  # of the cache, over programs
    warps: int
    stages: int


def decode_config(num_heads: int, room: int, bits: int) -> DecodeConfig:
    """`num_heads` is B * Hkv. Two programs for each of an H100's 132 multiprocessors, and at least 256 keys for each.

    64 keys of 16 bits with their values are 32 KB, and three such steps fit twice into a multiprocessor's memory.
    """
    splits = max(1, min(-(-264 // num_heads), room // 256))
    return DecodeConfig(64 if bits == 16 else 128, splits, 4, 3)
