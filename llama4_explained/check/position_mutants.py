"""Mistakes in how positions enter attention: temperature, RoPE; and in the norms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import attention, norms, rope
from ..model import Llama4
from ..norms import RMSNorm
from .mutation import Change, changed, mutant, replaced, replaced_method
from .places import layers

ROPE = ("attention.chunked_rope", "layer.chunked_rope", "model.text")
NOPE = ("attention.nope", "layer.nope", "model.text")


@mutant("temperature is missing", "temperature", *NOPE)
def no_temperature(model: Llama4) -> Change:
    return replaced(
        attention.query_temperature, lambda original: lambda *arguments: torch.ones_like(original(*arguments))
    )


def _temperature_at(where: Callable[[Tensor], Tensor]) -> Change:
    """The temperature of other positions."""
    return replaced(
        attention.query_temperature, lambda original: lambda positions, *rest: original(where(positions), *rest)
    )


@mutant("temperature steps come one token late", "temperature", *NOPE)
def late_temperature(model: Llama4) -> Change:
    return _temperature_at(lambda positions: positions - 1)


@mutant("temperature counts from the start of each forward pass", "cache.segments", "cache.decode")
def temperature_restarts(model: Llama4) -> Change:
    return _temperature_at(lambda positions: positions - positions[:, :1])


@mutant("temperature counts padding", "batch.left_padding")
def temperature_by_slot(model: Llama4) -> Change:
    return _temperature_at(lambda positions: torch.arange(positions.shape[1])[None])


@mutant("temperature with log instead of log1p", "temperature", *NOPE)
def temperature_log(model: Llama4) -> Change:
    def make(original: Any) -> Any:
        return lambda positions, floor, scale: (
            torch.floor((positions.float() + 1) / floor).clamp(min=1).log() * scale + 1
        )[..., None, None]

    return replaced(attention.query_temperature, make)


def _queries(make: Callable[[Tensor, Tensor, Any], tuple[Tensor, Tensor]], rope_layers: bool) -> Change:
    """Change (query, key) just before attention, on one kind of layer."""

    def wrap(attend: Any) -> Any:
        def attend_changed(query: Tensor, key: Tensor, value: Tensor, placement: Any, chunk_size: int | None) -> Tensor:
            if (chunk_size is not None) == rope_layers:
                query, key = make(query, key, placement)
            return attend(query, key, value, placement, chunk_size)

        return attend_changed

    return replaced(attention.attend, wrap)


@mutant("temperature on RoPE layers", *ROPE)
def temperature_on_rope(model: Llama4) -> Change:
    text = model.text_config

    def scaled(query: Tensor, key: Tensor, placement: Any) -> tuple[Tensor, Tensor]:
        scale = attention.query_temperature(placement.query, text.floor_scale, text.temperature_scale)
        return (query * scale.transpose(1, 2)).type_as(query), key

    return _queries(scaled, rope_layers=True)


@mutant("RoPE scaling is missing", "rope.frequencies", "rope.angles", "attention.chunked_rope")
def no_rope_scaling(model: Llama4) -> Change:
    return replaced(
        rope.inverse_frequencies,
        lambda original: lambda width, theta, scaling=None, device=None: original(width, theta, None, device),
    )


@mutant("RoPE with another model's base", "rope.frequencies", "rope.angles", *ROPE)
def wrong_theta(model: Llama4) -> Change:
    return replaced(
        rope.inverse_frequencies,
        lambda original: lambda width, theta, scaling=None, device=None: original(width, 1_000_000.0, scaling, device),
    )


@mutant("RoPE pairs halves instead of neighbours", "rope.rotation", *ROPE)
def rope_halves(model: Llama4) -> Change:
    def by_halves(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        cos, sin = rotation
        first, second = x.float().chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).type_as(x)

    return replaced(rope.rotate_pairs, lambda _: by_halves)


@mutant("RoPE turns the other way", "rope.angles")  # attention sees only differences of angles, where signs cancel
def rope_backwards(model: Llama4) -> Change:
    return replaced(rope.rotation_angles, lambda original: lambda *args: (original(*args)[0], -original(*args)[1]))


@mutant("RoPE restarts in every chunk of a segment", "cache.segments", "cache.decode")
def rope_restarts(model: Llama4) -> Change:
    return replaced(
        rope.rotation_angles, lambda original: lambda positions, *rest: original(positions - positions[:, :1], *rest)
    )


def _attention_config(model: Llama4, **changes: Any) -> Change:
    modules = [layer.self_attn for layer in layers(model)]
    return changed(modules, "config", lambda config: dataclasses.replace(config, **changes))


@mutant("QK norm is missing", *ROPE)
def no_qk_norm(model: Llama4) -> Change:
    return _attention_config(model, qk_norm=False)


@mutant("QK norm has an epsilon of its own", "qk_norm", "attention.chunked_rope")
def qk_norm_epsilon(model: Llama4) -> Change:
    return _attention_config(model, rms_norm_eps=1e-6)


@mutant("QK norm across all heads", *ROPE)
def qk_norm_across_heads(model: Llama4) -> Change:
    return replaced(
        norms.rms_normalize,
        lambda original: lambda x, eps: original(x.flatten(-2), eps).view_as(x) if x.ndim == 4 else original(x, eps),
    )


@mutant("QK norm on NoPE layers", *NOPE)
def qk_norm_on_nope(model: Llama4) -> Change:
    eps = model.text_config.rms_norm_eps
    normalise = lambda query, key, _: (norms.rms_normalize(query, eps), norms.rms_normalize(key, eps))  # noqa: E731
    return _queries(normalise, rope_layers=False)


@mutant("keys are not normalised", *ROPE)
def keys_not_normalised(model: Llama4) -> Change:
    heads = model.text_config.num_kv_heads
    return replaced(
        norms.rms_normalize,
        lambda original: lambda x, eps: x if x.ndim == 4 and x.shape[2] == heads else original(x, eps),
    )


@mutant("norms have another epsilon", "rms_norm", "layer.chunked_rope")
def norm_epsilon(model: Llama4) -> Change:
    return changed([m for m in model.modules() if isinstance(m, RMSNorm)], "eps", lambda eps: eps / 10)


@mutant("norms subtract the mean", "rms_norm", "layer.chunked_rope", "model.text")
def norm_subtracts_mean(model: Llama4) -> Change:
    return replaced_method(
        RMSNorm, "forward", lambda original: lambda self, x: original(self, x - x.mean(-1, keepdim=True))
    )
