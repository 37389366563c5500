import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

from llama4_explained import Trace
from llama4_explained.block import DecoderLayer
from llama4_explained.check.twins import in_float64
from llama4_explained.moe import Experts, MixtureOfExperts, Router
from oracle import TEXT, assert_equals_hf, assert_same_function, random_tensor, text_pair


def moe_pair(dtype=torch.float32, **changes):
    """Ours and HF's mixture, of the first layer that has one."""
    ours, theirs = (
        model.model.layers[1].feed_forward for model in text_pair(dataclasses.replace(TEXT, **changes), dtype=dtype)
    )
    assert isinstance(ours, MixtureOfExperts) and isinstance(theirs, Llama4TextMoe)
    return ours, theirs


def sigmoid(x):
    return torch.tensor(float(x)).sigmoid().item()


def silu(x):
    return x * sigmoid(x)


# By hand


def test_router_by_hand():
    router = Router(hidden_size=2, num_experts=3, experts_per_token=2)
    router.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    expert_index, score = router(torch.tensor([[2.0, 1.0], [-3.0, 1.0], [-1.0, -2.0]]))
    # Logits (2, 1, -3), (-3, 1, 2) and (-1, -2, 3): the two largest, largest first.
    assert expert_index.tolist() == [[0, 1], [2, 1], [2, 0]]
    expected = [[sigmoid(2), sigmoid(1)], [sigmoid(2), sigmoid(1)], [sigmoid(3), sigmoid(-1)]]
    assert score.tolist() == [pytest.approx(row) for row in expected]


def hand_made_experts():
    """Two experts of width 1. Expert 0 gives silu(x0) * x1 to channel 0; expert 1 10 silu(x1) * x0 to channel 1."""
    experts = Experts(num_experts=2, hidden_size=2, width=1)
    experts.gate_up_proj.data = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    experts.down_proj.data = torch.tensor([[[1.0, 0.0]], [[0.0, 10.0]]])
    return experts


def test_a_hand_made_route():
    tokens = torch.tensor([[2.0, 3.0], [5.0, 1.0], [-1.0, 4.0]])
    expert_index = torch.tensor([[1], [0], [1]])
    score = torch.tensor([[0.5], [1.0], [0.25]])
    # The score scales what an expert is given: token 0 arrives at expert 1 as (1, 1.5).
    expected = [[0.0, 10 * silu(1.5) * 1.0], [silu(5.0) * 1.0, 0.0], [0.0, 10 * silu(1.0) * -0.25]]
    output = hand_made_experts()(tokens, expert_index, score)
    assert output.tolist() == [pytest.approx(row) for row in expected]


def test_a_token_with_two_experts_gets_their_sum():
    tokens = torch.tensor([[2.0, 3.0]])
    output = hand_made_experts()(tokens, torch.tensor([[1, 0]]), torch.tensor([[0.5, 1.0]]))
    assert output.tolist() == [pytest.approx([silu(2.0) * 3.0, 10 * silu(1.5) * 1.0])]


# Against HF's


@pytest.mark.parametrize("experts_per_token", [1, 2, 3, 4])
def test_equals_hf(experts_per_token):
    ours, theirs = moe_pair(experts_per_token=experts_per_token)
    x = random_tensor(2, 40, 48)
    expert_index, _ = ours.router(x.flatten(0, 1))
    assert expert_index.unique().tolist() == [0, 1, 2, 3, 4]  # every expert has work
    assert_same_function(lambda x: ours(x).flatten(0, 1), theirs, x)


@pytest.mark.parametrize("num_tokens", [1, 2, 3])
def test_few_tokens_leave_experts_idle(num_tokens):
    ours, theirs = moe_pair()
    assert_same_function(lambda x: ours(x).flatten(0, 1), theirs, random_tensor(1, num_tokens, 48, seed=3))


def test_all_tokens_at_one_expert():
    ours, theirs = moe_pair(experts_per_token=1)
    assert_same_function(lambda x: ours(x).flatten(0, 1), theirs, random_tensor(1, 1, 48).expand(1, 30, -1))


def test_square_experts_are_not_transposed():
    """With 2F = D a wrong layout would go unnoticed by its shape: [E, in, out], and the gate's columns first."""
    ours, theirs = moe_pair(expert_width=24)
    assert ours.experts.gate_up_proj.shape == (5, 48, 48)
    assert_same_function(lambda x: ours(x).flatten(0, 1), theirs, random_tensor(2, 9, 48))


