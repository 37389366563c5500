"""Hugging Face's config.json, old and new spellings, to and from the arguments of our config classes.

The tables are the whole translation; the functions handle what a table cannot: nested RoPE settings, values that
older files spell differently, and settings that would need code which Llama 4 does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import UserError

# Ours -> theirs. Traps: `no_rope_layers[i] == 1` means that layer i DOES use RoPE; `intermediate_size` is the width of
# one expert and `intermediate_size_mlp` that of a dense layer; `attn_temperature_tuning` is 4 in older files, meaning
# on.
TEXT_NAMES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_query_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "expert_width": "intermediate_size",
    "dense_width": "intermediate_size_mlp",
    "num_experts": "num_local_experts",
    "experts_per_token": "num_experts_per_tok",
    "moe_interval": "interleave_moe_layer_step",
    "moe_layers": "moe_layers",
    "nope_interval": "no_rope_layer_interval",
    "rope_layers": "no_rope_layers",
    "chunk_size": "attention_chunk_size",
    "qk_norm": "use_qk_norm",
    "temperature_tuning": "attn_temperature_tuning",
    "floor_scale": "floor_scale",
    "temperature_scale": "attn_scale",
    "rms_norm_eps": "rms_norm_eps",
    "max_positions": "max_position_embeddings",
    "tie_embeddings": "tie_word_embeddings",
    "init_std": "initializer_range",
    "bos_id": "bos_token_id",
    "eos_ids": "eos_token_id",
    "pad_id": "pad_token_id",
}
VISION_NAMES = {
    "image_size": "image_size",
    "patch_size": "patch_size",
    "num_channels": "num_channels",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "mlp_width": "intermediate_size",
    "pixel_shuffle_ratio": "pixel_shuffle_ratio",
    "adapter_width": "vision_output_dim",
    "init_std": "initializer_range",
}
ROPE_SCALING_NAMES = {
    "factor": "factor",
    "low_frequency_factor": "low_freq_factor",
    "high_frequency_factor": "high_freq_factor",
    "original_max_positions": "original_max_position_embeddings",
}
IMAGE_TOKEN_NAMES = {
    "image_start_id": "boi_token_index",
    "image_end_id": "eoi_token_index",
    "patch_id": "image_token_index",
}
# What HF assumes where a file is silent and our default (Scout's published value) is another.
HF_TEXT_DEFAULTS = {
    "max_position_embeddings": 131072,
    "rope_scaling": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
HF_VISION_DEFAULTS = {"hidden_size": 768, "image_size": 448, "vision_output_dim": 7680}
# Settings of HF's classes that Llama 4 never uses. Any other value would silently change the model, so it is refused.
TEXT_FIXED = {"hidden_act": "silu", "attention_bias": False, "attention_dropout": 0.0, "router_jitter_noise": 0.0}
VISION_FIXED = {
    "hidden_act": "gelu",
    "vision_feature_select_strategy": "default",
    "projector_dropout": 0.0,
    "attention_dropout": 0.0,
    "multi_modal_projector_bias": False,
}


def text_arguments(hf: Mapping[str, Any]) -> dict[str, Any]:
    """HF's text config as keyword arguments of `TextConfig` (`rope_scaling` as a dict or None).

    Errors: UserError for settings that no Llama 4 has, naming them.
    """
    hf = {**HF_TEXT_DEFAULTS, **hf}
    _refuse_other_models(hf, {"model_type": "llama4_text", **TEXT_FIXED}, "text_config")
    ours = {name: hf[theirs] for name, theirs in TEXT_NAMES.items() if theirs in hf}
    ours["temperature_tuning"] = bool(ours.get("temperature_tuning", True))
    if isinstance(ours.get("floor_scale"), float):
        ours["floor_scale"] = int(ours["floor_scale"])
    ours["rope_layers"] = tuple(bool(uses) for uses in ours.get("rope_layers") or ()) or None  # empty: the default
    ours["moe_layers"] = None if ours.get("moe_layers") is None else tuple(ours["moe_layers"])
    eos = ours["eos_ids"]
    ours["eos_ids"] = () if eos is None else (eos,) if isinstance(eos, int) else tuple(eos)
    # Null means derived from the others; missing means HF's default, which is ours too.
    if ours.get("num_kv_heads", 8) is None:
        ours["num_kv_heads"] = ours.get("num_query_heads", 40)
    if ours.get("head_dim", 128) is None:
        ours["head_dim"] = hf.get("hidden_size", 5120) // hf.get("num_attention_heads", 40)
    ours["rope_theta"], ours["rope_scaling"] = _rope_arguments(hf, default_theta=500000.0)
    return ours


def vision_arguments(hf: Mapping[str, Any]) -> dict[str, Any]:
    """HF's vision config as keyword arguments of `VisionConfig`.

    Errors: UserError for settings that no Llama 4 has, naming them.
    """
    hf = {**HF_VISION_DEFAULTS, **hf}
    _refuse_other_models(hf, {"model_type": "llama4_vision_model", **VISION_FIXED}, "vision_config")
    widths = {name: hf.get(name, 4096) for name in ("projector_input_dim", "projector_output_dim", "vision_output_dim")}
    if len(set(widths.values())) > 1:
        raise UserError(f"vision_config: the adapter's three widths must be equal, got {widths}")
    ours = {name: hf[theirs] for name, theirs in VISION_NAMES.items() if theirs in hf}
    ours["rope_theta"], scaling = _rope_arguments(hf, default_theta=10000.0)
    if scaling is not None:
        raise UserError("vision_config: RoPE scaling is not part of Llama 4's vision tower")
    return ours


def text_to_hf(config: Any) -> dict[str, Any]:
    """A `TextConfig` as HF's text config, every pattern written out, readable by all supported versions of HF."""
    hf = {theirs: getattr(config, name) for name, theirs in TEXT_NAMES.items()}
    hf["no_rope_layers"] = [int(layer.uses_rope) for layer in config.layer_plan]
    hf["moe_layers"] = [i for i, layer in enumerate(config.layer_plan) if layer.is_moe]
    hf["eos_token_id"] = list(config.eos_ids)
    # Newer versions of HF fail on null; a chunk as long as the context means the same.
    hf["attention_chunk_size"] = config.chunk_size or config.max_positions
    hf["rope_parameters"] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rope_scaling is not None:
        scaling = {theirs: getattr(config.rope_scaling, name) for name, theirs in ROPE_SCALING_NAMES.items()}
        hf["rope_parameters"] |= {"rope_type": "llama3", **scaling}
    return {"model_type": "llama4_text", "architectures": ["Llama4ForCausalLM"], **TEXT_FIXED, **hf}


