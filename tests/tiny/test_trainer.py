import dataclasses
import math

import pytest
import torch

from llama4_explained import TINY, Llama4, UserError
from llama4_explained.moe import Experts
from llama4_explained.tiny.balance import balance_routers_
from llama4_explained.tiny.batches import Batches, Layout, cell_targets
from llama4_explained.tiny.grouped_experts import GroupedExperts, group_experts_
from llama4_explained.tiny.trainer import Recipe, Trainer, forward
from oracle import random_tensor
from tiny_world import processor

CPU = torch.device("cpu")
SMALL = dataclasses.replace(
    TINY,
    text=dataclasses.replace(TINY.text, num_layers=4, num_experts=4),
    vision=dataclasses.replace(TINY.vision, num_layers=2),
)
LAYOUT = Layout(seeing=0, pictures=(4, 1, 1, 1), texts=2, length=128, most_notes=6)
RECIPE = Recipe(steps=100, warmup=10, layout=LAYOUT)


def batch(number: int = 0) -> dict[str, torch.Tensor]:
    return Batches(processor(), LAYOUT, 0, 0, 10)[number]


def test_the_quick_forward_is_the_models():
    trainer = Trainer(RECIPE, CPU, SMALL)
    inputs = batch()
    tiles = trainer.painter.tiles(inputs)
    with torch.no_grad():
        logits, image_tokens, hidden = forward(trainer.model, inputs["input_ids"], tiles, inputs["places"])
        assert torch.equal(logits, trainer.model(inputs["input_ids"], tiles))
        assert torch.equal(logits, trainer.model.language_model.lm_head(hidden))
    assert image_tokens.shape == (4 + 3 + 3 + 5, 16, 128) and cell_targets(inputs).shape == (15, 16, 5)


def test_a_batch_is_learnt_by_heart():
    """Answers, and what the heads say, fall from chance to little; nothing but learning does that."""
    trainer = Trainer(dataclasses.replace(RECIPE, steps=120, cooldown=0.1), CPU, SMALL)
    losses = [trainer.train_on(batch()) for _ in range(60)]
    assert losses[0]["answers"] > 7 and losses[0]["cells"] > 4 and losses[0]["named"] > 1
    assert losses[-1]["answers"] < 0.5 and losses[-1]["cells"] < 1.5 and losses[-1]["named"] < 0.4
    assert trainer.step == 60


def test_first_only_what_sees_learns():
    """In its part, the language model has neither a loss nor a gradient nor weight decay; then all learn."""
    recipe = dataclasses.replace(RECIPE, layout=dataclasses.replace(LAYOUT, seeing=2))
    trainer = Trainer(recipe, CPU, SMALL)
    start = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    losses = [trainer.train_on(batch(number)) for number in range(2)]
    assert set(losses[0]) == {"total", "cells"} and losses[0]["cells"] > 4
    moved = {name for name, tensor in trainer.model.state_dict().items() if not torch.equal(tensor, start[name])}
    eyes = {name for name in start if name.startswith(("vision_model.", "multi_modal_projector."))}
    assert moved == eyes
    assert {"answers", "cells", "named"} < set(trainer.train_on(batch(2)))
    assert not any(torch.equal(tensor, start[name]) for name, tensor in trainer.model.state_dict().items())


def test_training_again_gives_the_same_weights():
    first, again, other = (Trainer(dataclasses.replace(RECIPE, seed=seed), CPU, SMALL) for seed in (0, 0, 1))
    for trainer in (first, again, other):
        for number in range(2):
            trainer.train_on(batch(number))
    state, same, different = (trainer.model.state_dict() for trainer in (first, again, other))
    assert all(torch.equal(tensor, same[name]) for name, tensor in state.items())
    assert not torch.equal(state["language_model.lm_head.weight"], different["language_model.lm_head.weight"])


def test_the_recipes_curves():
    layout = dataclasses.replace(LAYOUT, seeing=500)
    recipe = Recipe(steps=1500, warmup=100, learning_rate=1.0, cooldown=0.25, auxiliary=2.0, layout=layout)
    rates = [recipe.rate(step) for step in (0, 49, 99, 499, 500, 549, 599, 600, 1250, 1375, 1499, 1500)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 1.0, 0.01, 0.5, 1.0, 1.0, 1.0, 0.5, 0.004, 0.0])
    weights = [recipe.auxiliary_weight(step) for step in (0, 500, 1250, 1375, 1500)]
    assert weights == pytest.approx([2.0, 2.0, 2.0, 1.0, 0.0])
    assert [recipe.is_seeing(step) for step in (0, 499, 500)] == [True, True, False]
    with pytest.raises(UserError, match="of 500 steps, 500 are for seeing: none is left"):
        Recipe(steps=500, layout=layout)


