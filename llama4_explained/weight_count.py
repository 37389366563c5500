"""How many weights each part of a model has, and the bytes that they take.

Counted on the model itself, built on the meta device, where tensors have shapes but no memory: the bytes are exactly
those of what loading will build.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import nn

from .config import Llama4Config, TextConfig
from .model import Llama4, Llama4Text
from .number_formats import QuantizationConfig
from .quantize import empty_model_, plan

PARTS = ("routed experts", "shared experts", "dense feed-forwards", "attention", "routers and norms", "embeddings",
         "output head", "vision", "projector")  # fmt: skip
# The part that a weight belongs to: the first whose word is in its name.
WORDS = {
    "vision_model.": "vision",
    "multi_modal_projector.": "projector",
    ".experts.": "routed experts",
    ".shared_expert.": "shared experts",
    ".self_attn.": "attention",
    ".router.": "routers and norms",
    "norm.": "routers and norms",
    ".feed_forward.": "dense feed-forwards",
    "embed_tokens.": "embeddings",
    "lm_head.": "output head",
}


@dataclass(frozen=True)
class Weights:
    """One part of a model."""

    part: str
    parameters: int
    format: str  # of its numbers
    num_bytes: int  # scales and zeros included


def count_weights(
    config: Llama4Config | TextConfig, quantization: QuantizationConfig | None, dtype: torch.dtype
) -> tuple[Weights, ...]:
    """The parts that a model has. `dtype` is that of all that is not quantised. A tied output head is no part."""
    with torch.device("meta"):
        model: nn.Module = Llama4Text(config) if isinstance(config, TextConfig) else Llama4(config)
    parameters: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        parameters[_part_of(name)] += parameter.numel()

    formats = dict.fromkeys(parameters, str(dtype).removeprefix("torch."))
    if quantization is not None:
        formats |= {_part_of(f"{path}."): chosen.format for path, chosen in plan(model, quantization).items()}
        empty_model_(model, quantization)
    model.to(dtype)
    num_bytes: Counter[str] = Counter()
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        num_bytes[_part_of(name)] += tensor.nbytes
    present = [part for part in PARTS if part in parameters]
    return tuple(Weights(part, parameters[part], formats[part], num_bytes[part]) for part in present)


def text_parameters(weights: tuple[Weights, ...]) -> int:
    """All weights of the language half."""
    return sum(each.parameters for each in weights if each.part not in ("vision", "projector"))


def active_parameters(weights: tuple[Weights, ...], text: TextConfig) -> int:
    """The weights of the language half that one token passes through: of the routed experts, only its own."""
    routed = sum(each.parameters for each in weights if each.part == "routed experts")
    return text_parameters(weights) - routed // text.num_experts * (text.num_experts - text.experts_per_token)


def _part_of(name: str) -> str:
    return next(part for word, part in WORDS.items() if word in name)
