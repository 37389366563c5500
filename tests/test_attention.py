import dataclasses
import math

import pytest
import torch
from transformers.models.llama4.modeling_llama4 import Llama4TextAttention

from llama4_explained import LayerSpec, TextConfig, attention
from llama4_explained.attention import Attention, attend, attention_weights, query_temperature
from llama4_explained.check.twins import in_float64
from llama4_explained.kv_cache import Placement
from llama4_explained.masks import PADDING
from llama4_explained.rope import inverse_frequencies, rotation_angles
from oracle import TEXT, assert_equals_hf, random_tensor, text_pair

CHUNK = TEXT.chunk_size


def place(num_tokens, past=0):
    return Placement(torch.arange(past, past + num_tokens)[None], None, past)


def allowed(query_positions, key_positions, chunk_size):
    """The rule, spelled out for one pair at a time."""
    size = chunk_size or 10**9
    return torch.tensor(
        [[0 <= key <= query and query // size == key // size for key in key_positions] for query in query_positions]
    )


def attend_by_the_book(query, key, value, mask):
    """One head, one query at a time, in float64; mask [B, T, S]."""
    mixed = torch.zeros(query.shape, dtype=torch.float64)
    group = query.shape[1] // key.shape[1]
    for row in range(query.shape[0]):
        for head in range(query.shape[1]):
            for token in range(query.shape[2]):
                seen = mask[row, token]
                keys, values = key[row, head // group, seen].double(), value[row, head // group, seen].double()
                scores = keys @ query[row, head, token].double() / math.sqrt(query.shape[-1])
                mixed[row, head, token] = scores.softmax(0) @ values
    return mixed


# The temperature of NoPE layers


def test_temperature_by_hand():
    # floor((p + 1) / 4) is 0 up to position 2, 1 up to 6, 2 up to 10; log1p of it is log 1, log 2, log 3.
    scale = query_temperature(torch.tensor([[0, 1, 2, 3, 6, 7, 10, 11]]), floor_scale=4, temperature_scale=0.5)
    assert scale.shape == (1, 8, 1, 1)
    expected = [1 + 0.5 * math.log(n) for n in (1, 1, 1, 2, 2, 3, 3, 4)]
    assert scale.flatten().tolist() == pytest.approx(expected)


def test_scouts_temperature_is_exactly_one_for_8191_tokens():
    scale = query_temperature(torch.arange(8193)[None], 8192, 0.1).flatten()
    assert torch.equal(scale[:8191], torch.ones(8191)) and scale.dtype == torch.float32
    assert scale[8191:].tolist() == pytest.approx([1.0 + 0.1 * math.log(2)] * 2)


# One layer against HF's


def layer_inputs(config, num_tokens):
    positions = torch.arange(num_tokens)[None]
    frequencies = inverse_frequencies(config.head_dim, config.rope_theta, config.rope_scaling)
    return random_tensor(2, num_tokens, config.hidden_size), rotation_angles(positions, frequencies), place(num_tokens)


KINDS = {
    "rope and norm": (0, {}),
    "rope": (0, {"qk_norm": False}),
    "rope without chunks": (0, {"chunk_size": None}),
    "nope and temperature": (3, {}),
    "nope": (3, {"temperature_tuning": False}),
    "one head a group": (0, {"num_kv_heads": 6}),
    "one group": (3, {"num_kv_heads": 1}),
}


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_hf(kind, implementation):
    number, changes = KINDS[kind]
    config = dataclasses.replace(TEXT, **changes)
    ours, theirs = (model.model.layers[number].self_attn for model in text_pair(config, implementation))
    assert isinstance(ours, Attention) and isinstance(theirs, Llama4TextAttention)
    x, rotation, placement = layer_inputs(config, 27)  # more than three chunks
    rule = allowed(range(27), range(27), ours.spec.chunk_size)
    mask = torch.zeros(27, 27).masked_fill(~rule, torch.finfo(torch.float32).min)[None, None]
    turn = torch.complex(*rotation)[:, :, 0]
    with torch.no_grad():
        expected = theirs(x, turn, mask)[0]
        with in_float64(theirs):
            exact = theirs(x.double(), turn.to(torch.complex128), mask.double())[0]
        assert_equals_hf(ours(x, rotation, placement), expected, exact)


@pytest.mark.parametrize("number", [0, 3])
def test_bfloat16_is_as_good_as_hf(number):
    ours, theirs = (model.model.layers[number].self_attn for model in text_pair(dtype=torch.bfloat16))
    x, rotation, placement = layer_inputs(TEXT, 27)
    x = x.bfloat16()
    rule = allowed(range(27), range(27), ours.spec.chunk_size)
    mask = torch.zeros(27, 27).masked_fill(~rule, -1e9)[None, None]
    turn = torch.complex(*rotation)[:, :, 0]
    with torch.no_grad():
        expected = theirs(x, turn, mask.bfloat16())[0]
        with in_float64(theirs):
            exact = theirs(x.double(), turn.to(torch.complex128), mask.double())[0]
        result = ours(x, rotation, placement)
    assert result.dtype == torch.bfloat16
    assert (result - exact).abs().max() <= 1.5 * (expected - exact).abs().max()


def test_norm_and_temperature_belong_to_different_layers():
    rope, nope = (LayerSpec(uses_rope=uses, chunk_size=None, is_moe=False) for uses in (True, False))
    x, rotation, placement = layer_inputs(TEXT, 9)
    torch.manual_seed(0)
    for spec, name, matters in (
        (rope, "qk_norm", True), (nope, "qk_norm", False),
        (rope, "temperature_tuning", False), (nope, "temperature_tuning", True),
    ):  # fmt: skip
        with_it = Attention(TEXT, spec, 0)
        without = Attention(dataclasses.replace(TEXT, **{name: False}), spec, 0)
        without.load_state_dict(with_it.state_dict())
        assert torch.equal(with_it(x, rotation, placement), without(x, rotation, placement)) != matters


def test_nope_layers_do_not_turn():
    x, rotation, placement = layer_inputs(TEXT, 9)
    layer = Attention(TEXT, LayerSpec(uses_rope=False, chunk_size=None, is_moe=False), 0)
    still = torch.ones_like(rotation[0]), torch.zeros_like(rotation[1])
    assert torch.equal(layer(x, rotation, placement), layer(x, still, placement))


# The attention itself


def random_heads(num_queries, num_keys, batch=2, dtype=torch.float32):
    return (
        random_tensor(batch, 6, num_queries, 8, seed=1).to(dtype),
        random_tensor(batch, 2, num_keys, 8, seed=2).to(dtype),
        random_tensor(batch, 2, num_keys, 8, seed=3).to(dtype),
    )


@pytest.mark.parametrize("query_block", [3, 512])
@pytest.mark.parametrize("chunk_size", [None, CHUNK])
@pytest.mark.parametrize(("past", "num_tokens"), [
    (0, 1), (0, 7), (0, 8), (0, 9), (0, 25), (3, 1), (7, 1), (8, 1), (3, 5), (3, 6), (7, 2), (8, 8), (5, 20), (30, 13),
])  # fmt: skip
def test_attend_by_slots(monkeypatch, past, num_tokens, chunk_size, query_block):
    monkeypatch.setattr(attention, "QUERY_BLOCK", query_block)
    # A chunked cache hands over the slots since the chunk of the last pass began.
    num_keys = num_tokens + (past if chunk_size is None else past % chunk_size)
    query, key, value = random_heads(num_tokens, num_keys)
    end = past + num_tokens
    mask = allowed(range(past, end), range(end - num_keys, end), chunk_size).expand(2, -1, -1)
    exact = attend_by_the_book(query, key, value, mask)
    placement = place(num_tokens, past)
    torch.testing.assert_close(attend(query, key, value, placement, chunk_size).double(), exact, rtol=0, atol=2e-6)
    weights = attention_weights(query, key, placement, chunk_size)
    assert torch.equal(weights > 0, mask[:, None].expand(weights.shape))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 6, num_tokens))
    mixed = weights @ value.repeat_interleave(3, dim=1)
    torch.testing.assert_close(mixed.double(), exact, rtol=0, atol=2e-6)


@pytest.mark.parametrize("query_block", [3, 512])
@pytest.mark.parametrize("chunk_size", [None, CHUNK])
@pytest.mark.parametrize("num_tokens", [1, 2, 11])
def test_attend_by_positions(monkeypatch, num_tokens, chunk_size, query_block):
    """Rows in different phases of their chunks, padding on the left, in the middle and on the right, and a gap."""
    monkeypatch.setattr(attention, "QUERY_BLOCK", query_block)
    pad = PADDING
    positions = torch.tensor([
        list(range(19)),
        [pad] * 5 + list(range(14)),
        [0, 1, 2, pad, pad, 3, 4, 5, 6, pad, 7, 8, 9, 10, 11, 12, pad, pad, 13],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 30, 31, 32, 33, 34, 35, 36, 37, pad],
    ])  # fmt: skip
    query, key, value = random_heads(num_tokens, 19, batch=4)
    placement = Placement(positions[:, 19 - num_tokens :], positions, 19 - num_tokens)
    mask = torch.stack([allowed(row[19 - num_tokens :], row, chunk_size) for row in positions.tolist()])
    real = placement.query != PADDING
    for row, token in (~real).nonzero().tolist():
        mask[row, token, 19 - num_tokens + token] = True  # padding looks at itself, and nobody looks at what it gets
    result = attend(query, key, value, placement, chunk_size)
    exact = attend_by_the_book(query, key, value, mask)
    torch.testing.assert_close(result.double(), exact, rtol=0, atol=2e-6)
    weights = attention_weights(query, key, placement, chunk_size)
    assert torch.equal(weights > 0, mask[:, None].expand(weights.shape))


