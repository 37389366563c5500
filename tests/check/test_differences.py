"""HF's intermediate tensors under our names, and the first that differs when something is wrong."""

import pytest
import torch

from llama4_explained.check.differences import compare_runs, first_difference
from llama4_explained.check.hf_trace import hf_trace
from llama4_explained.check.mutants import MUTANTS
from tiny_checks import tiny


def test_every_tensor_of_both_runs_is_equal():
    setup = tiny()
    input_ids, pixel_values = setup.with_images()
    results = compare_runs(setup.ours, setup.theirs, input_ids, pixel_values)
    names = [result.name for result in results]
    ours = setup.ours.trace(input_ids, pixel_values=pixel_values)
    assert set(ours) - set(names) == {"layers.3.attention.temperature"}  # HF has no tensor of its own for it
    assert names == [name for name in ours if name in names]
    assert [result for result in results if not result.passed] == []
    assert first_difference(setup.ours, setup.theirs, input_ids, pixel_values) is None


def test_language_half_alone():
    setup = tiny()
    results = compare_runs(setup.ours.language_model, setup.theirs.language_model, setup.token_ids(2, 37))
    assert results[0].name == "embeddings" and results[-1].name == "logits"
    assert all(result.passed for result in results)


@pytest.mark.parametrize(
    ("mutant", "first"),
    [
        ("patches go column by column", "vision.patches"),
        ("vision RoPE takes y before x", "vision.layers.0.attention.weights"),
        ("GELU by the tanh formula", "vision.layers.0.output"),
        ("pixel shuffle puts tokens in columns", "vision.adapter.shuffled"),
        ("the adapter has no GELU at its end", "vision.image_tokens"),
        ("the projector sees normalised image tokens", "fusion.projected"),
        ("tiles enter the text in reverse order", "fusion.embeddings"),
        ("QK norm is missing", "layers.0.attention.query"),
        ("keys are not normalised", "layers.0.attention.key"),
        ("chunks are ignored", "layers.0.attention.weights"),
        ("query heads are dealt out to KV heads in turn", "layers.0.after_attention"),
        ("gate and up are swapped in the experts", "layers.0.moe.routed_output"),
        ("gate and up are swapped in the feed-forward", "layers.0.moe.shared_output"),
        ("the shared expert is missing", "layers.0.output"),
        ("temperature is missing", "layers.3.attention.query"),
        ("RoPE on every layer", "layers.3.attention.query"),
        ("the last norm is missing", "hidden_states"),
    ],
)
def test_finds_the_place(mutant, first):
    setup = tiny()
    inputs = setup.with_images()
    with MUTANTS[mutant].applied_to(setup.ours):
        found = first_difference(setup.ours, setup.theirs, *inputs)
    assert found is not None and found.name == first


def test_hf_trace_leaves_nothing_behind():
    setup = tiny()
    with torch.no_grad(), hf_trace(setup.theirs):
        setup.theirs(input_ids=setup.token_ids(1, 5), use_cache=False)
    for module in setup.theirs.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
