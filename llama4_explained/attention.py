"""iRoPE attention: three layers of four rotate positions and look inside their chunk; the fourth looks everywhere.

A RoPE layer rotates queries and keys, then RMS-normalises each head (Scout). A NoPE layer encodes no positions; it
scales its queries by position instead, so that attention stays sharp over a long context.

Shapes: B batch, T new tokens, S visible keys, D hidden, H query heads, Hkv KV heads, Dh head width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import LayerSpec, TextConfig
from .kv_cache import KVCache, Placement
from .linear import Linear
from .masks import allowed_keys
from .norms import rms_normalize
from .rope import rotate_pairs
from .trace import record

# Queries handled at once where a mask must be written out: 512 x 20,000 booleans are 10 MB.
QUERY_BLOCK = 512


def query_temperature(positions: Tensor, floor_scale: int, temperature_scale: float) -> Tensor:
    """The factor that sharpens a NoPE layer's queries: it grows by a step every `floor_scale` tokens.

    Shapes: positions [B, T] -> float32 [B, T, 1, 1], to multiply queries [B, T, H, Dh].
    Units:  floor_scale in tokens (8192); the first 8191 tokens get exactly 1.
    Source: "Scalable-Softmax Is Superior for Attention" (arXiv 2501.19399); HF `Llama4TextAttention`.
    Differs: HF counts slots, so padding on the left changes its factors; here the token's own position counts.
    """
    steps = torch.floor((positions.float() + 1.0) / floor_scale)
    return (torch.log1p(steps) * temperature_scale + 1.0)[..., None, None]


def attend(query: Tensor, key: Tensor, value: Tensor, placement: Placement, chunk_size: int | None) -> Tensor:
    """Scaled dot-product attention under the rules of `allowed_keys`, without ever holding a T x S mask.

    Shapes: query [B, H, T, Dh]; key, value [B, Hkv, S, Dh], the last S slots -> [B, H, T, Dh]. H/Hkv query heads share
        a KV head, whose keys and values are not copied.
    Units:  chunk_size in tokens; None = no chunks.
    Source: HF `eager_attention_forward` with the masks of `create_causal_mask` and `create_chunked_causal_mask`.
    """
    if placement.key is not None:
        return _attend_by_position(query, key, value, placement, chunk_size)
    # Rows are 0, 1, 2, ...: each chunk is a causal segment of its own, and only its own keys are touched.
    start, end = placement.past, placement.past + query.shape[2]
    first_key = end - key.shape[2]
    outputs = []
    while start < end:
        chunk_start = start - start % chunk_size if chunk_size else 0
        stop = min(end, chunk_start + chunk_size) if chunk_size else end
        keys = slice(max(chunk_start - first_key, 0), stop - first_key)
        queries = slice(start - placement.past, stop - placement.past)
        outputs.append(_attend_causally(query[:, :, queries], key[:, :, keys], value[:, :, keys]))
        start = stop
    return torch.cat(outputs, dim=2) if len(outputs) > 1 else outputs[0]


def _attend_causally(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The last query sees all keys, the one before it all but one, and so on."""
    num_queries, num_keys = query.shape[2], key.shape[2]
    if num_queries == num_keys:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    if num_queries == 1:
        return F.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    outputs = []
    for start in range(0, num_queries, QUERY_BLOCK):
        block = query[:, :, start : start + QUERY_BLOCK]
        seen = num_keys - num_queries + start + block.shape[2]  # keys that the block's last query sees
        allowed = torch.ones(block.shape[2], seen, dtype=torch.bool, device=query.device).tril(seen - block.shape[2])
        outputs.append(
            F.scaled_dot_product_attention(
                block, key[:, :, :seen], value[:, :, :seen], attn_mask=allowed[None, None], enable_gqa=True
            )
        )
    return torch.cat(outputs, dim=2)


