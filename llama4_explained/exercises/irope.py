"""Exercises of lesson 05: chunks, layers without positions, and their temperature.

Shapes: B batch, T tokens, H query heads, Hkv KV heads, Dh head width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Llama4TextConfig
from transformers.masking_utils import create_chunked_causal_mask, create_sliding_window_causal_mask
from transformers.models.llama4.modeling_llama4 import Llama4TextAttention, apply_rotary_emb, repeat_kv

from ..attention import query_temperature
from ..check.hf_trace import captured_attention
from ..check.hf_versions import with_cache
from ..masks import causal_mask, chunked_causal_mask
from .exercise import Answer, Exercise, Misconception

SCALE = 0.1  # of every published model's temperature
NOPE_LAYER = 3  # the first


def _hf_config(**settings: Any) -> Llama4TextConfig:
    kind: Any = Llama4TextConfig
    return kind(**settings, attn_implementation="eager")


def _hf_mask(create: Any, config: Llama4TextConfig, shape: tuple[int, ...], attention_mask: Tensor | None) -> Tensor:
    """bool [B, T, T], True = may look."""
    positions = torch.arange(shape[-1])[None]
    mask = create(config, torch.zeros(*shape, 1), attention_mask, position_ids=positions, **with_cache(None))
    return mask[:, 0] == 0  # HF adds it to the scores: 0 where a query may look


def _hf_chunks(num_tokens: int, chunk_size: int) -> Tensor:
    config = _hf_config(attention_chunk_size=chunk_size)
    return _hf_mask(create_chunked_causal_mask, config, (1, num_tokens), None)[0]  # [T, T]


# 1. What does a token see, and how sharply?


def _hf_factor(position: int, floor_scale: int) -> float:
    """What HF's NoPE layer multiplies the query at `position` with: its projection changes nothing here."""
    config = _hf_config(
        hidden_size=2, head_dim=2, num_attention_heads=1, num_key_value_heads=1, num_hidden_layers=NOPE_LAYER + 1,
        floor_scale=floor_scale, attn_scale=SCALE,
    )  # fmt: skip
    attention = Llama4TextAttention(config, NOPE_LAYER)
    with torch.no_grad(), captured_attention() as calls:
        attention.q_proj.weight.copy_(torch.eye(2))
        rotation: Any = None  # a NoPE layer does not look at it
        attention(torch.ones(1, position + 1, 2), position_embeddings=rotation, attention_mask=None)
    return float(calls[0]["query"][0, 0, -1, 0])


def _first_and_factor(position: int, uses_rope: bool, chunk_size: int, floor_scale: int) -> tuple[int, float]:
    if not uses_rope:
        return 0, _hf_factor(position, floor_scale)
    return int(_hf_chunks(position + 1, chunk_size)[-1].nonzero()[0]), 1.0


def _factor(position: int, floor_scale: int) -> float:
    return float(query_temperature(torch.tensor([[position]]), floor_scale, SCALE))


def _near(position: int, chunk_size: int, floor_scale: int) -> tuple[int, float]:
    return position - position % chunk_size, 1.0


def _far(position: int, chunk_size: int, floor_scale: int) -> tuple[int, float]:
    return 0, _factor(position, floor_scale)


def _near_and_tuned(position: int, chunk_size: int, floor_scale: int) -> tuple[int, float]:
    return position - position % chunk_size, _factor(position, floor_scale)


def _tokens_to_read() -> Iterator[Sequence[Any]]:
    yield from ((0, True, 4, 6), (3, False, 4, 6), (4, True, 4, 6), (5, False, 4, 6), (9, True, 4, 6))
    yield from ((11, False, 4, 6), (16, True, 8, 3), (23, True, 8, 3), (40, False, 8, 3))


def _read(on_rope: Answer, on_nope: Answer) -> Answer:
    """A reader's function from one for each kind of layer, of (position, chunk_size, floor_scale)."""
    return lambda position, uses_rope, *sizes: (on_rope if uses_rope else on_nope)(position, *sizes)


