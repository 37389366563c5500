"""Exercises of lesson 13: weights in fewer bits.

Shapes: N output channels, K input channels, G groups of a row, C numbers of a codebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..config import TextConfig
from ..number_formats import QuantizationConfig, QuantizedTensor, pack_bits, unpack_bits
from ..presets import MAVERICK, SCOUT, TINY
from .exercise import Exercise, Misconception

# 1. How many bytes does a matrix take?


def _bytes(rows: int, columns: int, bits: int, group_size: int) -> int:
    return QuantizedTensor.empty((rows, columns), QuantizationConfig(f"int{bits}", group_size), "meta").num_bytes


def _sizes() -> Iterator[Sequence[Any]]:
    yield from ((1, 8, 4, 8), (3, 16, 2, 8), (3, 40, 4, 16), (5, 96, 3, 32), (8192, 5120, 4, 128))


def _up(number: int, divisor: int) -> int:
    return -(-number // divisor)


matrix_bytes = Exercise(
    "matrix bytes",
    "the package counts them",
    _bytes,
    _sizes,
    "Add up three things: the codes, a scale for each group, a zero point for each group. All in bytes.",
    (
        Misconception(
            "only codes take room",
            lambda rows, columns, bits, group_size: rows * columns * bits // 8,
            "These are the codes. From what do they become numbers again, and where is that stored?",
        ),
        Misconception(
            "a zero point takes no room",
            lambda rows, columns, bits, group_size: rows * columns * bits // 8 + rows * _up(columns, group_size) * 2,
            "Codes and one number for each group are there. An asymmetric group stores a second one.",
        ),
        Misconception(
            "the last, short group is left out",
            lambda rows, columns, bits, group_size: rows * (columns * bits // 8 + columns // group_size * 4),
            "Here a row is not a multiple of the group size. Do the weights at its end have a scale?",
        ),
        Misconception(
            "a scale for the matrix",
            lambda rows, columns, bits, group_size: rows * columns * bits // 8 + 4,
            "You have one scale and one zero point in all. How many groups does the matrix have?",
        ),
        Misconception(
            "bits are bytes",
            lambda rows, columns, bits, group_size: rows * (columns * bits + _up(columns, group_size) * 32),
            "The number of bits is right. The question is for bytes.",
        ),
    ),
)


# 2. The symmetric quantiser


def _symmetric(weight: Tensor, bits: int) -> Tensor:
    most = 2 ** (bits - 1) - 1
    scale = (weight.abs().amax(-1) / most).clamp_min(torch.finfo(torch.float32).tiny)
    return torch.fake_quantize_per_channel_affine(weight, scale, torch.zeros(len(weight)).int(), 0, -most, most)


def _rounded(scale_of: Callable[[Tensor, int], Tensor], to_whole: Callable[[Tensor], Tensor] = torch.round) -> Any:
    """An answer: to whole multiples of a scale, and back."""

    def answer(weight: Tensor, bits: int) -> Tensor:
        scale, most = scale_of(weight, bits), 2 ** (bits - 1) - 1
        return to_whole(weight / scale).clamp(-most, most) * scale

    return answer


def _asymmetric(weight: Tensor, bits: int) -> Tensor:
    low, high = weight.amin(-1, keepdim=True), weight.amax(-1, keepdim=True)
    scale = (high - low) / (2**bits - 1)
    return ((weight - low) / scale).round() * scale + low


def _row_scale(weight: Tensor, bits: int) -> Tensor:
    return weight.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)


def _weights() -> Iterator[Sequence[Any]]:
    for seed, (rows, columns, bits) in enumerate(((1, 4, 3), (2, 6, 4), (3, 8, 2), (5, 40, 8))):
        weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
        yield weight * torch.arange(1, rows + 1)[:, None], bits  # rows of different sizes
    yield torch.tensor([[1.0, -0.4, 0.2], [0.0, 0.0, 0.0]]), 4


symmetric = Exercise(
    "symmetric quantiser",
    "`torch.fake_quantize_per_channel_affine`",
    _symmetric,
    _weights,
    "For each row: the largest magnitude becomes the largest code, 2^(bits - 1) - 1. A row of zeros stays zeros.",
    (
        Misconception(
            "one scale for all rows",
            _rounded(lambda weight, bits: weight.abs().max() / (2 ** (bits - 1) - 1)),
            "Small rows come back as nearly nothing. How many scales do you have, and how many rows?",
        ),
        Misconception(
            "rounding is cutting off",
            _rounded(_row_scale, torch.trunc),
            "Some weights land on a code that is not the nearest. What does your function do with 1.9 steps?",
        ),
        Misconception(
            "the largest code is 2^(bits - 1)",
            _rounded(lambda weight, bits: weight.abs().amax(-1, keepdim=True) / 2 ** (bits - 1)),
            "Your largest weight has no code of its own. Which is the largest code, if as many lie above 0 as below?",
        ),
        Misconception(
            "symmetric is asymmetric",
            _asymmetric,
            "You spread the codes from the lowest weight to the highest. Symmetric codes lie around 0.",
        ),
    ),
    tolerance=1e-4,
)


# 3. Unpacking


def _packed() -> Iterator[Sequence[Any]]:
    for seed, (rows, width) in enumerate(((1, 8), (2, 16), (3, 20), (5, 129))):
        codes = torch.randint(16, (rows, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        yield pack_bits(codes, 4), width


def _halves(packed: Tensor) -> tuple[Tensor, Tensor]:
    return packed & 15, packed >> 4


unpack = Exercise(
    "unpack",
    "the package's `unpack_bits`",
    lambda packed, width: unpack_bits(packed, 4, width),
    _packed,
    "Byte j holds code 2j in its low half and code 2j + 1 in its high half. Keep the first `width` of a row.",
    (
        Misconception(
            "the high half comes first",
            lambda packed, width: torch.stack(_halves(packed)[::-1], -1).flatten(-2)[..., :width],
            "The right numbers, but neighbours have changed places. Which half of a byte is the even place?",
        ),
        Misconception(
            "all low halves come first",
            lambda packed, width: torch.cat(_halves(packed), -1)[..., :width],
            "The right numbers in another order. Which two codes share a byte: neighbours, or two that lie far apart?",
        ),
        Misconception(
            "the high half needs no shift",
            lambda packed, width: torch.stack((packed & 15, packed & 0xF0), -1).flatten(-2)[..., :width],
            "Every second code is a multiple of 16. Where in the byte do its four bits stand?",
        ),
        Misconception(
            "what fills up a row is a weight",
            lambda packed, width: torch.stack(_halves(packed), -1).flatten(-2),
            "Rows are filled up to a multiple of 8 codes. What fills them up is no weight.",
        ),
    ),
)


# 4. A codebook: codes that are not evenly spaced


def _with_codebook(weight: Tensor, codebook: Tensor, group_size: int) -> Tensor:
    groups = weight.unflatten(-1, (-1, group_size))
    scale = groups.abs().amax(-1, keepdim=True)  # [N, G, 1]
    code = (groups[..., None] / scale[..., None] - codebook).abs().argmin(-1)
    return (codebook[code] * scale).flatten(-2)


def _evenly_spaced(weight: Tensor, codebook: Tensor, group_size: int) -> Tensor:
    return _with_codebook(weight, torch.linspace(-1, 1, len(codebook)), group_size)


def _next_larger(weight: Tensor, codebook: Tensor, group_size: int) -> Tensor:
    groups = weight.unflatten(-1, (-1, group_size))
    scale = groups.abs().amax(-1, keepdim=True)
    code = torch.searchsorted(codebook, (groups / scale).contiguous()).clamp_max(len(codebook) - 1)
    return (codebook[code] * scale).flatten(-2)


def _codebooks() -> Iterator[Sequence[Any]]:
    normal = torch.distributions.Normal(0.0, 1.0)
    for seed, (rows, groups, group_size, size) in enumerate(((1, 1, 4, 5), (2, 3, 4, 7), (3, 2, 16, 15))):
        generator = torch.Generator().manual_seed(seed)
        quantiles = normal.icdf(torch.linspace(0.03, 0.97, size))  # an odd number of them: 0 is one
        yield torch.randn(rows, groups * group_size, generator=generator), quantiles / quantiles.max(), group_size


codebook = Exercise(
    "codebook",
    "the definition above says",
    _with_codebook,
    _codebooks,
    "For each group: divide by its largest magnitude, take the nearest number of the codebook, multiply back.",
    (
        Misconception("codes are evenly spaced", _evenly_spaced,
                      "Your numbers lie evenly between -1 and 1. Those of the codebook do not."),
        Misconception("the next larger number", _next_larger,
                      "You take the next number that is not smaller. The nearest may be the one below."),
        Misconception("a scale for each row",
                      lambda weight, codebook, group_size: _with_codebook(weight, codebook, weight.shape[-1]),
                      "One scale for each row. How long is a group?"),
        Misconception("weights are in the codebook's range",
                      lambda weight, codebook, group_size: codebook[(weight[..., None] - codebook).abs().argmin(-1)],
                      "The codebook goes from -1 to 1. Where do your groups go from and to?"),
    ),
)  # fmt: skip


# 5. What one token reads of the experts


def _read_bytes(config: TextConfig, bits: int, group_size: int) -> int:
    return _moe_layers(config) * config.experts_per_token * _expert_bytes(config, bits, group_size)


def _expert_bytes(config: TextConfig, bits: int, group_size: int) -> int:
    inward = _bytes(2 * config.expert_width, config.hidden_size, bits, group_size)
    return inward + _bytes(config.hidden_size, config.expert_width, bits, group_size)


def _moe_layers(config: TextConfig) -> int:
    return sum(layer.is_moe for layer in config.layer_plan)


def _models() -> Iterator[Sequence[Any]]:
    yield from ((TINY.text, 4, 32), (SCOUT.text, 4, 128), (MAVERICK.text, 2, 64))


bytes_read = Exercise(
    "bytes read",
    "the package counts them",
    _read_bytes,
    _models,
    "One expert has a gate, an up and a down matrix, each of hidden_size x expert_width weights. How many do you need?",
    (
        Misconception(
            "all experts are read",
            lambda config, bits, group_size: (
                _read_bytes(config, bits, group_size) // config.experts_per_token * config.num_experts
            ),
            "That is what must be in memory. The router of a layer sends a token to few of them.",
        ),
        Misconception(
            "every layer has experts",
            lambda config, bits, group_size: (
                config.num_layers * config.experts_per_token * _expert_bytes(config, bits, group_size)
            ),
            "Right for a model in which every layer has experts. `config.layer_plan[layer].is_moe` says which do.",
        ),
        Misconception(
            "the shared expert is routed",
            lambda config, bits, group_size: _read_bytes(config, bits, group_size) * 2,
            "Twice what it should be. The shared expert is read too, but it is no routed one.",
        ),
        Misconception(
            "weights are in bfloat16",
            lambda config, bits, group_size: (
                _moe_layers(config) * config.experts_per_token * 6 * config.hidden_size * config.expert_width
            ),
            "Two bytes a weight is bfloat16. These experts are stored in `bits` bits, in groups.",
        ),
    ),
)
