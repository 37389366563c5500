import dataclasses

import pytest
import torch

from llama4_explained.block import DecoderLayer
from llama4_explained.check.twins import in_float64
from llama4_explained.feed_forward import FeedForward
from llama4_explained.kv_cache import Placement
from llama4_explained.masks import causal_mask, chunked_causal_mask
from llama4_explained.moe import MixtureOfExperts
from llama4_explained.rope import inverse_frequencies, rotation_angles
from oracle import TEXT, assert_equals_hf, random_tensor, text_pair

SIZE = 27  # more than three chunks


def inputs():
    positions = torch.arange(SIZE)[None]
    rotation = rotation_angles(positions, inverse_frequencies(TEXT.head_dim, TEXT.rope_theta, TEXT.rope_scaling))
    return random_tensor(2, SIZE, TEXT.hidden_size), rotation, Placement(positions, None, 0)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("interval", [1, 2])
def test_equals_hf(number, interval):
    ours, theirs = (model.model.layers[number] for model in text_pair(dataclasses.replace(TEXT, moe_interval=interval)))
    spec = ours.self_attn.spec
    assert isinstance(ours.feed_forward, MixtureOfExperts if (number + 1) % interval == 0 else FeedForward)
    x, rotation, placement = inputs()
    rule = chunked_causal_mask(SIZE, spec.chunk_size) if spec.chunk_size else causal_mask(SIZE)
    mask = torch.zeros(SIZE, SIZE).masked_fill(~rule, torch.finfo(torch.float32).min)[None, None]
    turn = torch.complex(*rotation)[:, :, 0]
    with torch.no_grad():
        expected = theirs(x, mask, position_embeddings=turn)
        with in_float64(theirs):
            exact = theirs(x.double(), mask.double(), position_embeddings=turn.to(torch.complex128))
        assert_equals_hf(ours(x, rotation, placement), expected, exact)


def test_both_halves_add_to_what_came_in():
    layer = DecoderLayer(TEXT, TEXT.layer_plan[0], 0)
    x, rotation, placement = inputs()
    with torch.no_grad():
        layer.self_attn.o_proj.weight.zero_()
        layer.feed_forward.down_proj.weight.zero_()
        assert torch.equal(layer(x, rotation, placement), x)


def test_each_half_reads_its_own_norm():
    layer = DecoderLayer(TEXT, TEXT.layer_plan[0], 0)
    x, rotation, placement = inputs()
    with torch.no_grad():
        layer.post_attention_layernorm.weight.zero_()
        only_attention = layer(x, rotation, placement)
        assert torch.equal(only_attention, x + layer.self_attn(layer.input_layernorm(x), rotation, placement))
        layer.input_layernorm.weight.zero_()
        assert torch.equal(layer(x, rotation, placement), x)
