"""The pieces that come before attention: embeddings, norms, RoPE, masks."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.models.llama4 import modeling_llama4 as hf

from .. import masks, norms, rope
from ..text_model import TextModel
from .places import hf_places, layers, our_places
from .registry import Case, piece
from .setups import Setup


@piece("embeddings", "02_embeddings_and_norms", TextModel, "Llama4TextModel", exact=True)
def embeddings(setup: Setup) -> Case:
    """A token id picks one row of a table."""
    return Case(
        lambda model, ids: model.embed_text(ids),
        lambda model, ids: model.get_input_embeddings()(ids),
        (setup.token_ids(setup.batch, setup.num_tokens),),
    )


@piece("rms_norm", "02_embeddings_and_norms", norms.RMSNorm, "Llama4TextRMSNorm")
def rms_norm(setup: Setup) -> Case:
    """Normalisation with a learned weight, on inputs so small that epsilon counts."""
    run = lambda model, x: layers(model)[0].input_layernorm(x)  # noqa: E731
    return Case(run, run, (setup.normal(2, 7, setup.text.hidden_size, std=0.01),))


@piece("qk_norm", "03_attention", norms.rms_normalize, "Llama4TextL2Norm")
def qk_norm(setup: Setup) -> Case | None:
    """Normalisation of each head's query and key, without weights; small inputs again."""
    layer = setup.layer(uses_rope=True)
    if layer is None or not setup.text.qk_norm:
        return None
    x = setup.normal(2, 7, setup.text.num_query_heads, setup.text.head_dim, std=0.01)
    return Case(
        lambda model, x: norms.rms_normalize(x, layers(model)[layer].self_attn.config.rms_norm_eps),
        lambda model, x: layers(model)[layer].self_attn.qk_norm(x),
        (x,),
    )


@piece("rope.frequencies", "04_rope", rope.inverse_frequencies, "Llama4TextRotaryEmbedding", exact=True)
def rope_frequencies(setup: Setup) -> Case:
    """How far every pair of channels turns per token, after scaling for long contexts."""
    text = setup.text
    return Case(
        lambda model: rope.inverse_frequencies(text.head_dim, text.rope_theta, text.rope_scaling),
        lambda model: model.language_model.model.rotary_emb.inv_freq,
    )


@piece("rope.angles", "04_rope", rope.rotation_angles, "Llama4TextRotaryEmbedding", float32_only=True)
def rope_angles(setup: Setup) -> Case:
    """Cosine and sine, at near positions and at some as far as a long document goes."""
    near, far = torch.arange(setup.num_tokens)[None], torch.tensor([[8191, 8192, 100_003]])

    def ours(model: Any, *positions: Tensor) -> dict[str, Tensor]:
        text = setup.text
        frequencies = rope.inverse_frequencies(text.head_dim, text.rope_theta, text.rope_scaling)
        rotations = [torch.cat(rope.rotation_angles(part, frequencies), -1)[:, :, 0] for part in positions]
        return dict(zip(("near", "far"), rotations, strict=True))

    def theirs(model: Any, *positions: Tensor) -> dict[str, Tensor]:
        rotations = [model.language_model.model.rotary_emb(part, part) for part in positions]
        rotations = [torch.cat([rotation.real, rotation.imag], -1) for rotation in rotations]
        return dict(zip(("near", "far"), rotations, strict=True))

    return Case(ours, theirs, (near, far))


@piece("rope.rotation", "04_rope", rope.rotate_pairs, "apply_rotary_emb")
def rope_rotation(setup: Setup) -> Case:
    """Neighbouring channels turn as pairs."""
    text = setup.text
    query = setup.normal(setup.batch, setup.num_tokens, text.num_query_heads, text.head_dim)

    def theirs(model: Any, query: Tensor) -> Tensor:
        positions = torch.arange(setup.num_tokens)[None]
        return hf.apply_rotary_emb(query, query, model.language_model.model.rotary_emb(query, positions))[0]

    return Case(lambda model, query: rope.rotate_pairs(query, our_places(setup, query)[0]), theirs, (query,))


@piece("mask.causal", "03_attention", masks.causal_mask, "transformers.masking_utils.create_causal_mask", exact=True)
def causal_mask(setup: Setup) -> Case:
    """Every token sees itself and all earlier ones."""
    return _mask_case(setup, masks.causal_mask, chunked=False)


@piece("mask.chunked", "05_irope", masks.chunked_causal_mask, "transformers.masking_utils.create_chunked_causal_mask",
       exact=True)  # fmt: skip
def chunked_mask(setup: Setup) -> Case | None:
    """The same within chunks, at lengths on both sides of every edge."""
    if setup.text.chunk_size is None:
        return None
    return _mask_case(setup, partial(_chunked_mask, setup.text.chunk_size), chunked=True)


def _chunked_mask(chunk_size: int, num_tokens: int) -> Tensor:
    return masks.chunked_causal_mask(num_tokens, chunk_size)


def _mask_case(setup: Setup, our_mask: Any, chunked: bool) -> Case:
    edges = (setup.chunk, 2 * setup.chunk, 3 * setup.chunk)
    lengths = sorted({1, setup.num_tokens, *(edge + off for edge in edges for off in (-1, 0, 1))} - {0})

    def theirs(model: Any) -> dict[str, Tensor]:
        return {f"{n} tokens": hf_places(model, torch.zeros(1, n, 1), chunked)[1][0, 0] == 0 for n in lengths}

    return Case(lambda model: {f"{n} tokens": our_mask(n) for n in lengths}, theirs)


@piece("mask.padded", "08_kv_cache", masks.allowed_keys, "transformers.masking_utils.create_chunked_causal_mask",
       exact=True)  # fmt: skip
def padded_mask(setup: Setup) -> Case:
    """Rows padded on the left: chunks begin at the row's own first token. Padding's own rows are not compared."""
    num_tokens = setup.num_tokens
    padding = torch.tensor([0, 2, min(setup.chunk + 2, num_tokens - 1)])
    real = (torch.arange(num_tokens) >= padding[:, None]).long()  # [B, T]

    def ours(model: Any, real: Tensor) -> Tensor:
        positions = masks.positions_from_mask(real)
        return masks.allowed_keys(positions, positions, setup.text.chunk_size) & real.bool()[:, :, None]

    def theirs(model: Any, real: Tensor) -> Tensor:
        mask = hf_places(model, torch.zeros(*real.shape, 1), True, real)[1]
        return (mask[:, 0] == 0) & real.bool()[:, :, None]

    return Case(ours, theirs, (real,))
