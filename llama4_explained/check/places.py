"""Where tokens stand, as the decoder layers of both implementations want to be told."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import create_causal_mask, create_chunked_causal_mask

from .. import kv_cache, rope
from .hf_versions import with_cache
from .setups import Setup


def layers(model: Any) -> Any:
    """The decoder layers, ours or HF's: the paths are the same."""
    return model.language_model.model.layers


def our_places(setup: Setup, x: Tensor) -> tuple[tuple[Tensor, Tensor], kv_cache.Placement]:
    """Rotation and placement of tokens 0, 1, 2, ..., as `TextModel` gives them to its layers."""
    placement = kv_cache.place_tokens((x.shape[0], x.shape[1]), x.device)
    text = setup.text
    frequencies = rope.inverse_frequencies(text.head_dim, text.rope_theta, text.rope_scaling, x.device)
    return rope.rotation_angles(placement.query, frequencies), placement


def hf_places(model: Any, x: Tensor, chunked: bool, attention_mask: Tensor | None = None) -> tuple[Tensor, Any]:
    """HF's rotation (complex) and additive mask for the same tokens."""
    text = model.language_model.model
    positions = torch.arange(x.shape[1])[None]
    create = create_chunked_causal_mask if chunked else create_causal_mask
    mask = create(text.config, x, attention_mask, position_ids=positions, **with_cache(None))
    return text.rotary_emb(x, positions), mask
