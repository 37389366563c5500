import dataclasses
import math

import pytest
import torch
from transformers import Llama4VisionConfig
from transformers.models.llama4.modeling_llama4 import Llama4VisionAttention, Llama4VisionRotaryEmbedding

from llama4_explained import SCOUT
from llama4_explained.check.twins import in_float64
from llama4_explained.vision.encoder import VisionAttention, patch_rotation
from oracle import VISION, WHOLE, assert_equals_hf, assert_same_function, random_tensor, whole_pair

SIDE, HEAD = VISION.patches_per_side, VISION.hidden_size // VISION.num_heads


def rotation():
    return patch_rotation(SIDE, HEAD, VISION.rope_theta)


def test_rotation_by_hand():
    """2 x 2 patches, two pairs for x (turning by 1 and 0.1 a patch) and two for y; coordinates from 1."""
    cos, sin = patch_rotation(2, 8, 100.0)
    expected = torch.tensor([
        [1, 0.1, 1, 0.1],  # upper left: x = 1, y = 1
        [2, 0.2, 1, 0.1],  # upper right: x = 2
        [1, 0.1, 2, 0.2],  # lower left: y = 2
        [2, 0.2, 2, 0.2],
        [0, 0.0, 0, 0.0],  # the class token, last, does not turn
    ])  # fmt: skip
    assert cos.shape == sin.shape == (1, 5, 1, 4)
    assert torch.allclose(cos[0, :, 0], expected.cos()) and torch.allclose(sin[0, :, 0], expected.sin())


@pytest.mark.parametrize("config", [VISION, SCOUT.vision], ids=["small", "scout"])
def test_rotation_equals_hf(config):
    hf = Llama4VisionConfig(**{name: value for name, value in config.to_hf_dict().items() if name != "model_type"})
    theirs = Llama4VisionRotaryEmbedding(hf).freqs_ci
    cos, sin = patch_rotation(config.patches_per_side, config.hidden_size // config.num_heads, config.rope_theta)
    for ours, expected in ((cos, theirs.real), (sin, theirs.imag)):
        torch.testing.assert_close(ours[0, :, 0], expected[:, 0], rtol=0, atol=2e-7)
    assert not torch.allclose(cos[0, :, 0], cos[0, :, 0].roll(cos.shape[-1] // 2, -1))  # x and y are not the same


def test_a_table_made_in_inference_mode_can_be_trained_with():
    patch_rotation.cache_clear()
    with torch.inference_mode():
        patch_rotation(SIDE, HEAD, VISION.rope_theta)
    ours, _ = whole_pair()
    x = random_tensor(1, VISION.num_patches + 1, VISION.hidden_size).requires_grad_()
    ours.vision_model.model(x, rotation()).sum().backward()
    ours.zero_grad()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_equals_hf(implementation):
    """Every backend: one HF version gave its eager attention no scale."""
    ours, theirs = (model.vision_model.model.layers[0].self_attn for model in whole_pair(WHOLE, implementation))
    assert isinstance(ours, VisionAttention) and isinstance(theirs, Llama4VisionAttention)
    x, turn = random_tensor(2, VISION.num_patches + 1, VISION.hidden_size), torch.complex(*rotation())[0]
    with torch.no_grad():
        expected = theirs(x, turn)[0]
        with in_float64(theirs):
            exact = theirs(x.double(), turn.to(torch.complex128))[0]
        assert_equals_hf(ours(x, rotation()), expected, exact)


@pytest.mark.parametrize("number", [0, 1])
def test_layers_equal_hf(number):
    ours, theirs = (model.vision_model.model.layers[number] for model in whole_pair())
    x, turn = random_tensor(2, VISION.num_patches + 1, VISION.hidden_size), torch.complex(*rotation())[0]
    with torch.no_grad():
        expected = theirs(x, turn)[0]
        with in_float64(theirs):
            exact = theirs(x.double(), turn.to(torch.complex128))[0]
        assert_equals_hf(ours(x, rotation()), expected, exact)
    assert_same_function(ours.mlp, theirs.mlp, x)


def test_every_patch_sees_every_other():
    ours, _ = whole_pair()
    with torch.no_grad():
        trace = ours.trace(
            torch.tensor([[92] * 9]), pixel_values=random_tensor(1, 3, 24, 24), names=("vision.*weights",)
        )
    weights = trace["vision.layers.0.attention.weights"]
    assert weights.shape == (1, 2, 37, 37) and bool((weights > 0).all())
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 37))


def test_heads_of_the_published_tower_turn_22_pairs_by_each_coordinate():
    vision = SCOUT.vision
    cos, sin = patch_rotation(vision.patches_per_side, 88, vision.rope_theta)
    assert cos.shape == (1, 577, 1, 44)
    angle = torch.atan2(sin, cos)[0, :, 0, 0]  # the first pair turns by one radian a patch, along a row
    turns = (angle[1:24] - angle[:23]).remainder(2 * math.pi)
    torch.testing.assert_close(turns, torch.ones(23), rtol=0, atol=1e-5)
    assert dataclasses.replace(vision, num_layers=1).num_patches == 576
