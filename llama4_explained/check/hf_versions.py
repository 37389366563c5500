"""What differs between the supported versions of Hugging Face's Llama 4, so that each of them can be the oracle."""

from __future__ import annotations

import inspect
from typing import Any

from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import MoeCausalLMOutputWithPast

# From 5.24 on, the cache is called `cache` in arguments and outputs; the old name, which 5.17 needs, gives a warning.
CACHE_NAME = "cache" if "cache" in inspect.signature(create_causal_mask).parameters else "past_key_values"


def with_cache(cache: Any) -> dict[str, Any]:
    """The argument that hands HF's models and masks a cache (or None), under this version's name."""
    return {CACHE_NAME: cache}


def mend() -> None:
    """Let `Llama4ForConditionalGeneration` run in 5.24.0, where every forward pass ends in an AttributeError.

    It asks its language model's output for `image_outputs`, which that has not; HF's other models get None there.
    """
    if not hasattr(MoeCausalLMOutputWithPast, "image_outputs"):
        MoeCausalLMOutputWithPast.image_outputs = None
