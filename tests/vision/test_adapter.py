import dataclasses

import pytest
import torch
from transformers.models.llama4.modeling_llama4 import pixel_shuffle as hf_pixel_shuffle

from llama4_explained.vision.adapter import VisionAdapter, pixel_shuffle
from oracle import VISION, WHOLE, assert_same_function, random_tensor, whole_pair


def test_pixel_shuffle_by_hand():
    """A grid of 4 x 4 patches, two channels each (n and n + 0.5), merged 2 by 2."""
    grid = torch.arange(16.0)
    patches = torch.stack([grid, grid + 0.5], dim=-1)[None]
    assert pixel_shuffle(patches, 2).tolist() == [[
        [0, 0.5, 1, 1.5, 4, 4.5, 5, 5.5],
        [2, 2.5, 3, 3.5, 6, 6.5, 7, 7.5],
        [8, 8.5, 9, 9.5, 12, 12.5, 13, 13.5],
        [10, 10.5, 11, 11.5, 14, 14.5, 15, 15.5],
    ]]  # fmt: skip


@pytest.mark.parametrize(("side", "shuffle"), [(24, 2), (8, 4), (6, 2), (4, 1)])
def test_pixel_shuffle_equals_hf(side, shuffle):
    patches = random_tensor(3, side**2, 12)
    assert torch.equal(pixel_shuffle(patches, shuffle), hf_pixel_shuffle(patches, 1 / shuffle))


@pytest.mark.parametrize("changes", [{}, {"pixel_shuffle_ratio": 0.25, "mlp_width": 512, "image_size": 32}], ids=str)
def test_equals_hf(changes):
    config = dataclasses.replace(WHOLE, vision=dataclasses.replace(VISION, **changes))
    ours, theirs = (model.vision_model.vision_adapter for model in whole_pair(config))
    assert isinstance(ours, VisionAdapter)
    assert_same_function(ours, theirs, random_tensor(2, config.vision.num_patches, 32))


def test_a_gelu_follows_the_last_map_too():
    ours, _ = whole_pair()
    image_tokens = ours.vision_model.vision_adapter(random_tensor(5, 36, 32))
    assert image_tokens.shape == (5, 9, 20)
    assert -0.17 < image_tokens.min() < 0 and image_tokens.max() > 1  # gelu never falls below -0.17