def _attend_by_position(
    query: Tensor, key: Tensor, value: Tensor, placement: Placement, chunk_size: int | None
) -> Tensor:
    """Rows differ (padding, or positions given by the caller): the mask is written out, block by block."""
    outputs = []
    for start in range(0, query.shape[2], QUERY_BLOCK):
        block = query[:, :, start : start + QUERY_BLOCK]
        allowed = _allowed_block(placement, key.shape[2], chunk_size, start, start + block.shape[2])
        used = allowed.any(dim=1).any(dim=0).nonzero()
        keys = slice(int(used[0]), int(used[-1]) + 1)
        mask = allowed[:, None, :, keys]  # [B, 1, block, used keys]
        outputs.append(
            F.scaled_dot_product_attention(block, key[:, :, keys], value[:, :, keys], attn_mask=mask, enable_gqa=True)
        )
    return torch.cat(outputs, dim=2)


def _allowed_block(placement: Placement, num_keys: int, chunk_size: int | None, start: int, stop: int) -> Tensor:
    """bool [B or 1, stop - start, S] for the queries of slots `start` to `stop`."""
    positions = placement.key
    if positions is None:
        positions = torch.arange(placement.past + placement.query.shape[1], device=placement.query.device)[None]
    allowed = allowed_keys(placement.query[:, start:stop], positions[:, positions.shape[1] - num_keys :], chunk_size)
    # Padding sees itself, so that its softmax is over something. Nobody reads what comes out.
    first_new = num_keys - placement.query.shape[1]
    queries = torch.arange(start, stop, device=allowed.device)
    allowed[:, queries - start, queries + first_new] = True
    return allowed


def attention_weights(query: Tensor, key: Tensor, placement: Placement, chunk_size: int | None) -> Tensor:
    """The softmax itself, written out: for looking at, not for computing with.

    Shapes: query [B, H, T, Dh], key [B, Hkv, S, Dh] -> [B, H, T, S].
    """
    key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    allowed = _allowed_block(placement, key.shape[2], chunk_size, 0, query.shape[2])
    return scores.masked_fill(~allowed[:, None], float("-inf")).softmax(-1)


class Attention(nn.Module):
    """Grouped-query attention of one decoder layer, of the kind that `spec` says.

    Shapes: [B, T, D] -> [B, T, D].
    Source: HF `Llama4TextAttention`.
    """

    def __init__(self, config: TextConfig, spec: LayerSpec, layer: int) -> None:
        super().__init__()
        self.config, self.spec, self.layer = config, spec, layer
        self.q_proj = Linear(config.hidden_size, config.num_query_heads * config.head_dim)
        self.k_proj = Linear(config.hidden_size, config.num_kv_heads * config.head_dim)
        self.v_proj = Linear(config.hidden_size, config.num_kv_heads * config.head_dim)
        self.o_proj = Linear(config.num_query_heads * config.head_dim, config.hidden_size)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], placement: Placement, cache: KVCache | None = None
    ) -> Tensor:
        """`rotation` is cosine and sine, each [B or 1, T, 1, Dh/2]; NoPE layers ignore it."""
        heads = (-1, self.config.head_dim)
        query = self.q_proj(x).unflatten(-1, heads)  # [B, T, H, Dh]
        key = self.k_proj(x).unflatten(-1, heads)  # [B, T, Hkv, Dh]
        value = self.v_proj(x).unflatten(-1, heads)

        if self.spec.uses_rope:
            query, key = rotate_pairs(query, rotation), rotate_pairs(key, rotation)
            if self.config.qk_norm:  # after rotating, unlike most models that have both; per head, without weights
                query = rms_normalize(query, self.config.rms_norm_eps)
                key = rms_normalize(key, self.config.rms_norm_eps)
        elif self.config.temperature_tuning:
            scale = query_temperature(placement.query, self.config.floor_scale, self.config.temperature_scale)
            record("temperature", scale)
            query = (query * scale).type_as(x)

        query, key, value = (heads.transpose(1, 2) for heads in (query, key, value))  # [B, H or Hkv, T, Dh]
        record("query", query)
        record("key", key)
        record("value", value)
        if cache is not None:
            key, value = cache.update(self.layer, key, value)  # [B, Hkv, S, Dh]
        record("weights", lambda: attention_weights(query, key, placement, self.spec.chunk_size))
        mixed = attend(query, key, value, placement, self.spec.chunk_size)
        return self.o_proj(mixed.transpose(1, 2).flatten(-2))  # [B, T, D]
