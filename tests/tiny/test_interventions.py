import dataclasses
import re

import pytest
import torch
from torch import nn

from llama4_explained import TINY, Llama4, UserError
from llama4_explained.tiny.interventions import (
    expert_off,
    hooked,
    mixtures,
    rotated,
    routed_off,
    shared_off,
    untrained_routers,
    untrained_weights,
)
from oracle import random_tensor

NUM_EXPERTS = 4
X = random_tensor(2, 30, 128)
TOKENS = X.flatten(0, 1)


def small_model(experts_per_token: int = 1, **changes) -> Llama4:
    text = dataclasses.replace(
        TINY.text, num_layers=2, num_experts=NUM_EXPERTS, experts_per_token=experts_per_token, **changes
    )
    model = Llama4(dataclasses.replace(TINY, text=text, vision=dataclasses.replace(TINY.vision, num_layers=1)))
    model.init_weights(std=0.1, seed=0)
    return model.requires_grad_(False)


@pytest.fixture(scope="module", params=[1, 2], ids=["one expert a token", "two"])
def model(request):
    return small_model(request.param)


def outputs(model: Llama4) -> list[torch.Tensor]:
    """What each layer's mixture makes of the same tokens, [2 * 30, D]."""
    return [mixture(X).flatten(0, 1) for mixture in mixtures(model).values()]


def routes(model: Llama4, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    expert_index, score = mixtures(model)[layer].router(TOKENS)
    assert expert_index.unique().tolist() == list(range(NUM_EXPERTS))
    return expert_index, score


def test_routed_off_leaves_the_shared_expert(model):
    with routed_off(model):
        for mixture, output in zip(mixtures(model).values(), outputs(model), strict=True):
            assert torch.equal(output, mixture.shared_expert(TOKENS))


def test_shared_off_leaves_the_routed_experts(model):
    expected = [mixture.experts(TOKENS, *mixture.router(TOKENS)) for mixture in mixtures(model).values()]
    with shared_off(model):
        assert all(torch.equal(output, routed) for output, routed in zip(outputs(model), expected, strict=True))


@pytest.mark.parametrize("shift", [1, 3])
def test_rotated_is_the_next_expert_with_the_same_score(model, shift):
    for layer, mixture in mixtures(model).items():
        expert_index, score = routes(model, layer)
        routed = mixture.experts(TOKENS, (expert_index + shift) % NUM_EXPERTS, score)
        expected = mixture.shared_expert(TOKENS) + routed
        assert (expected - outputs(model)[layer]).abs().max() > 0.1
        with rotated(model, shift):
            assert torch.equal(outputs(model)[layer], expected)


def test_rotated_all_the_way_round_is_nothing(model):
    before = outputs(model)
    with rotated(model, NUM_EXPERTS):
        assert all(torch.equal(output, other) for output, other in zip(outputs(model), before, strict=True))


@pytest.mark.parametrize("expert", range(NUM_EXPERTS))
def test_one_expert_off_is_noticed_by_its_tokens_alone(model, expert):
    for layer, mixture in mixtures(model).items():
        before = outputs(model)[layer]
        expert_index, score = routes(model, layer)
        is_its = (expert_index == expert).any(1)
        # What remains: the shared expert, and of a token's two experts the other one.
        others = torch.where(expert_index == expert, 0.0, score)
        expected = mixture.shared_expert(TOKENS) + mixture.experts(TOKENS, expert_index, others)
        with expert_off(model, expert):
            output = outputs(model)[layer]
        assert torch.equal(output, expected)
        assert torch.equal(output[~is_its], before[~is_its])
        assert (output[is_its] != before[is_its]).any(1).all()
        if expert_index.shape[1] == 1:
            assert torch.equal(output[is_its], mixture.shared_expert(TOKENS)[is_its])


def test_untrained_routers(model):
    before = {layer: mixture.router.weight.clone() for layer, mixture in mixtures(model).items()}
    places = [mixture.router.weight.data_ptr() for mixture in mixtures(model).values()]
    fresh = untrained_weights(model, seed=1)
    with untrained_routers(model, seed=1):
        for layer, mixture in mixtures(model).items():
            assert torch.equal(mixture.router.weight, fresh[layer])
            assert (fresh[layer] - before[layer]).abs().max() > 0.1
            assert fresh[layer].std() == pytest.approx(float(before[layer].std()), rel=0.1)
            assert abs(float(fresh[layer].mean())) < 0.02
    for layer, mixture in mixtures(model).items():
        assert torch.equal(mixture.router.weight, before[layer])
    assert [mixture.router.weight.data_ptr() for mixture in mixtures(model).values()] == places
    assert not torch.equal(fresh[0], fresh[1]) and not torch.equal(fresh[0], untrained_weights(model, seed=2)[0])


CHANGES = {
    "routed off": lambda model, **layers: routed_off(model, **layers),
    "shared off": lambda model, **layers: shared_off(model, **layers),
    "rotated": lambda model, **layers: rotated(model, 1, **layers),
    "one expert off": lambda model, **layers: expert_off(model, 2, **layers),
    "untrained": lambda model, **layers: untrained_routers(model, 0, **layers),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_end_with_their_block_even_after_an_error(model, name):
    before = outputs(model)
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    with pytest.raises(ZeroDivisionError), CHANGES[name](model):
        assert all((output != other).any() for output, other in zip(outputs(model), before, strict=True))
        raise ZeroDivisionError
    assert all(torch.equal(output, other) for output, other in zip(outputs(model), before, strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(weight, weights[name]) for name, weight in model.named_parameters())


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("layer", [0, 1])
def test_changes_of_one_layer(model, name, layer):
    before = outputs(model)
    with CHANGES[name](model, layers=[layer]):
        after = outputs(model)
    assert torch.equal(after[1 - layer], before[1 - layer]) and not torch.equal(after[layer], before[layer])


def test_compiled_modules_notice_too():
    """As they stand, they look for hooks only while they are compiled."""
    inner = nn.Linear(4, 4)
    outer = nn.Sequential(inner)
    outer.compile(backend="eager")
    x = torch.ones(1, 4)
    before = outer(x)
    with hooked([inner], lambda module, inputs, output: torch.zeros_like(output)):
        assert outer(x).abs().max() == 0
    assert torch.equal(outer(x), before)


def test_mistakes_are_one_line():
    model = small_model(moe_interval=2)
    assert list(mixtures(model)) == [1]
    mistakes = [
        (lambda: mixtures(model, [0]), "layer 0 has no experts; those that have: 1"),
        (lambda: routed_off(model, [7]).__enter__(), "layer 7 has no experts; those that have: 1"),
        (lambda: expert_off(model, 4), "experts are 0 to 3, got 4"),
        (lambda: expert_off(model, -1), "experts are 0 to 3, got -1"),
    ]
    for make, message in mistakes:
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            make()
