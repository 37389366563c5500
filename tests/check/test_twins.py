"""Twins hold the same tensors, and HF can be run in another precision without a trace of it afterwards."""

import dataclasses

import pytest
import torch

from llama4_explained import Llama4Text, TextConfig, kv_cache
from llama4_explained.check.hf_versions import CACHE_NAME, with_cache
from llama4_explained.check.routing import pinned_decisions, recorded_decisions
from llama4_explained.check.setups import random_config, scout_slice_config, tiny_config
from llama4_explained.check.twins import double, hf_config, hf_twin, in_float64, pair, widened
from llama4_explained.presets import SCOUT
from tiny_checks import tiny

TEXT = tiny_config().text
IDS = torch.arange(40)[None]


@pytest.mark.parametrize("config", [tiny_config(), TEXT, dataclasses.replace(TEXT, tie_embeddings=True)])
def test_a_pair_shares_its_tensors(config):
    ours, theirs = pair(config)
    weights = theirs.state_dict()
    assert ours.state_dict().keys() == weights.keys()
    assert all(tensor.data_ptr() == weights[name].data_ptr() for name, tensor in ours.state_dict().items())
    assert not ours.training and not theirs.training


def test_tied_embeddings_are_one_parameter():
    for model in pair(dataclasses.replace(TEXT, tie_embeddings=True)):
        assert model.lm_head.weight is model.model.embed_tokens.weight


def test_weights_show_mechanisms():
    """No mechanism is switched off by zeros, ones or equal numbers."""
    for name, parameter in hf_twin(tiny_config()).named_parameters():
        assert parameter.std() > 0.05, name
        if "norm" in name and name.endswith("weight"):
            assert abs(parameter.mean() - 1) < 0.1


def test_the_same_seed_gives_the_same_weights():
    a, b, other = hf_twin(TEXT, seed=1), hf_twin(TEXT, seed=1), hf_twin(TEXT, seed=2)
    assert torch.equal(a.lm_head.weight, b.lm_head.weight)
    assert not torch.equal(a.lm_head.weight, other.lm_head.weight)


def test_attention_is_eager_in_both_halves():
    theirs = hf_twin(tiny_config())
    for half in (theirs.vision_model.config, theirs.language_model.config):
        assert half._attn_implementation == "eager"


def test_no_chunks_are_one_long_chunk():
    assert hf_config(dataclasses.replace(TEXT, chunk_size=None)).attention_chunk_size == TEXT.max_positions
    ours, theirs = pair(dataclasses.replace(TEXT, chunk_size=None))
    with torch.no_grad():
        torch.testing.assert_close(ours(IDS), theirs(input_ids=IDS).logits, atol=1e-4, rtol=0)


def test_scout_needs_no_warning(caplog):
    hf_config(SCOUT)
    assert caplog.records == []


def test_float64_in_place_and_as_a_copy_agree():
    _, theirs = pair(TEXT)
    before = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    with in_float64(theirs):
        in_place = theirs(input_ids=IDS).logits
    with torch.no_grad():
        copy = double(theirs)(input_ids=IDS).logits
        narrow = theirs(input_ids=IDS).logits
    assert in_place.dtype == copy.dtype == torch.float64 and narrow.dtype == torch.float32
    torch.testing.assert_close(in_place, copy, atol=1e-12, rtol=0)
    assert 0 < (narrow - copy).abs().max() < 1e-4
    for name, tensor in theirs.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, before[name])


def test_float64_reaches_into_norms_and_rotations():
    """HF computes them in float32 whatever the weights are; then their own rounding would never be seen."""
    theirs = tiny().theirs
    x = tiny().normal(3, TEXT.hidden_size).double()
    norm = theirs.language_model.model.norm
    with in_float64(theirs):
        found = norm(x)
    exact = x * (x.pow(2).mean(-1, keepdim=True) + norm.eps).rsqrt() * norm.weight.detach().double()
    torch.testing.assert_close(found, exact, atol=1e-14, rtol=1e-14)


