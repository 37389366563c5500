import dataclasses

import pytest
import torch
from torch import nn

from llama4_explained import KVCache, Trace
from llama4_explained.trace import record, scope_name
from oracle import TEXT, VISION, WHOLE, random_ids, random_tensor, text_pair, whole_pair

PATCHES = torch.tensor([[5, *[WHOLE.patch_id] * VISION.tokens_per_tile, 6]])
ROPE = ["query", "key", "value", "weights"]
NOPE = ["temperature", *ROPE]
MOE = ["moe.router_logits", "moe.expert_index", "moe.router_score", "moe.routed_output", "moe.shared_output"]


def layer_names(number, attention, feed_forward):
    names = [*(f"attention.{name}" for name in attention), "after_attention", *feed_forward, "output"]
    return [f"layers.{number}.{name}" for name in names]


TEXT_NAMES = [
    *layer_names(0, ROPE, []), *layer_names(1, ROPE, MOE), *layer_names(2, ROPE, []), *layer_names(3, NOPE, MOE),
    "hidden_states", "logits",
]  # fmt: skip
VISION_NAMES = [
    "vision.patches",
    "vision.layers.0.attention.weights", "vision.layers.0.output",
    "vision.layers.1.attention.weights", "vision.layers.1.output",
    "vision.encoded", "vision.adapter.shuffled", "vision.image_tokens",
]  # fmt: skip


def test_names_in_order():
    ours, _ = whole_pair()
    trace = ours.trace(PATCHES, pixel_values=random_tensor(1, 3, 24, 24))
    assert list(trace) == ["embeddings", *VISION_NAMES, "fusion.projected", "fusion.embeddings", *TEXT_NAMES]
    assert len(trace) == len(list(trace))


def test_text_alone_has_the_same_names():
    ours, _ = text_pair()
    assert list(ours.trace(random_ids(1, 5))) == ["embeddings", *TEXT_NAMES]


def test_shapes():
    ours, _ = whole_pair()
    trace = ours.trace(torch.cat([PATCHES, PATCHES]), pixel_values=random_tensor(2, 3, 24, 24))
    expected = {
        "embeddings": (2, 11, 48), "vision.patches": (2, 36, 32), "vision.layers.1.attention.weights": (2, 2, 37, 37),
        "vision.encoded": (2, 37, 32), "vision.adapter.shuffled": (2, 9, 128), "vision.image_tokens": (2, 9, 20),
        "fusion.projected": (2, 9, 48), "fusion.embeddings": (2, 11, 48),
        "layers.0.attention.query": (2, 6, 11, 12), "layers.0.attention.key": (2, 2, 11, 12),
        "layers.3.attention.weights": (2, 6, 11, 11), "layers.3.attention.temperature": (1, 11, 1, 1),
        "layers.1.moe.router_logits": (22, 5), "layers.1.moe.expert_index": (22, 2),
        "layers.1.moe.router_score": (22, 2), "layers.1.moe.routed_output": (22, 48),
        "layers.3.output": (2, 11, 48), "hidden_states": (2, 11, 48), "logits": (2, 11, 96),
    }  # fmt: skip
    assert {name: tuple(trace[name].shape) for name in expected} == expected


def test_values():
    """What a trace shows is what was computed: each from the ones before it."""
    ours, _ = text_pair()
    ids = random_ids(2, 11)
    trace = ours.trace(ids)
    with torch.no_grad():
        assert torch.equal(trace["logits"], ours(ids))
        assert torch.equal(trace["embeddings"], ours.model.embed_tokens(ids))
        assert torch.equal(trace["logits"], ours.lm_head(trace["hidden_states"]))
        assert torch.equal(trace["hidden_states"], ours.model.norm(trace["layers.3.output"]))
        attention = ours.model.layers[1].self_attn
        mixed = trace["layers.1.attention.weights"] @ trace["layers.1.attention.value"].repeat_interleave(3, dim=1)
        after = trace["layers.0.output"] + attention.o_proj(mixed.transpose(1, 2).flatten(-2))
    torch.testing.assert_close(trace["layers.1.after_attention"], after, rtol=0, atol=1e-5)
    moe = trace["layers.1.moe.routed_output"] + trace["layers.1.moe.shared_output"]
    torch.testing.assert_close(after + moe.view_as(after), trace["layers.1.output"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("logits",), ["logits"]),
        (("layers.*.moe.expert_index",), ["layers.1.moe.expert_index", "layers.3.moe.expert_index"]),
        (("layers.[02].output", "logits"), ["layers.0.output", "layers.2.output", "logits"]),
        (("layers.?.attention.w*",), [f"layers.{i}.attention.weights" for i in range(4)]),
        (("moe*",), []),
        ((), []),
    ],
    ids=str,
)
def test_patterns(patterns, expected):
    assert list(text_pair()[0].trace(random_ids(1, 5), names=patterns)) == expected


def test_costly_tensors_are_computed_only_if_asked_for(monkeypatch):
    computed = []
    from llama4_explained import attention

    weights = attention.attention_weights
    monkeypatch.setattr(attention, "attention_weights", lambda *inputs: computed.append(1) or weights(*inputs))
    ours, _ = text_pair()
    with torch.no_grad():
        ours(random_ids(1, 5))
    ours.trace(random_ids(1, 5), names=("logits", "layers.*.query"))
    assert computed == []
    ours.trace(random_ids(1, 5), names=("layers.2.*",))
    assert computed == [1]


def test_no_effect_on_outputs_and_nothing_left_behind():
    ours, _ = whole_pair()
    pixel_values = random_tensor(1, 3, 24, 24)
    with torch.no_grad():
        before = ours(PATCHES, pixel_values)
        with Trace.of(ours) as trace:
            during = ours(PATCHES, pixel_values)
        after = ours(PATCHES, pixel_values)
    assert torch.equal(before, during) and torch.equal(before, after)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ours.modules())
    size = len(trace)
    record("afterwards", torch.zeros(1))
    assert len(trace) == size


