"""The pieces of a decoder layer: temperature, attention, feed-forward, router, experts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import attention, moe
from ..block import DecoderLayer
from ..feed_forward import FeedForward
from ..linear import Linear
from ..trace import Trace
from .hf_trace import captured_attention
from .places import hf_places, layers, our_places
from .registry import Case, piece
from .setups import Setup


@piece("linear", "03_attention", Linear, "torch.nn.Linear")
def linear_maps(setup: Setup) -> Case:
    """The first layer's query projection, for several tokens, and for one, which takes another way."""

    def both(model: Any, x: Tensor) -> dict[str, Tensor]:
        projection = layers(model)[0].self_attn.q_proj
        return {"several": projection(x), "one": projection(x[:1, :1])}

    return Case(both, both, (setup.normal(setup.batch, 5, setup.text.hidden_size),))


@piece("temperature", "05_irope", attention.query_temperature, "Llama4TextAttention")
def temperature(setup: Setup) -> Case | None:
    """A NoPE layer's queries grow with their position, by a step every `floor_scale` tokens."""
    layer = setup.layer(uses_rope=False)
    if layer is None or not setup.text.temperature_tuning:
        return None
    text = setup.text

    def ours(model: Any, x: Tensor) -> Tensor:
        positions = torch.arange(x.shape[1])[None]
        scale = attention.query_temperature(positions, text.floor_scale, text.temperature_scale)
        query = layers(model)[layer].self_attn.q_proj(x).unflatten(-1, (-1, text.head_dim))
        return (query * scale).type_as(x).transpose(1, 2)

    def theirs(model: Any, x: Tensor) -> Tensor:
        return _hf_attention(model, layer, chunked=False, x=x)["query"]

    return Case(ours, theirs, (setup.normal(setup.batch, setup.num_tokens, text.hidden_size),))


@piece("attention.chunked_rope", "05_irope", attention.Attention, "Llama4TextAttention")
def chunked_rope_attention(setup: Setup) -> Case | None:
    """A RoPE layer: rotated, normalised, inside its chunk. Queries, keys and weights are compared too."""
    return _attention_case(setup, uses_rope=True)


@piece("attention.nope", "05_irope", attention.Attention, "Llama4TextAttention")
def nope_attention(setup: Setup) -> Case | None:
    """A NoPE layer: no positions, everything seen, queries scaled. Queries, keys and weights are compared too."""
    return _attention_case(setup, uses_rope=False)


def _attention_case(setup: Setup, uses_rope: bool) -> Case | None:
    layer = setup.layer(uses_rope=uses_rope)
    if layer is None:
        return None

    def ours(model: Any, x: Tensor) -> dict[str, Tensor]:
        module = layers(model)[layer].self_attn
        with Trace.of(module) as trace:
            output = module(x, *our_places(setup, x))
        return {"output": output, **{name: trace[name] for name in ("query", "key", "weights")}}

    return Case(
        ours,
        lambda model, x: _hf_attention(model, layer, uses_rope, x),
        (setup.normal(setup.batch, setup.num_tokens, setup.text.hidden_size),),
    )


def _hf_attention(model: Any, layer: int, chunked: bool, x: Tensor) -> dict[str, Tensor]:
    rotation, mask = hf_places(model, x, chunked)
    with captured_attention() as calls:
        module = layers(model)[layer].self_attn
        output = module(hidden_states=x, position_embeddings=rotation, attention_mask=mask)[0]
    return {"output": output, **{name: calls[0][name] for name in ("query", "key", "weights")}}


@piece("feed_forward", "06_feed_forward", FeedForward, "Llama4TextMLP")
def feed_forward(setup: Setup) -> Case:
    """A gate decides how much passes: a dense layer's feed-forward, and the shared expert."""
    dense, sparse = setup.layer(is_moe=False), setup.layer(is_moe=True)

    def run(model: Any, x: Tensor) -> dict[str, Tensor]:
        outputs = {}
        if dense is not None:
            outputs["dense"] = layers(model)[dense].feed_forward(x)
        if sparse is not None:
            outputs["shared expert"] = layers(model)[sparse].feed_forward.shared_expert(x)
        return outputs

    return Case(run, run, (setup.normal(2, 9, setup.text.hidden_size),))


def _dense_scores(logits: Tensor, index: Tensor, score: Tensor) -> Tensor:
    """HF's form of scores, [BT, E] with zeros where an expert was not chosen."""
    return torch.zeros_like(logits).scatter(1, index, score)