def test_precision_comes_back_after_an_error():
    _, theirs = pair(TEXT)
    with pytest.raises(IndexError), in_float64(theirs):
        theirs(input_ids=IDS + TEXT.vocab_size)
    assert {parameter.dtype for parameter in theirs.parameters()} == {torch.float32}
    assert torch.ones(1).float().dtype == torch.float32


def test_double_gives_gradients_and_keeps_the_original():
    _, theirs = pair(tiny_config())
    copy = double(theirs)
    copy(input_ids=IDS, labels=IDS).loss.backward()
    assert copy.language_model.lm_head.weight.grad.dtype == torch.float64
    assert theirs.language_model.lm_head.weight.grad is None
    assert theirs.language_model.lm_head.weight.dtype == torch.float32
    assert copy.vision_model.rotary_embedding.freqs_ci.is_complex()


def test_bfloat16_rounds_weights_and_spares_rope_tables():
    theirs = hf_twin(tiny_config(), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in theirs.parameters()} == {torch.bfloat16}
    assert theirs.language_model.model.rotary_emb.inv_freq.dtype == torch.float32
    assert theirs.vision_model.rotary_embedding.freqs_ci.is_complex()
    with widened(theirs, torch.float32):
        assert theirs(input_ids=IDS).logits.dtype == torch.float32


def test_decisions_can_be_recorded_and_pinned():
    setup = tiny()
    ids = setup.token_ids(1, 20)
    with torch.no_grad(), recorded_decisions(setup.theirs) as decisions:
        expected = setup.theirs(input_ids=ids, use_cache=False).logits
    assert [index.shape for index in decisions] == [(20, 1)] * 4
    others = [(index + 1) % setup.text.num_experts for index in decisions]
    for model, inputs in ((setup.ours, {}), (setup.theirs, {"use_cache": False})):
        with torch.no_grad():
            with pinned_decisions(model, decisions):
                same = model(input_ids=ids, **inputs)
            with pinned_decisions(model, others):
                different = model(input_ids=ids, **inputs)
        same, different = (getattr(output, "logits", output) for output in (same, different))
        torch.testing.assert_close(same, expected, atol=1e-4, rtol=0)
        assert (different - expected).abs().max() > 0.1


def test_scout_slice_has_scouts_widths():
    ours, scout = scout_slice_config(), SCOUT
    for name in ("hidden_size", "num_query_heads", "num_kv_heads", "head_dim", "expert_width", "rope_theta", "qk_norm"):
        assert getattr(ours.text, name) == getattr(scout.text, name)
    assert dataclasses.replace(ours.vision, num_layers=scout.vision.num_layers) == scout.vision
    assert [spec.uses_rope for spec in ours.text.layer_plan] == [True, True, True, False]
    with torch.device("meta"):
        model = Llama4Text(ours.text)
    assert 4 * sum(parameter.numel() for parameter in model.parameters()) < 11.5e9  # bytes, in float32


def test_random_configs_differ_and_repeat():
    configs = [random_config(seed) for seed in range(50)]
    assert len(set(configs)) == 50 and configs[7] == random_config(7)
    chunks = {config.text.chunk_size for config in configs}
    assert None in chunks and 1 not in chunks


def test_hf_cache_with_chunks_of_one_token_disagrees_with_hf_itself():
    """Why `random_config` leaves them out; our cache is right there. Should this fail, HF has mended it."""
    config = TextConfig(**(vars(TEXT) | {"chunk_size": 1}))
    ours, theirs = pair(config)
    ids = IDS[:, :6]
    with torch.no_grad():
        whole = theirs(input_ids=ids).logits
        cached, past = [], None
        for i in range(6):
            step = theirs(input_ids=ids[:, i : i + 1], use_cache=True, **with_cache(past))
            cached.append(step.logits)
            past = step[CACHE_NAME]
        cache = kv_cache.KVCache(config)
        our_steps = torch.cat([ours(ids[:, i : i + 1], cache=cache) for i in range(6)], dim=1)
    assert (torch.cat(cached, dim=1) - whole).abs().max() > 0.1
    torch.testing.assert_close(our_steps, whole, atol=1e-4, rtol=0)