first_and_factor = Exercise(
    "first key and factor",
    "HF's mask and HF's NoPE layer have them",
    _first_and_factor,
    _tokens_to_read,
    "Take the two kinds of layer apart: which of them has chunks, which has a temperature?",
    (
        Misconception(
            "a chunk is a sliding window",
            _read(lambda position, chunk_size, _: (max(0, position - chunk_size + 1), 1.0), _far),
            "Your first key moves along with the query. Chunks stand still: where does this token's chunk begin?",
        ),
        Misconception(
            "NoPE layers are the chunked ones",
            _read(lambda *_: (0, 1.0), _near_and_tuned),
            "You have chunks on the wrong kind of layer. Which kind was made to look far?",
        ),
        Misconception(
            "temperature on every layer",
            _read(_near_and_tuned, _far),
            "The first key is right. Is there a temperature on this kind of layer?",
        ),
        Misconception(
            "the temperature's steps come one token late",
            _read(_near, lambda position, _, floor_scale: (0, _factor(position - 1, floor_scale))),
            "Your factor is that of the token before. Positions count from 0: how many tokens are there by then?",
        ),
    ),
)


# 2. The chunk mask of a padded batch


def _padded_mask(attention_mask: Tensor, chunk_size: int) -> Tensor:
    config = _hf_config(attention_chunk_size=chunk_size)
    mask = _hf_mask(create_chunked_causal_mask, config, tuple(attention_mask.shape), attention_mask)
    return mask & attention_mask.bool()[:, :, None]  # HF does not say what padding sees, as nobody reads it


def _seen_padding(attention_mask: Tensor, chunk_size: int) -> Tensor:
    positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)
    is_same = positions[:, :, None] // chunk_size == positions[:, None, :] // chunk_size
    return is_same & causal_mask(attention_mask.shape[1]) & attention_mask.bool()[:, :, None]


def _padded_batches() -> Iterator[Sequence[Any]]:
    for num_tokens, paddings, chunk_size in (
        (2, (0,), 2), (2, (1,), 2), (3, (1,), 2), (4, (1,), 2), (7, (0, 3), 3), (16, (0, 2, 5, 9), 4),
    ):  # fmt: skip
        yield (torch.arange(num_tokens) >= torch.tensor(paddings)[:, None]).long(), chunk_size


padded_chunks = Exercise(
    "chunks of a padded batch",
    "HF `create_chunked_causal_mask`",
    _padded_mask,
    _padded_batches,
    "First give every slot the position of its token in its own text; then everything follows from positions.",
    (
        Misconception(
            "chunks begin at slots",
            lambda attention_mask, chunk_size: (
                (attention_mask[:, :, None] * attention_mask[:, None, :]).bool()
                & chunked_causal_mask(attention_mask.shape[1], chunk_size)
            ),
            "Your chunks begin at slots 0, C, 2C, ... A text must not mean something else because it was padded: at "
            "which slot does its first chunk begin?",
        ),
        Misconception(
            "padding is seen",
            _seen_padding,
            "A token of yours sees padding, which is in nobody's text.",
        ),
    ),
)


# 3. What must a cache keep?


def _keys_to_keep(num_seen: int, chunk_size: int | None) -> int:
    return int(_hf_chunks(num_seen + 1, chunk_size or num_seen + 1)[-1, :-1].sum())


def _caches() -> Iterator[Sequence[Any]]:
    yield from ((1, 4), (2, None), (4, 3), (4, 4), (7, 4), (8, 4), (9, None), (23, 8), (100, 64), (128, 64))


keys_to_keep = Exercise(
    "keys to keep",
    "HF's mask shows them to the next token",
    _keys_to_keep,
    _caches,
    "Nobody will come back to earlier positions. So: which of the keys seen so far does the *next* token see?",
    (
        Misconception(
            "the last token's chunk is kept",
            lambda num_seen, chunk_size: num_seen if chunk_size is None else (num_seen - 1) % chunk_size + 1,
            "You keep what the *last* token saw. Here its chunk is full: whom does the next one see?",
        ),
        Misconception(
            "a cache slides",
            lambda num_seen, chunk_size: num_seen if chunk_size is None else min(num_seen, chunk_size),
            "You keep the last C keys, as a sliding window would. Which of them can the next token still see?",
        ),
    ),
)


# 4. How far does a stack of sliding windows reach?


