import pytest
import torch
import torch.nn.functional as F

from llama4_explained.feed_forward import FeedForward
from oracle import assert_same_function, random_tensor, text_pair


def test_by_hand():
    layer = FeedForward(2, 3)
    layer.gate_proj.weight.data = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    layer.up_proj.weight.data = torch.tensor([[1.0, 0], [0, 2], [0, 0]])
    layer.down_proj.weight.data = torch.tensor([[1.0, 0, 9], [0, 1, 9]])
    # x = (2, -1): gates 2, -1, 1; up 2, -2, 0. silu(2) * 2 = 3.5232 and silu(-1) * -2 = 0.5379; the third is shut.
    assert layer(torch.tensor([2.0, -1.0])).tolist() == pytest.approx([3.5231884, 0.5378828])


def test_equals_hf():
    ours, theirs = (model.model.layers[0].feed_forward for model in text_pair())
    assert isinstance(ours, FeedForward)
    assert_same_function(ours, theirs, random_tensor(2, 7, 48))


def test_equals_hf_to_the_bit_in_bfloat16():
    ours, theirs = (model.model.layers[0].feed_forward for model in text_pair(dtype=torch.bfloat16))
    x = random_tensor(2, 7, 48).bfloat16()
    assert torch.equal(ours(x), theirs(x))


def test_the_gate_is_what_goes_through_silu():
    ours, _ = (model.model.layers[0].feed_forward for model in text_pair())
    x = random_tensor(2, 7, 48)
    swapped = ours.down_proj(F.silu(ours.up_proj(x)) * ours.gate_proj(x))
    assert (ours(x) - swapped).abs().max() > 0.1
