"""Keys and values of the tokens seen so far, so that each token is computed once.

A layer without chunks keeps everything. A chunked layer keeps only the chunk that is being filled: when the next
token opens a new chunk, nothing before it can be seen again, and it is dropped.

Shapes: B batch, T new tokens, S visible keys, Hkv KV heads, Dh head width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .config import TextConfig
from .errors import UserError
from .masks import PADDING, positions_from_mask


@dataclass(frozen=True)
class Placement:
    """Where the new tokens of one forward pass stand.

    `query` holds their positions, int64 [B, T], or [1, T] when all rows are alike. `key` holds the positions of all
    slots so far, the new ones included, int64 [B, past + T]; None means that every row is simply 0, 1, 2, ... with no
    padding, which allows quicker attention. `past` counts the slots before the new tokens.
    """

    query: Tensor
    key: Tensor | None
    past: int


def place_tokens(
    shape: tuple[int, int],
    device: torch.device,
    cache: KVCache | None = None,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
) -> Placement:
    """Where new tokens stand, after all that the cache has seen.

    Shapes: shape is (B, T); attention_mask [B, T] or [B, past + T], 1 = real and 0 = padding (only its last T columns
        are read: the cache remembers the others); position_ids [B, T] or [1, T].
    Errors: UserError if a shape does not fit, or positions are negative or do not grow along a row.
    """
    batch, num_tokens = shape
    if cache is not None and cache.batch_size not in (None, batch):
        raise UserError(f"the cache holds a batch of {cache.batch_size}, the new tokens are one of {batch}")
    past = cache.length if cache is not None else 0
    known = cache.positions if cache is not None else None
    if attention_mask is not None:
        if tuple(attention_mask.shape) not in ((batch, num_tokens), (batch, past + num_tokens)):
            raise UserError(
                f"attention_mask is {list(attention_mask.shape)}; expected [{batch}, {num_tokens}]"
                + (f" or [{batch}, {past + num_tokens}]" if past else "")
            )
        attention_mask = attention_mask[:, attention_mask.shape[1] - num_tokens :].to(device)
        if bool(attention_mask.all()):
            attention_mask = None
    if attention_mask is None and position_ids is None and known is None:
        return Placement(torch.arange(past, past + num_tokens, device=device)[None], None, past)

    if known is None:
        known = torch.arange(past, device=device).expand(batch, past)
    if attention_mask is None:
        attention_mask = torch.ones(batch, num_tokens, dtype=torch.bool, device=device)
    if position_ids is None:
        first = known.amax(-1, keepdim=True) + 1 if past else 0
        query = positions_from_mask(attention_mask, first)
    else:
        if position_ids.shape not in ((batch, num_tokens), (1, num_tokens)):
            raise UserError(f"position_ids is {list(position_ids.shape)}; expected [{batch}, {num_tokens}]")
        real = attention_mask.bool()
        query = position_ids.to(device).expand(batch, -1)
        if bool((query[real] < 0).any()):
            raise UserError("position_ids must be 0 or more; padding is marked in attention_mask")
        query = query.masked_fill(~real, PADDING)
    key = torch.cat([known, query], dim=1)
    if position_ids is not None and not _grows(key):
        raise UserError("position_ids must grow along each row, and continue after those in the cache")
    return Placement(query, key, past)


def _grows(positions: Tensor) -> bool:
    """Whether the real positions of every row strictly grow."""
    before = positions.cummax(-1).values[:, :-1]
    later = positions[:, 1:]
    return bool(((later > before) | (later == PADDING)).all())


class LayerCache:
    """One layer's keys and values.

    Shapes: both [B, Hkv, S, Dh], in buffers that grow by doubling, up to `limit` slots.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.length = 0
        self._buffers: list[Tensor] = []  # of keys and of values, once there are any

    def update(self, key: Tensor, value: Tensor, keep: int) -> tuple[Tensor, Tensor]:
        """Append new keys and values, return all that this pass may see, then hold the last `keep` slots of it.

        Shapes: key, value [B, Hkv, T, Dh] -> two of [B, Hkv, held + T, Dh].
        """
        held, total = self.length, self.length + key.shape[2]
        if keep < total:  # a chunk ends: what remains of it moves to tensors of its own, and the rest is let go
            if held:
                key, value = (
                    torch.cat([buffer[:, :, :held], new], dim=2)
                    for buffer, new in zip(self._buffers, (key, value), strict=True)
                )
            self._buffers = [x[:, :, total - keep :].clone() for x in (key, value)] if keep else []
        else:
            self._reserve(key, value, total)
            for buffer, new in zip(self._buffers, (key, value), strict=True):
                buffer[:, :, held:total] = new
            key, value = (buffer[:, :, :total] for buffer in self._buffers)
        self.length = keep
        return key, value

    def _reserve(self, key: Tensor, value: Tensor, total: int) -> None:
        if self._buffers and self._buffers[0].shape[2] >= total:
            return
        capacity = max(total, min(2 * total, self.limit or 2 * total))
        larger = [new.new_empty(*new.shape[:2], capacity, new.shape[3]) for new in (key, value)]
        for old, buffer in zip(self._buffers, larger, strict=False):  # there are no old ones at first
            buffer[:, :, : self.length] = old[:, :, : self.length]
        self._buffers = larger

    @property
    def num_bytes(self) -> int:
        """Memory held, spare room included."""
        return sum(buffer.numel() * buffer.element_size() for buffer in self._buffers)


