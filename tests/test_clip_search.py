"""The search for the range of each group gains what is said of it, and finds the best of those that it tries."""

from dataclasses import replace

import pytest
import torch

from llama4_explained import number_formats
from llama4_explained.number_formats import PRESETS, QuantizationConfig, dequantize, quantize_tensor
from oracle import random_tensor
from rounding_noise import heavy_tailed, sqnr

INTEGER_FORMATS = [
    QuantizationConfig(name, size, symmetric)
    for name in ("int8", "int4", "int3", "int2")
    for size in (None, 128, 50)
    for symmetric in (True, False)
]


@pytest.mark.parametrize(
    ("name", "weights", "nearest", "searched"),
    [
        ("int4", random_tensor, 19.9, 20.4), ("int3", random_tensor, 13.3, 14.6), ("int2", random_tensor, 6.0, 8.7),
        ("int4", heavy_tailed, 15.6, 16.0), ("int3", heavy_tailed, 9.7, 10.7), ("int2", heavy_tailed, 4.6, 6.5),
    ],
)  # fmt: skip
def test_a_search_for_the_range_gains_what_the_docstring_says(name, weights, nearest, searched):
    weight = weights(512, 1024)
    assert sqnr(weight, QuantizationConfig(name)) == pytest.approx(nearest, abs=0.2)
    assert sqnr(weight, PRESETS[name]) == pytest.approx(searched, abs=0.2)


@pytest.mark.parametrize("config", INTEGER_FORMATS, ids=str)
def test_a_search_takes_the_best_range_of_every_group(config):
    """No group is further off than with the whole range, and than with any other range that was to be tried."""
    weight, size = heavy_tailed(8, 300), config.group_size or 300

    def errors(tried, factors):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(number_formats, "RANGES", factors)
            moved = dequantize(quantize_tensor(weight, tried)).double() - weight.double()
        return torch.nn.functional.pad(moved, (0, -300 % size)).unflatten(-1, (-1, size)).pow(2).sum(-1)

    whole, search = errors(config, (1,)), replace(config, clip_search=True)
    found = errors(search, number_formats.RANGES)
    assert (found <= whole * (1 + 1e-6)).all() and (found < 0.99 * whole).any() == (config.bits < 8)
    for part in number_formats.RANGES[1:]:
        assert (found <= errors(search, (1, part)) * (1 + 1e-6)).all()