def _window_reach(num_tokens: int, window: int, num_layers: int) -> Tensor:
    config = _hf_config(sliding_window=window)
    one_layer = _hf_mask(create_sliding_window_causal_mask, config, (1, num_tokens), None)[0]
    return torch.linalg.matrix_power(one_layer.double(), num_layers) > 0


def _stacks() -> Iterator[Sequence[Any]]:
    yield from ((1, 1, 1), (3, 2, 1), (5, 2, 2), (9, 3, 2), (16, 3, 4), (11, 4, 20))


window_reach = Exercise(
    "reach of windows",
    "HF's sliding-window mask gives, layer upon layer",
    _window_reach,
    _stacks,
    "One layer first: a token sees itself and the window - 1 tokens before it. Then let layers pass that on.",
    (
        Misconception(
            "layers do not add up",
            lambda num_tokens, window, num_layers: causal_mask(num_tokens).triu(1 - window),
            "That is one layer. In the second, the keys hold what the first brought to them.",
        ),
        Misconception(
            "a sliding window is a chunk",
            lambda num_tokens, window, num_layers: chunked_causal_mask(num_tokens, window),
            "These are chunks. A window has no edges: it moves along with its query.",
        ),
        Misconception(
            "every layer adds a whole window",
            lambda num_tokens, window, num_layers: causal_mask(num_tokens).triu(1 - num_layers * window),
            "With one layer that is right; with more, it is too far. A window counts the token itself.",
        ),
    ),
)


# 5. One score from the difference of positions alone


def _score(query: Tensor, key: Tensor, query_position: int, key_position: int, frequencies: Tensor) -> Tensor:
    angles = torch.tensor([query_position, key_position])[:, None] * frequencies  # [2, Dh/2]
    turns = torch.polar(torch.ones_like(angles), angles)
    query = apply_rotary_emb(query[None, None], query[None, None], turns[None, :1])[0]  # [1, 1, H, Dh]
    key = apply_rotary_emb(key[None, None], key[None, None], turns[None, 1:])[0]
    key = repeat_kv(key.transpose(1, 2), query.shape[2] // key.shape[2])[0, :, 0]  # [H, Dh]
    return (query[0, 0] * key).sum(-1) * query.shape[-1] ** -0.5


def _by_halves(x: Tensor) -> Tensor:
    """Channel i beside channel i + Dh/2, where neighbours should be."""
    return torch.stack(x.chunk(2, dim=-1), dim=-1).flatten(-2)


def _pairs_of_tokens() -> Iterator[Sequence[Any]]:
    sizes = ((1, 1, 2, 0, 0), (2, 1, 2, 3, 1), (2, 1, 4, 7, 2), (4, 2, 4, 9, 9), (6, 2, 8, 103, 100))
    for seed, (heads, kv_heads, width, query_position, key_position) in enumerate(sizes):
        generator = torch.Generator().manual_seed(seed)
        query = torch.randn(heads, width, generator=generator)
        key = torch.randn(kv_heads, width, generator=generator)
        frequencies = 10.0 ** -torch.arange(0, 1, 2 / width)
        yield query, key, query_position, key_position, frequencies


score_by_difference = Exercise(
    "score by difference",
    "HF `apply_rotary_emb` and `repeat_kv` give by turning both",
    _score,
    _pairs_of_tokens,
    "Turn the query's pairs by (query_position - key_position) * frequency; then one dot product a head.",
    (
        Misconception(
            "the query turns backwards",
            lambda query, key, query_position, key_position, frequencies: _score(
                query, key, key_position, query_position, frequencies
            ),
            "Your query turns the wrong way. If the key stands at 0, the query must turn as the layer turns it.",
        ),
        Misconception(
            "query heads are dealt out in turn",
            lambda query, key, *rest: _score(query, key.repeat(len(query) // len(key), 1), *rest),
            "Which key does query head 1 use? Neighbouring query heads share one.",
        ),
        Misconception(
            "scores are not scaled",
            lambda query, key, *rest: _score(query, key, *rest) * query.shape[-1] ** 0.5,
            "Before the softmax, scores are made smaller: by what, and why?",
        ),
        Misconception(
            "pairs are halves",
            lambda query, key, *rest: _score(_by_halves(query), _by_halves(key), *rest),
            "You pair channel i with channel i + Dh/2, as many models do. Which channels are Llama 4's pairs?",
        ),
    ),
)
