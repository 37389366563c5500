import dataclasses

import pytest
import torch
from transformers.models.llama4.modeling_llama4 import Llama4TextModel

from llama4_explained import RopeScaling
from llama4_explained.check.twins import in_float64
from llama4_explained.text_model import TextModel
from oracle import TEXT, assert_equals_hf, random_ids, text_pair

SCOUT_LIKE = {"moe_interval": 1, "experts_per_token": 1, "rope_scaling": RopeScaling(16.0, 1.0, 1.0, 16)}
MAVERICK_LIKE = {"moe_interval": 2, "experts_per_token": 1, "rope_scaling": None, "qk_norm": False}
PATTERNS = {
    "scout": SCOUT_LIKE,
    "maverick": MAVERICK_LIKE,
    "other pattern": {"rope_layers": (False, True, False, True), "moe_layers": (0, 3)},
    "all rope, no experts": {"nope_interval": 100, "moe_layers": ()},
    "no rope": {"nope_interval": 1},
    "one layer": {"num_layers": 1, "moe_interval": 1},
    "no chunks": {"chunk_size": None},
}


def states_of_hf(theirs, input_ids, **inputs):
    with torch.no_grad():
        states = theirs(input_ids, **inputs).last_hidden_state
        with in_float64(theirs):
            return states, theirs(input_ids, **inputs).last_hidden_state


@pytest.mark.parametrize("pattern", PATTERNS)
def test_equals_hf(pattern):
    ours, theirs = (model.model for model in text_pair(dataclasses.replace(TEXT, **PATTERNS[pattern])))
    assert isinstance(ours, TextModel) and isinstance(theirs, Llama4TextModel)
    ids = random_ids(3, 27)
    with torch.no_grad():
        assert_equals_hf(ours(ours.embed_tokens(ids)), *states_of_hf(theirs, ids))


def test_layers_do_what_the_plan_says():
    ours, _ = text_pair(dataclasses.replace(TEXT, **PATTERNS["other pattern"]))
    assert [layer.self_attn.spec for layer in ours.model.layers] == list(ours.config.layer_plan)
    assert [hasattr(layer.feed_forward, "router") for layer in ours.model.layers] == [True, False, False, True]


def test_padded_rows_equal_padded_hf_without_temperature():
    """HF's temperature counts the padding, so only without it may its padded rows be compared with ours."""
    ours, theirs = (model.model for model in text_pair(dataclasses.replace(TEXT, temperature_tuning=False)))
    ids, mask = random_ids(3, 21), torch.ones(3, 21, dtype=torch.long)
    mask[1, :3] = mask[2, :10] = 0
    real = mask.bool()
    expected, exact = states_of_hf(theirs, ids, attention_mask=mask)
    with torch.no_grad():
        states = ours(ours.embed_tokens(ids), attention_mask=mask)
    assert_equals_hf(states[real], expected[real], exact[real])


@pytest.mark.parametrize("left", [1, 7, 8, 9, 20])
def test_padded_rows_equal_hf_without_the_padding(left):
    ours, theirs = (model.model for model in text_pair())
    ids, mask = random_ids(2, 26), torch.ones(2, 26, dtype=torch.long)
    mask[1, :left] = 0
    with torch.no_grad():
        states = ours(ours.embed_tokens(ids), attention_mask=mask)
    assert_equals_hf(states[:1], *states_of_hf(theirs, ids[:1]))
    assert_equals_hf(states[1:, left:], *states_of_hf(theirs, ids[1:, left:]))
    assert states.isfinite().all()  # the padding's too


def test_hf_counts_the_padding():
    """Why padded HF is not the oracle: its own row changes when another, longer row comes along."""
    _, theirs = text_pair()
    ids, mask = random_ids(1, 26), torch.ones(1, 26, dtype=torch.long)
    mask[0, :9] = 0
    with torch.no_grad():
        padded = theirs(ids, attention_mask=mask).logits[:, 9:]
        assert (padded - theirs(ids[:, 9:]).logits).abs().max() > 0.01


def test_padding_content_does_not_matter():
    ours, _ = text_pair()
    ids, other, mask = random_ids(1, 20), random_ids(1, 20, seed=1), torch.ones(1, 20, dtype=torch.long)
    mask[0, :6] = mask[0, 12:14] = 0
    other = torch.where(mask.bool(), ids, other)
    with torch.no_grad():
        logits, others = (ours(x, attention_mask=mask)[mask.bool()] for x in (ids, other))
    torch.testing.assert_close(logits, others, rtol=0, atol=2e-5)  # experts multiply other groups, so rounding differs


def test_future_tokens_do_not_matter():
    ours, _ = text_pair()
    ids, other = random_ids(1, 20), random_ids(1, 20, seed=1)
    other[:, :13] = ids[:, :13]
    with torch.no_grad():
        torch.testing.assert_close(ours(ids)[:, :13], ours(other)[:, :13], rtol=0, atol=2e-5)