@piece("router", "07_moe", moe.Router, "Llama4Router")
def router(setup: Setup) -> Case | None:
    """Which experts a token goes to, and how strongly it is fed to them."""
    layer = setup.layer(is_moe=True)
    if layer is None:
        return None

    def ours(model: Any, tokens: Tensor) -> dict[str, Tensor]:
        module = layers(model)[layer].feed_forward.router
        with Trace.of(module) as trace:
            index, score = module(tokens)
        return {"logits": trace["router_logits"], "scores": _dense_scores(trace["router_logits"], index, score)}

    def theirs(model: Any, tokens: Tensor) -> dict[str, Tensor]:
        scores, logits = layers(model)[layer].feed_forward.router(tokens)
        return {"logits": logits, "scores": scores}

    return Case(ours, theirs, (setup.normal(setup.batch * setup.num_tokens, setup.text.hidden_size),))


@piece("router.decisions", "07_moe", moe.Router, "Llama4Router", exact=True)
def router_decisions(setup: Setup) -> Case | None:
    """The choice alone, which must be the same in every number format."""
    layer = setup.layer(is_moe=True)
    if layer is None:
        return None

    def ours(model: Any, tokens: Tensor) -> Tensor:
        return layers(model)[layer].feed_forward.router(tokens)[0].sort(-1).values

    def theirs(model: Any, tokens: Tensor) -> Tensor:
        module = layers(model)[layer].feed_forward.router
        return module(tokens)[1].topk(module.top_k, dim=-1).indices.sort(-1).values

    return Case(ours, theirs, (setup.normal(setup.batch * setup.num_tokens, setup.text.hidden_size),))


@piece("experts", "07_moe", moe.Experts, "Llama4TextExperts")
def experts(setup: Setup) -> Case | None:
    """Every token through its experts, its input scaled; every expert has tokens."""
    layer = setup.layer(is_moe=True)
    if layer is None:
        return None
    text, num_tokens = setup.text, setup.batch * setup.num_tokens
    order = setup.normal(num_tokens, text.num_experts).argsort(-1)
    index = order[:, : text.experts_per_token]  # [BT, A]
    score = setup.normal(num_tokens, text.experts_per_token).sigmoid()

    def ours(model: Any, tokens: Tensor, index: Tensor, score: Tensor) -> Tensor:
        return layers(model)[layer].feed_forward.experts(tokens, index, score)

    def theirs(model: Any, tokens: Tensor, index: Tensor, score: Tensor) -> Tensor:
        scores = _dense_scores(tokens.new_zeros(num_tokens, text.num_experts), index, score)
        inputs = tokens * scores.t()[:, :, None]  # [E, BT, D]
        outputs = layers(model)[layer].feed_forward.experts(inputs.flatten(0, 1))
        return outputs.view_as(inputs).sum(0)

    return Case(ours, theirs, (setup.normal(num_tokens, text.hidden_size), index, score))


@piece("moe", "07_moe", moe.MixtureOfExperts, "Llama4TextMoe")
def mixture_of_experts(setup: Setup) -> Case | None:
    """Router, routed experts and shared expert together."""
    layer = setup.layer(is_moe=True)
    if layer is None:
        return None
    return Case(
        lambda model, x: layers(model)[layer].feed_forward(x),
        lambda model, x: layers(model)[layer].feed_forward(x)[0].view_as(x),
        (setup.normal(setup.batch, setup.num_tokens, setup.text.hidden_size),),
    )


def _layer_case(setup: Setup, **kind: bool) -> Case | None:
    layer = setup.layer(**kind)
    if layer is None:
        return None
    chunked = setup.text.layer_plan[layer].uses_rope

    def theirs(model: Any, x: Tensor) -> Tensor:
        rotation, mask = hf_places(model, x, chunked)
        return layers(model)[layer](x, attention_mask=mask, position_embeddings=rotation)

    return Case(
        lambda model, x: layers(model)[layer](x, *our_places(setup, x)),
        theirs,
        (setup.normal(setup.batch, setup.num_tokens, setup.text.hidden_size),),
    )


@piece("layer.chunked_rope", "05_irope", DecoderLayer, "Llama4TextDecoderLayer")
def rope_layer(setup: Setup) -> Case | None:
    """A whole decoder layer of the local kind."""
    return _layer_case(setup, uses_rope=True)


@piece("layer.nope", "05_irope", DecoderLayer, "Llama4TextDecoderLayer")
def nope_layer(setup: Setup) -> Case | None:
    """A whole decoder layer of the global kind."""
    return _layer_case(setup, uses_rope=False)


@piece("layer.dense", "06_feed_forward", DecoderLayer, "Llama4TextDecoderLayer")
def dense_layer(setup: Setup) -> Case | None:
    """A whole decoder layer without experts, as every second layer of Maverick is."""
    return _layer_case(setup, is_moe=False)