def test_layout():
    shapes = {name: list(weight.shape) for name, weight in MixtureOfExperts(TEXT).state_dict().items()}
    assert shapes == {
        "router.weight": [5, 48],
        "experts.gate_up_proj": [5, 48, 40], "experts.down_proj": [5, 20, 48],
        "shared_expert.gate_proj.weight": [20, 48], "shared_expert.up_proj.weight": [20, 48],
        "shared_expert.down_proj.weight": [48, 20],
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_decisions_equal_hfs_and_scores_to_the_last_digit(dtype):
    """HF takes the sigmoid of a longer tensor, and PyTorch's vectors round otherwise than the rest of a tensor."""
    ours, theirs = moe_pair(dtype)
    tokens = random_tensor(200, 48).to(dtype)
    expert_index, score = ours.router(tokens)
    scores, _ = theirs.router(tokens)
    assert torch.equal(torch.zeros_like(scores).bool().scatter(1, expert_index, True), scores > 0)
    torch.testing.assert_close(score, scores.gather(1, expert_index), rtol=torch.finfo(dtype).eps, atol=0)
    assert score.dtype == dtype


def test_bfloat16_is_as_good_as_hf():
    ours, theirs = moe_pair(torch.bfloat16, experts_per_token=1)
    x = random_tensor(2, 40, 48).bfloat16()
    expert_index, _ = ours.router(x.flatten(0, 1))
    expected = theirs(x)[0]
    with in_float64(theirs):
        logits = theirs.router(x.flatten(0, 1).double())[1]
        same_route = logits.argmax(-1) == expert_index[:, 0]
        exact = theirs(x.double())[0]
    assert same_route.float().mean() > 0.9  # near ties may fall otherwise without rounding
    ours_error, their_error = ((y - exact)[same_route].abs().max() for y in (ours(x).flatten(0, 1), expected))
    assert ours_error <= 1.5 * their_error


def test_gradients_equal_hf():
    ours, theirs = moe_pair(experts_per_token=2)
    x, direction = random_tensor(2, 20, 48), random_tensor(40, 48, seed=1)

    def gradients(model, x, direction):
        model.zero_grad()
        x = x.clone().requires_grad_()
        output = model(x)
        output = output[0] if isinstance(output, tuple) else output
        (output.reshape(direction.shape) * direction).sum().backward()
        found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        model.zero_grad()
        return {**found, "x": x.grad}

    expected = gradients(theirs, x, direction)
    theirs.double()
    exact = gradients(theirs, x.double(), direction.double())
    theirs.float()
    result = gradients(ours, x, direction)
    assert result.keys() == expected.keys() and "router.weight" in result
    for name, gradient in result.items():
        assert_equals_hf(gradient, expected[name], exact[name])


# What sets it apart


def test_the_score_scales_the_input():
    ours, _ = moe_pair(experts_per_token=1)
    tokens = random_tensor(30, 48)
    expert_index, score = ours.router(tokens)
    scaled_output = ours.experts(tokens, expert_index, torch.ones_like(score)) * score
    assert (ours.experts(tokens, expert_index, score) - scaled_output).abs().max() > 0.05


def test_the_shared_expert_sees_every_token_unscaled():
    ours, _ = moe_pair()
    x = random_tensor(2, 9, 48)
    tokens = x.flatten(0, 1)
    routed = ours.experts(tokens, *ours.router(tokens))
    torch.testing.assert_close(ours(x).flatten(0, 1) - routed, ours.shared_expert(tokens), rtol=0, atol=1e-5)


def test_only_chosen_experts_run(monkeypatch):
    ours, _ = moe_pair(experts_per_token=1)
    asked = []
    weights = ours.experts.weights
    monkeypatch.setattr(ours.experts, "weights", lambda experts: asked.append(experts) or weights(experts))
    for expert in range(5):
        ours.experts(random_tensor(3, 48), torch.full((3, 1), expert), torch.ones(3, 1))
    ours.experts(random_tensor(4, 48), torch.tensor([[4], [1], [4], [1]]), torch.ones(4, 1))
    assert asked == [[0], [1], [2], [3], [4], [1, 4]]


def work(config, num_tokens):
    torch.manual_seed(0)
    moe = MixtureOfExperts(config)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        moe(random_tensor(1, num_tokens, config.hidden_size))
    return counter.get_total_flops()


@pytest.mark.parametrize("experts_per_token", [1, 2])
def test_work_grows_with_tokens_not_with_experts(experts_per_token):
    for num_experts in (2, 8, 64):
        config = dataclasses.replace(TEXT, num_experts=num_experts, experts_per_token=experts_per_token)
        for num_tokens in (5, 100):
            one_feed_forward = 3 * 2 * 48 * 20 * num_tokens
            router = 2 * 48 * num_experts * num_tokens
            assert work(config, num_tokens) == (1 + experts_per_token) * one_feed_forward + router


def test_a_mixture_alone_starts_with_finite_weights():
    """It can be built into another model, where nobody calls `init_weights`."""
    torch.use_deterministic_algorithms(True)  # fills fresh memory with NaN
    try:
        moe = MixtureOfExperts(TEXT)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(weight.isfinite().all() and weight.std() > 0 for weight in moe.parameters())
    assert moe(random_tensor(1, 9, 48)).isfinite().all()


def test_what_a_trace_shows():
    layer = DecoderLayer(TEXT, TEXT.layer_plan[1], 1)
    x = random_tensor(2, 9, 48)
    with Trace.of(layer) as trace:
        output = layer.feed_forward(x)
    assert list(trace) == [f"moe.{name}" for name in (
        "router_logits", "expert_index", "router_score", "routed_output", "shared_output")]  # fmt: skip
    logits, index, score = trace["moe.router_logits"], trace["moe.expert_index"], trace["moe.router_score"]
    assert torch.equal(logits.gather(1, index).sigmoid(), score) and torch.equal(logits.topk(2).indices, index)
    assert torch.equal((trace["moe.routed_output"] + trace["moe.shared_output"]).view_as(output), output)
