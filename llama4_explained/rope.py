"""Rotary position encoding: every pair of channels turns by an angle that grows with the position.

Shapes: B batch, T tokens, H heads, Dh head width.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from .config import RopeScaling


@lru_cache(maxsize=64)
def inverse_frequencies(
    head_dim: int, theta: float, scaling: RopeScaling | None = None, device: torch.device | None = None
) -> Tensor:
    """How far each pair of channels turns per token.

    Shapes: returns float32 [Dh/2].
    Units:  radians per token; pair i turns by theta^(-2i/Dh), then slower where `scaling` says so.
    Source: HF `Llama4TextRotaryEmbedding` and `_compute_llama3_parameters`.
    Differs: with equal frequency factors (Scout) the textbook smoothing divides by zero; here the band between kept
        and stretched frequencies is then empty and scaling is a step.
    """
    with torch.inference_mode(False):  # the result is cached, and training must be able to use it
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
        frequencies = 1.0 / theta**exponents
        if scaling is None:
            return frequencies
        wavelength = 2 * math.pi / frequencies  # tokens for one full turn
        longest_kept = scaling.original_max_positions / scaling.high_frequency_factor
        shortest_stretched = scaling.original_max_positions / scaling.low_frequency_factor
        stretched = torch.where(wavelength > shortest_stretched, frequencies / scaling.factor, frequencies)
        if longest_kept == shortest_stretched:
            return stretched
        turns = scaling.original_max_positions / wavelength  # full turns within the original context
        keep = (turns - scaling.low_frequency_factor) / (scaling.high_frequency_factor - scaling.low_frequency_factor)
        blended = (1 - keep) * frequencies / scaling.factor + keep * frequencies
        between = (wavelength >= longest_kept) & (wavelength <= shortest_stretched)
        return torch.where(between, blended, stretched)


def rotation_angles(positions: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every pair's angle at every position.

    Shapes: positions [B, T], frequencies [Dh/2] -> two float32 [B, T, 1, Dh/2]; the 1 stands for the heads.
    Source: HF `Llama4TextRotaryEmbedding.forward`, which keeps them as one complex number.
    Differs: real tensors, made per call: a complex buffer is silently ruined by `model.to(dtype)`.
    """
    angles = positions[..., None, None].float() * frequencies  # [B, T, 1, Dh/2]
    return angles.cos(), angles.sin()


def rotate_pairs(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs of *neighbouring* channels (0, 1), (2, 3), ... by their angles.

    Shapes: x [B, T, H, Dh], rotation two of [B, T, 1, Dh/2] -> [B, T, H, Dh].
    Source: HF `apply_rotary_emb`. Many models pair channel i with i + Dh/2 instead; Llama 4 does not.
    """
    cos, sin = rotation
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)  # [B, T, H, Dh/2] each
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).type_as(x)
