"""What the tests compare with: small models that show every mechanism, their Hugging Face twins, and the tolerance.

A result passes if it is no further from HF's than 50 times HF's own rounding: |HF in fp32 - HF in fp64| on one input.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from llama4_explained import Llama4, Llama4Config, Llama4Text, RopeScaling, TextConfig, VisionConfig
from llama4_explained.check.twins import in_float64, pair

TIMES_FLOOR = 50

# Three chunks within 24 tokens, a temperature step every 4, RoPE scaling with a band between kept and stretched, one
# NoPE layer of four, dense layers between those with experts, and widths that tell every axis from every other.
TEXT = TextConfig(
    vocab_size=96, hidden_size=48, num_layers=4, num_query_heads=6, num_kv_heads=2, head_dim=12, expert_width=20,
    dense_width=36, num_experts=5, experts_per_token=2, moe_interval=2, chunk_size=8, floor_scale=4,
    temperature_scale=0.3, rope_theta=10000.0, rope_scaling=RopeScaling(4.0, 1.0, 4.0, 16), max_positions=256,
    bos_id=1, eos_ids=(2, 3), pad_id=0,
)  # fmt: skip
VISION = VisionConfig(
    image_size=24, patch_size=4, hidden_size=32, num_layers=2, num_heads=2, mlp_width=128, adapter_width=20,
    rope_theta=100.0,
)  # fmt: skip
WHOLE = Llama4Config(text=TEXT, vision=VISION, image_start_id=90, image_end_id=91, patch_id=92)


@cache
def text_pair(
    config: TextConfig = TEXT, attn_implementation: str = "eager", dtype: torch.dtype = torch.float32
) -> tuple[Llama4Text, Any]:
    """Ours and HF's around the same weights. Shared by tests, so nobody may change them."""
    return pair(config, std=0.2, dtype=dtype, attn_implementation=attn_implementation)


@cache
def whole_pair(
    config: Llama4Config = WHOLE, attn_implementation: str = "eager", dtype: torch.dtype = torch.float32
) -> tuple[Llama4, Any]:
    """Vision and text; as `text_pair`."""
    return pair(config, std=0.2, dtype=dtype, attn_implementation=attn_implementation)


def random_ids(*shape: int, seed: int = 0, low: int = 4, high: int = 90) -> Tensor:
    """Ids that mean nothing special: no padding, no stop, no image."""
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_equals_hf(ours: Tensor, theirs: Tensor, exact: Tensor) -> None:
    """`ours` is within 50 times the floor |theirs - exact| of `theirs`."""
    assert ours.shape == theirs.shape
    floor = (theirs.double() - exact.double()).abs().max().item()
    error = (ours.double() - theirs.double()).abs().max().item()
    assert error <= TIMES_FLOOR * floor, (
        f"error {error:.2e} is {error / (floor or 1e-300):.0f} times the floor {floor:.2e}"
    )


def assert_same_function(ours: Callable[..., Tensor], theirs: nn.Module, *inputs: Any, **named: Any) -> None:
    """Ours equals HF's module, called with the same inputs; floating-point ones are widened to measure the floor."""
    with torch.no_grad():
        expected = first(theirs(*inputs, **named))
    with in_float64(theirs):
        exact = first(theirs(*map(widen, inputs), **{name: widen(value) for name, value in named.items()}))
    with torch.no_grad():
        assert_equals_hf(ours(*inputs, **named), expected, exact)


def logits_of_hf(theirs: nn.Module, input_ids: Tensor, **inputs: Any) -> tuple[Tensor, Tensor]:
    """HF's logits in fp32, and in fp64."""
    with torch.no_grad():
        logits = theirs(input_ids, **inputs).logits
    with in_float64(theirs):
        return logits, theirs(input_ids, **{name: widen(value) for name, value in inputs.items()}).logits


def widen(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output
