"""Where tokens stand, and which keys each query may see.

A token's *slot* is its place in the tensor; its *position* is its place in its own text. They differ when a batch is
padded: padding has position -1, and the first real token has position 0 whatever its slot. All rules speak of
positions, so a padded row means exactly what it means alone.

Shapes: B batch, T new tokens, S visible keys.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import UserError

PADDING = -1


def positions_from_mask(attention_mask: Tensor, first: Tensor | int = 0) -> Tensor:
    """Count the real tokens of every row.

    Shapes: attention_mask [B, T] (1 = real, 0 = padding), first a number or [B, 1] -> int64 [B, T], padding -1.
    Units:  positions in tokens; `first` is the position of a row's first real token.
    """
    real = attention_mask.bool()
    return (real.long().cumsum(-1) - 1 + first).masked_fill(~real, PADDING)


def allowed_keys(query_positions: Tensor, key_positions: Tensor, chunk_size: int | None) -> Tensor:
    """Which keys each query may see: real ones, not later than itself, in its own chunk.

    Shapes: query_positions [B, T], key_positions [B, S] -> bool [B, T, S], True = may look.
    Units:  chunk_size in tokens (Scout: 8192), None = no chunks.
    Source: HF `create_causal_mask` and `create_chunked_causal_mask`.
    Differs: a sliding window would always see the last `chunk_size` tokens; here position 8192 sees only itself.
    """
    query, key = query_positions[:, :, None], key_positions[:, None, :]
    allowed = (key != PADDING) & (key <= query)
    if chunk_size is not None:
        same_chunk = query.div(chunk_size, rounding_mode="floor") == key.div(chunk_size, rounding_mode="floor")
        allowed = allowed & same_chunk
    return allowed


def causal_mask(num_tokens: int) -> Tensor:
    """Every token sees itself and all earlier ones.

    Shapes: returns bool [T, T]; rows are queries, True = may look.
    Source: HF `create_causal_mask`.
    """
    positions = torch.arange(num_tokens)[None]
    return allowed_keys(positions, positions, None)[0]


def chunked_causal_mask(num_tokens: int, chunk_size: int) -> Tensor:
    """Every token sees itself and the earlier ones of its own chunk.

    Shapes: returns bool [T, T]; rows are queries, True = may look.
    Units:  chunk_size in tokens (Scout: 8192).
    Errors: UserError if chunk_size < 1.
    Source: HF `create_chunked_causal_mask`.
    """
    if chunk_size < 1:
        raise UserError(f"chunk_size must be at least 1, got {chunk_size}")
    positions = torch.arange(num_tokens)[None]
    return allowed_keys(positions, positions, chunk_size)[0]