def vision_to_hf(config: Any) -> dict[str, Any]:
    """A `VisionConfig` as HF's vision config."""
    hf = {theirs: getattr(config, name) for name, theirs in VISION_NAMES.items()}
    hf |= {"projector_input_dim": config.adapter_width, "projector_output_dim": config.adapter_width}
    hf["rope_parameters"] = {"rope_type": "default", "rope_theta": config.rope_theta}
    return {"model_type": "llama4_vision_model", "norm_eps": 1e-5, **VISION_FIXED, **hf}


def _rope_arguments(hf: Mapping[str, Any], default_theta: float) -> tuple[float, dict[str, Any] | None]:
    """Base frequency and scaling, from `rope_parameters` (new) or `rope_theta` with `rope_scaling` (old)."""
    parameters = hf.get("rope_parameters") or {"rope_theta": hf.get("rope_theta"), **(hf.get("rope_scaling") or {})}
    theta = parameters.get("rope_theta") or hf.get("rope_theta") or default_theta
    rope_type = parameters.get("rope_type", parameters.get("type", "default"))
    if rope_type == "default":
        return float(theta), None
    if rope_type != "llama3":
        raise UserError(f"rope_type {rope_type!r} is not used by Llama 4; expected 'default' or 'llama3'")
    missing = [theirs for theirs in ROPE_SCALING_NAMES.values() if theirs not in parameters]
    if missing:
        raise UserError(f"rope scaling lacks {', '.join(missing)}")
    return float(theta), {name: parameters[theirs] for name, theirs in ROPE_SCALING_NAMES.items()}


def _refuse_other_models(hf: Mapping[str, Any], fixed: Mapping[str, Any], where: str) -> None:
    for name, expected in fixed.items():
        if hf.get(name, expected) not in (expected, None):
            raise UserError(f"{where}: {name}={hf[name]!r} is not part of Llama 4; expected {expected!r}")
    # HF derives `layer_types` from `no_rope_layers`; a file that has them differ is no Llama 4.
    kinds, uses_rope = hf.get("layer_types"), hf.get("no_rope_layers")
    for i, (kind, rope) in enumerate(zip(kinds or (), uses_rope or (), strict=False)):
        if kind != ("chunked_attention" if rope else "full_attention"):
            raise UserError(
                f"{where}: layer {i} is {kind} with no_rope_layers {rope}: in Llama 4 RoPE layers are chunked"
            )
