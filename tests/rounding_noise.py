"""Weights, and how far they are from what is left of them in fewer bits."""

import torch

from llama4_explained.number_formats import QuantizationConfig, dequantize, quantize_tensor
from oracle import random_tensor


def heavy_tailed(*shape: int) -> torch.Tensor:
    """Student's t with 3 degrees of freedom: mostly small numbers, a few far out."""
    squares = torch.stack([random_tensor(*shape, seed=seed) for seed in (1, 2, 3)]).pow(2).sum(0)
    return random_tensor(*shape) * (3 / squares).sqrt()


def decibels(signal: torch.Tensor, noise: torch.Tensor | float) -> float:
    noise = torch.as_tensor(noise).double()
    return float(10 * torch.log10(signal.double().pow(2).mean() / (noise.pow(2).mean() if noise.ndim else noise)))


def sqnr(weight: torch.Tensor, config: QuantizationConfig) -> float:
    """Power of the weights over power of the rounding error."""
    return decibels(weight, dequantize(quantize_tensor(weight, config)) - weight)