def test_without_a_trace_nothing_is_called():
    record("costly", lambda: pytest.fail("computed for nobody"))


def test_tensors_are_detached_and_not_copied():
    ours, _ = text_pair()
    with Trace.of(ours, ("logits",)) as trace:
        logits = ours(random_ids(1, 5))
    assert logits.requires_grad and not trace["logits"].requires_grad
    assert trace["logits"].data_ptr() == logits.data_ptr()
    logits.sum().backward()
    ours.zero_grad()


def test_the_last_recording_stays():
    ours, _ = text_pair()
    cache = KVCache(TEXT)
    with torch.no_grad(), Trace.of(ours, ("logits", "*.key", "*.weights")) as trace:
        ours(random_ids(1, 12), cache=cache)
        last = ours(random_ids(1, 1), cache=cache)
    assert torch.equal(trace["logits"], last) and trace["layers.3.attention.key"].shape == (1, 2, 1, 12)
    assert trace["layers.0.attention.weights"].shape == (1, 6, 1, 5)  # the chunk's tokens 8 to 12
    assert trace["layers.3.attention.weights"].shape == (1, 6, 1, 13)


def test_a_failing_run_leaves_nothing_behind(monkeypatch):
    ours, _ = text_pair()
    with pytest.raises(ValueError, match="outside the vocabulary"), Trace.of(ours) as trace:
        ours(torch.tensor([[100]]))
    assert list(trace) == []
    with Trace.of(ours, ("*",)) as trace, torch.no_grad():
        with pytest.raises(ValueError, match="attention_mask"):
            ours(random_ids(1, 5), attention_mask=torch.ones(1, 4))
        ours(random_ids(1, 5))  # names are right after a failure, too
    assert list(trace) == ["embeddings", *TEXT_NAMES]
    with Trace.of(ours, ("*",)) as trace, torch.no_grad():
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(ours.model.layers[0].self_attn.q_proj, "forward", lambda x: 1 / 0)
            ours(random_ids(1, 5))
        record("here", torch.zeros(1))  # outside of every module
    assert list(trace) == ["embeddings", "here"]
    assert not any(module._forward_hooks for module in ours.modules())


def test_traces_inside_traces():
    ours, _ = text_pair()
    ids = random_ids(1, 5)
    with torch.no_grad(), Trace.of(ours, ("logits",)) as outer:
        first = ours(ids)
        with Trace.of(ours, ("hidden_states",)) as inner:
            ours(random_ids(1, 5, seed=1))
        assert list(inner) == ["hidden_states"] and torch.equal(outer["logits"], first)
        last = ours(random_ids(1, 5, seed=2))
    assert torch.equal(outer["logits"], last) and list(outer) == ["logits"]


def test_one_part_alone():
    ours, _ = text_pair()
    layer = ours.model.layers[1]
    with torch.no_grad(), Trace.of(layer.feed_forward) as trace:
        layer.feed_forward(random_tensor(1, 5, 48))
    assert list(trace) == ["router_logits", "expert_index", "router_score", "routed_output", "shared_output"]


def test_generated_tokens_are_traced():
    ours, _ = whole_pair()
    with Trace.of(ours, ("logits", "*.router_logits", "fusion.*")) as trace:
        ours.generate(PATCHES, pixel_values=random_tensor(1, 3, 24, 24), max_new_tokens=3, stop_ids=())
    assert list(trace) == [
        "fusion.projected", "fusion.embeddings", "layers.1.moe.router_logits", "layers.3.moe.router_logits", "logits"
    ]  # fmt: skip
    assert trace["logits"].shape == (1, 1, 96)


def test_unknown_names_are_answered_with_the_known_ones():
    trace = text_pair()[0].trace(random_ids(1, 2), names=("logits", "hidden*"))
    with pytest.raises(KeyError, match="no tensor 'logit' in this trace; its names: hidden_states, logits"):
        trace["logit"]
    assert "logits" in trace and "logit" not in trace and trace.get("logit") is None


def test_printed_form():
    trace = text_pair()[0].trace(random_ids(1, 2), names=("logits", "layers.1.moe.expert_index"))
    assert repr(trace) == (
        "Trace of 2 tensors\n  layers.1.moe.expert_index: [2, 2] int64\n  logits: [1, 2, 96] float32"
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", ""),
        ("language_model.model.layers.3.feed_forward.router", "layers.3.moe"),
        ("model.layers.3.feed_forward.shared_expert", "layers.3.moe.shared_expert"),
        ("model.layers.2.feed_forward", "layers.2.feed_forward"),
        ("model.layers.2.self_attn.q_proj", "layers.2.attention.q_proj"),
        ("vision_model.model.layers.0.self_attn", "vision.layers.0.attention"),
        ("vision_model.vision_adapter.mlp", "vision.adapter.mlp"),
        ("multi_modal_projector", "fusion"),
    ],
)
def test_scope_names(path, name):
    moe_paths = {"language_model.model.layers.3.feed_forward", "model.layers.3.feed_forward"}
    assert scope_name(path, moe_paths) == name


def test_dense_layers_are_called_feed_forward():
    class Recording(nn.Module):
        def forward(self, x):
            record("seen", x)
            return x

    ours, _ = text_pair(dataclasses.replace(TEXT, num_layers=2))
    original = ours.model.layers[0].feed_forward
    try:
        ours.model.layers[0].feed_forward = Recording()
        assert "layers.0.feed_forward.seen" in ours.trace(random_ids(1, 3))
    finally:
        ours.model.layers[0].feed_forward = original