def test_short_answers_count_as_much_as_their_weights_say():
    """Only the weighted tokens are learnt, whatever the labels are."""
    given = batch()
    half = given | {"weights": torch.where(torch.arange(LAYOUT.size)[:, None] < 5, given["weights"], 0)}
    wrong = half | {"labels": torch.where(torch.arange(LAYOUT.size)[:, None] < 5, given["labels"], 7)}
    losses = [Trainer(RECIPE, CPU, SMALL).losses(inputs)["answers"] for inputs in (given, half, wrong)]
    assert losses[1] == losses[2] != losses[0]


def test_a_stopped_training_goes_on_as_if_nothing_had_been():
    whole, first = (Trainer(RECIPE, CPU, SMALL) for _ in range(2))
    for number in range(4):
        whole.train_on(batch(number))
    for number in range(2):
        first.train_on(batch(number))
    second = Trainer(dataclasses.replace(RECIPE, seed=5), CPU, SMALL)  # all of its own beginnings are overwritten
    second.recipe = RECIPE
    second.resume(first.state())
    losses = [second.train_on(batch(number)) for number in (2, 3)]
    expected, state = whole.model.state_dict(), second.model.state_dict()
    assert second.step == 4 and float(losses[-1]["answers"]) > 0
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())


@pytest.mark.parametrize(("columns", "expected"), [([0, 1, 2, 3], 1.0), ([2, 2, 2, 2], None)])
def test_balance_is_one_when_even_and_grows_with_one_sidedness(columns, expected):
    """Four tokens, four experts: router weights that send each token where `columns` says, by a margin of 2."""
    model = Llama4(SMALL)
    router = model.language_model.model.layers[0].feed_forward.router
    tokens = torch.eye(4, 128)
    with torch.no_grad():
        router.weight.zero_()
        for token, expert in enumerate(columns):
            router.weight[expert, token] = 2.0
    (measuring, *_) = balance_routers_(model)
    assert measuring is router
    index, score = router(tokens)
    assert index[:, 0].tolist() == columns and torch.equal(score[:, 0], torch.full((4,), 2.0).sigmoid())
    probability = math.exp(2) / (math.exp(2) + 3)
    assert float(router.take_imbalance().detach()) == pytest.approx(expected or 4 * probability)
    with pytest.raises(AttributeError):  # it is given once
        router.take_imbalance()


@pytest.mark.parametrize("experts_per_token", [1, 2])
def test_grouped_experts_are_experts_in_bfloat16(experts_per_token):
    """Outputs and all gradients, with an expert that gets no token. Roundings to bfloat16 make .5 to .7 % together."""
    experts = Experts(5, 48, 32)
    with torch.no_grad():
        experts.gate_up_proj.copy_(random_tensor(5, 48, 64, seed=3) / 10)
        experts.down_proj.copy_(random_tensor(5, 32, 48, seed=4) / 10)
    grouped = GroupedExperts(5, 48, 32)
    grouped.load_state_dict(experts.state_dict())
    index = torch.randint(4, (40, experts_per_token), generator=torch.Generator().manual_seed(0))
    score, direction = random_tensor(40, experts_per_token).sigmoid(), random_tensor(40, 48, seed=1)
    results = []
    for module in (experts, grouped):
        x = random_tensor(40, 48, seed=2).requires_grad_()
        output = module(x, index, score)
        (output * direction).sum().backward()
        results.append([output, x.grad, module.gate_up_proj.grad, module.down_proj.grad])
    for exact, ours in zip(*results, strict=True):
        assert (ours - exact).norm() < 0.012 * exact.norm()


def test_experts_are_grouped_in_place():
    model = Llama4(SMALL)
    before = list(model.parameters())
    group_experts_(model)
    assert {type(layer.feed_forward.experts) for layer in model.language_model.model.layers} == {GroupedExperts}
    assert all(weight is other for weight, other in zip(before, model.parameters(), strict=True))