class KVCache:
    """The caches of all layers, for one batch of texts that grow together. For inference: it keeps no gradients.

    `length` counts the slots seen, padding included; `positions` is [B, length], or None while every row is
    0, 1, 2, ...

    Differs: HF's `DynamicCache` keeps a sliding window of `chunk_size` slots for a chunked layer; this one keeps the
        chunk being filled, half of that on average. Padding inside a chunk is kept with it.
    """

    def __init__(self, config: TextConfig) -> None:
        self.layers = [LayerCache(spec.chunk_size) for spec in config.layer_plan]
        self.length = 0
        self.batch_size: int | None = None  # None until the first pass
        self.positions: Tensor | None = None
        self.token_ids: Tensor | None = None  # [B, length], kept by `generate` to recognise a continued conversation
        self._chunk_size = config.chunk_size
        self._pending: Placement | None = None
        self._keep_in_chunk = 0

    @property
    def num_bytes(self) -> int:
        """Memory that keys and values hold, spare room included."""
        return sum(layer.num_bytes for layer in self.layers)

    def begin(self, placement: Placement, batch_size: int) -> None:
        """Start a pass over new tokens: decide how many slots a chunked layer will still need after it.

        Errors: UserError if the last pass was interrupted.
        """
        if self._pending is not None:
            raise UserError("the cache's last forward pass was interrupted, so its layers differ; make a new KVCache")
        length = placement.past + placement.query.shape[1]
        if self._chunk_size is None:
            self._keep_in_chunk = length
        elif placement.key is None:
            self._keep_in_chunk = length % self._chunk_size
        else:
            next_position = placement.key.amax(-1, keepdim=True) + 1  # [B, 1]
            needed = placement.key >= next_position - next_position % self._chunk_size  # by some row, in its next step
            first_needed = needed.any(0).nonzero()
            self._keep_in_chunk = length - int(first_needed[0]) if len(first_needed) else 0
        self._pending, self.batch_size = placement, batch_size

    def update(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add one layer's new keys and values and return all that the new tokens may see.

        Shapes: key, value [B, Hkv, T, Dh] -> two of [B, Hkv, S, Dh].
        Errors: UserError if gradients would flow into the cache.
        """
        if key.requires_grad and torch.is_grad_enabled():
            raise UserError("a KV cache keeps no gradients: use torch.no_grad(), or train without a cache")
        cache = self.layers[layer]
        keep = cache.length + key.shape[2] if cache.limit is None else self._keep_in_chunk
        return cache.update(key, value, keep)

    def finish(self) -> None:
        """End the pass: every layer has seen the new tokens."""
        if self._pending is None:
            raise RuntimeError("finish() without begin()")
        self.positions = self._pending.key
        self.length += self._pending.query.shape[1]
        self._pending = None
