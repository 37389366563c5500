import math

import pytest
import torch
import transformers
from transformers.models.llama4.modeling_llama4 import Llama4TextRotaryEmbedding, apply_rotary_emb

from llama4_explained import SCOUT, RopeScaling
from llama4_explained.norms import rms_normalize
from llama4_explained.rope import inverse_frequencies, rotate_pairs, rotation_angles
from oracle import random_tensor

LLAMA3 = RopeScaling(8.0, 1.0, 4.0, 8192)  # with a band between kept and stretched frequencies
SCALINGS = [None, SCOUT.text.rope_scaling, LLAMA3, RopeScaling(4.0, 1.0, 4.0, 16), RopeScaling(8.0, 2.0, 2.0, 64)]


def hf_rotary(head_dim, theta, scaling):
    parameters = {"rope_type": "default", "rope_theta": theta}
    if scaling is not None:
        parameters = {
            "rope_type": "llama3", "rope_theta": theta, "factor": scaling.factor,
            "low_freq_factor": scaling.low_frequency_factor, "high_freq_factor": scaling.high_frequency_factor,
            "original_max_position_embeddings": scaling.original_max_positions,
        }  # fmt: skip
    return Llama4TextRotaryEmbedding(transformers.Llama4TextConfig(head_dim=head_dim, rope_parameters=parameters))


def test_frequencies_by_hand():
    assert inverse_frequencies(4, 100.0).tolist() == pytest.approx([1.0, 0.1])
    assert inverse_frequencies(8, 10000.0).tolist() == pytest.approx([1.0, 0.1, 0.01, 0.001])


def test_scaling_by_hand():
    # Wavelengths: 6.3, 63, 628 and 6283 tokens. Kept below 100 / 4 = 25, stretched above 100 / 1; 63 lies between:
    # 100 / 62.83 = 1.592 turns, (1.592 - 1) / (4 - 1) = 0.197 of the way from stretched to kept.
    frequencies = inverse_frequencies(8, 10000.0, RopeScaling(8.0, 1.0, 4.0, 100))
    kept = (10 / (2 * math.pi) - 1) / 3
    assert frequencies.tolist() == pytest.approx([1.0, 0.1 * (kept + (1 - kept) / 8), 0.01 / 8, 0.001 / 8])


def test_scouts_scaling_is_a_step():
    """Equal factors leave no band to blend in, where the textbook formula divides by zero."""
    text = SCOUT.text
    plain = inverse_frequencies(text.head_dim, text.rope_theta)
    scaled = inverse_frequencies(text.head_dim, text.rope_theta, text.rope_scaling)
    turns_too_slowly = 2 * math.pi / plain > 8192
    assert scaled.isfinite().all()
    assert torch.equal(scaled, torch.where(turns_too_slowly, plain / 16, plain))
    assert turns_too_slowly.tolist() == [False] * 35 + [True] * 29  # pairs 35 to 63 take more than 8192 tokens a turn


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(("head_dim", "theta"), [(128, 500000.0), (12, 10000.0), (2, 100.0)])
def test_frequencies_equal_hf(head_dim, theta, scaling):
    ours, theirs = inverse_frequencies(head_dim, theta, scaling), hf_rotary(head_dim, theta, scaling).inv_freq
    assert ours.shape == (head_dim // 2,)
    torch.testing.assert_close(ours, theirs, rtol=3e-7, atol=0)  # two units in the last place


@pytest.mark.parametrize("scaling", SCALINGS)
def test_angles_equal_hf(scaling):
    positions = torch.tensor([[0, 1, 2, 100, 8191, 8192], [5, 6, 7, 65536, 1_000_000, 10_485_759]])
    theirs = hf_rotary(16, 500000.0, scaling)
    frequencies = inverse_frequencies(16, 500000.0, scaling)
    torch.testing.assert_close(frequencies, theirs.inv_freq, rtol=3e-7, atol=0)
    cos, sin = rotation_angles(positions, theirs.inv_freq)  # HF's own: at ten million, one last bit is an angle of 1
    rotation = theirs(random_tensor(1), positions)
    assert cos.shape == sin.shape == (2, 6, 1, 8)
    torch.testing.assert_close(cos[:, :, 0], rotation.real, rtol=0, atol=2e-7)
    torch.testing.assert_close(sin[:, :, 0], rotation.imag, rtol=0, atol=2e-7)


def test_neighbours_are_the_pairs():
    quarter_turn = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2)
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
    assert rotate_pairs(x, quarter_turn).flatten().tolist() == [-2.0, 1.0, -4.0, 3.0]


def test_position_turns_a_pair_by_its_angle():
    rotation = rotation_angles(torch.tensor([[0, 1, 2]]), torch.tensor([math.pi / 6]))
    turned = rotate_pairs(torch.tensor([1.0, 0.0]).expand(1, 3, 1, 2), rotation)[0, :, 0]
    assert torch.allclose(turned, torch.tensor([[1, 0], [3**0.5 / 2, 0.5], [0.5, 3**0.5 / 2]]), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rotation_equals_hf(dtype):
    query, key = random_tensor(2, 7, 6, 12).to(dtype), random_tensor(2, 7, 2, 12, seed=1).to(dtype)
    positions = torch.arange(40, 47).expand(2, -1)
    theirs = hf_rotary(12, 10000.0, None)
    expected = apply_rotary_emb(query, key, theirs(query, positions))
    rotation = rotation_angles(positions, theirs.inv_freq)
    for x, turned in zip((query, key), expected, strict=True):
        ours = rotate_pairs(x, rotation)
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, turned, rtol=0, atol=1e-6 if dtype == torch.float32 else 0.02)
        assert (ours - turned).abs().float().mean() < (1e-7 if dtype == torch.float32 else 1e-4)


def test_only_distance_matters():
    query, key = random_tensor(1, 1, 1, 12), random_tensor(1, 1, 1, 12, seed=1)
    frequencies = inverse_frequencies(12, 10000.0)

    def score(query_position, key_position):
        turned = (
            rotate_pairs(x, rotation_angles(torch.tensor([[position]]), frequencies))
            for x, position in ((query, query_position), (key, key_position))
        )
        return math.prod(turned).sum()

    torch.testing.assert_close(score(13, 4), score(1009, 1000), rtol=1e-4, atol=1e-4)
    assert (score(13, 4) - score(13, 5)).abs() > 1e-2


def test_norm_and_rotation_may_change_places():
    """Llama 4 rotates first; without a learned weight in the norm the order changes nothing but rounding."""
    query = random_tensor(2, 7, 6, 12)
    rotation = rotation_angles(torch.arange(7)[None], inverse_frequencies(12, 10000.0))
    after = rms_normalize(rotate_pairs(query, rotation), 1e-5)
    before = rotate_pairs(rms_normalize(query, 1e-5), rotation)
    torch.testing.assert_close(after, before, rtol=0, atol=2e-6)


def test_tables_made_in_inference_mode_can_be_trained_with():
    inverse_frequencies.cache_clear()
    with torch.inference_mode():
        inverse_frequencies(6, 123.0, LLAMA3)
    rotation = rotation_angles(torch.arange(3)[None], inverse_frequencies(6, 123.0, LLAMA3))
    x = random_tensor(1, 3, 1, 6).requires_grad_()
    rotate_pairs(x, rotation).square().sum().backward()
    assert torch.allclose(x.grad, 2 * x)  # a rotation keeps lengths