def test_query_heads_share_a_key_head():
    query, key, value = random_heads(5, 5)
    before = attend(query, key, value, place(5), None)
    value[:, 1] += 1.0
    changed = (attend(query, key, value, place(5), None) - before).abs().amax(dim=(0, 2, 3)) > 1e-3
    assert changed.tolist() == [False, False, False, True, True, True]


def test_long_prompts_hold_no_square_mask(monkeypatch):
    """No mask and no scores of T x S are ever asked for, neither by slots nor by positions."""
    sizes = []

    def measured(query, key, value, attn_mask=None, **settings):
        sizes.append((query.shape[2], key.shape[2], None if attn_mask is None else attn_mask.numel()))
        return original(query, key, value, attn_mask=attn_mask, **settings)

    original = attention.F.scaled_dot_product_attention
    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", measured)
    query, key, value = random_heads(2000, 2000, batch=1)
    attend(query, key, value, place(2000), None)
    assert sizes == [(2000, 2000, None)]  # causal by flag
    sizes.clear()
    attend(query, key, value, place(2000), 600)
    assert sizes == [(600, 600, None)] * 3 + [(200, 200, None)]  # each chunk on its own
    sizes.clear()
    attend(query[:, :, 1000:], key, value, place(1000, past=1000), None)
    assert sizes == [(512, 1512, 512 * 1512), (488, 2000, 488 * 2000)]
    sizes.clear()
    positions = torch.arange(-3, 1997).clamp(min=PADDING)[None]
    attend(query, key, value, Placement(positions, positions, 0), 600)
    assert max(mask for _, _, mask in sizes) <= 512 * 1112 and len(sizes) == 4  # the keys of two chunks at most


def test_settings_reach_the_layer():
    layer = Attention(TextConfig(num_layers=1, hidden_size=40, head_dim=6, num_query_heads=4, num_kv_heads=2),
                      LayerSpec(True, 8, False), 0)  # fmt: skip
    shapes = {name: list(weight.shape) for name, weight in layer.state_dict().items()}
    assert shapes == {
        "q_proj.weight": [24, 40],
        "k_proj.weight": [12, 40],
        "v_proj.weight": [12, 40],
        "o_proj.weight": [40, 24],
    }
