"""Mistakes in what attention sees: masks, chunks, heads, the cache, padding."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import attention, kv_cache, masks
from ..kv_cache import KVCache
from ..model import Llama4
from .mutation import Change, all_of, changed, mutant, replaced, replaced_method
from .places import layers

CHUNKED = ("mask.chunked", "attention.chunked_rope", "layer.chunked_rope", "model.text")


def _mask_rule(rule: Callable[[Tensor, Tensor, int | None], Tensor]) -> Change:
    """Attention by another rule of (query position, key position, chunk size), also where none is written out."""

    def written_out(attend: Any) -> Any:
        def attend_by_mask(query: Tensor, key: Tensor, value: Tensor, placement: Any, chunk_size: int | None) -> Tensor:
            if placement.key is None:
                positions = torch.arange(placement.past + placement.query.shape[1])[None]
                placement = dataclasses.replace(placement, key=positions)
            return attend(query, key, value, placement, chunk_size)

        return attend_by_mask

    def allowed_keys(query_positions: Tensor, key_positions: Tensor, chunk_size: int | None) -> Tensor:
        query, key = query_positions[:, :, None], key_positions[:, None, :]
        return (key != masks.PADDING) & rule(query, key, chunk_size)

    return all_of(replaced(attention.attend, written_out), replaced(masks.allowed_keys, lambda _: allowed_keys))


@mutant("chunks are ignored", *CHUNKED)
def chunks_ignored(model: Llama4) -> Change:
    return _mask_rule(lambda query, key, chunk: key <= query)


@mutant("a sliding window instead of chunks", *CHUNKED)
def sliding_window(model: Llama4) -> Change:
    return _mask_rule(lambda query, key, chunk: (key <= query) & (query - key < (chunk or 1 << 40)))


@mutant("chunks begin one token late", *CHUNKED)
def late_chunks(model: Llama4) -> Change:
    def rule(query: Tensor, key: Tensor, chunk: int | None) -> Tensor:
        return (key <= query) & ((query - 1) // chunk == (key - 1) // chunk if chunk else True)

    return _mask_rule(rule)


@mutant("tokens see the next token", "mask.causal", "mask.chunked", "attention.nope", "attention.chunked_rope")
def looking_ahead(model: Llama4) -> Change:
    def rule(query: Tensor, key: Tensor, chunk: int | None) -> Tensor:
        return (key <= query + 1) & (query // chunk == key // chunk if chunk else True)

    return _mask_rule(rule)


@mutant("padding is seen", "mask.padded", "batch.left_padding", "batch.hf_padding")
def padding_seen(model: Llama4) -> Change:
    def rule(query: Tensor, key: Tensor, chunk: int | None) -> Tensor:
        return (key <= query) & (query // chunk == key // chunk if chunk else True)

    def without_padding(allowed_keys: Any) -> Any:
        return lambda query, key, chunk: rule(query[:, :, None], key.clamp(min=0)[:, None], chunk)

    return replaced(masks.allowed_keys, without_padding)


def _specs(model: Llama4, make: Callable[[Any], Any]) -> Change:
    return changed([layer.self_attn for layer in layers(model)], "spec", make)


@mutant("NoPE layers are the chunked ones", "attention.chunked_rope", "attention.nope", "model.text")
def chunks_on_nope(model: Llama4) -> Change:
    chunk = model.text_config.chunk_size
    return _specs(model, lambda spec: dataclasses.replace(spec, chunk_size=None if spec.uses_rope else chunk))


@mutant("no_rope_layers is read as its name says", "attention.chunked_rope", "attention.nope", "model.text")
def inverted_pattern(model: Llama4) -> Change:
    chunk = model.text_config.chunk_size
    return _specs(
        model,
        lambda spec: dataclasses.replace(
            spec, uses_rope=not spec.uses_rope, chunk_size=None if spec.uses_rope else chunk
        ),
    )


@mutant("RoPE on every layer", "attention.nope", "layer.nope", "model.text")
def rope_everywhere(model: Llama4) -> Change:
    return _specs(model, lambda spec: dataclasses.replace(spec, uses_rope=True))


@mutant("query heads are dealt out to KV heads in turn", "attention.nope", "attention.chunked_rope", "model.text")
def kv_heads_in_turn(model: Llama4) -> Change:
    def wrap(attend: Any) -> Any:
        def attend_in_turn(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> Tensor:
            groups = query.shape[1] // key.shape[1]
            return attend(query, key.repeat(1, groups, 1, 1), value.repeat(1, groups, 1, 1), *rest)

        return attend_in_turn

    return replaced(attention.attend, wrap)


@mutant("attention is scaled by the hidden size", "attention.nope", "attention.chunked_rope", "model.text")
def wrong_scale(model: Llama4) -> Change:
    ratio = (model.text_config.head_dim / model.text_config.hidden_size) ** 0.5
    return replaced(attention.attend, lambda attend: lambda query, *rest: attend(query * ratio, *rest))


@mutant("the cache of a chunk keeps one token too few", "cache.segments", "cache.decode")
def cache_too_short(model: Llama4) -> Change:
    def make(begin: Any) -> Any:
        def begin_short(self: KVCache, placement: Any, batch_size: int) -> None:
            begin(self, placement, batch_size)
            self._keep_in_chunk = max(0, self._keep_in_chunk - 1)

        return begin_short

    return replaced_method(KVCache, "begin", make)


@mutant("the cache of a chunk is dropped one token early", "cache.segments", "cache.decode")
def cache_dropped_early(model: Llama4) -> Change:
    def make(begin: Any) -> Any:
        def begin_early(self: KVCache, placement: Any, batch_size: int) -> None:
            begin(self, placement, batch_size)
            if self._chunk_size and (self._keep_in_chunk + 1) % self._chunk_size == 0:
                self._keep_in_chunk = 0

        return begin_early

    return replaced_method(KVCache, "begin", make)


@mutant("one-token steps see beyond their chunk", "cache.decode")
def decode_without_chunks(model: Llama4) -> Change:
    def keep_all(update: Any) -> Any:
        return lambda self, key, value, keep: update(self, key, value, self.length + key.shape[2])

    def unchunked_step(attend: Any) -> Any:
        return lambda query, key, value, placement, chunk: attend(
            query, key, value, placement, None if query.shape[2] == 1 else chunk
        )

    return all_of(replaced_method(kv_cache.LayerCache, "update", keep_all), replaced(attention.attend, unchunked_step))


@mutant("positions do not advance with the cache", "cache.segments", "cache.decode", "generate")
def positions_stand_still(model: Llama4) -> Change:
    def make(place_tokens: Any) -> Any:
        def placed_at_zero(*arguments: Any, **keywords: Any) -> Any:
            placement = place_tokens(*arguments, **keywords)
            return dataclasses.replace(placement, query=placement.query - placement.query[:, :1])

        return placed_at_zero

    return replaced(kv_cache.place_tokens, make)


@mutant("positions count padding", "mask.padded", "batch.left_padding", "batch.hf_padding")
def positions_by_slot(model: Llama4) -> Change:
    def by_slot(attention_mask: Tensor, first: Tensor | int = 0) -> Tensor:
        slots = torch.arange(attention_mask.shape[1])[None] + first
        return slots.expand_as(attention_mask).masked_fill(attention_mask == 0, masks.PADDING)

    return replaced(masks.positions_from_mask, lambda _: by_slot)
