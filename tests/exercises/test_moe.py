"""The checkers of lesson 07 accept what is right, however it is written, and see through every mistake."""

import pytest
import torch
import torch.nn.functional as F

from exercise_checks import assert_accepts, assert_tells_apart, exercises_of
from llama4_explained.check.mutants import MUTANTS
from llama4_explained.exercises import moe as lesson
from llama4_explained.moe import Experts, Router

EXERCISES = exercises_of(lesson)


def loop_loads(expert_index, num_experts):
    return [int((expert_index == expert).sum()) for expert in range(num_experts)]


def package_router(tokens, weight, experts_per_token):
    router = Router(weight.shape[1], weight.shape[0], experts_per_token)
    router.weight.data = weight
    expert_index, score = router(tokens)
    return torch.zeros(len(tokens), len(weight)).scatter(1, expert_index, score)


def loop_router(tokens, weight, experts_per_token):
    scores = torch.zeros(len(tokens), len(weight))
    for i, logits in enumerate(tokens @ weight.T):
        for expert in logits.argsort(descending=True)[:experts_per_token]:
            scores[i, expert] = 1 / (1 + torch.exp(-logits[expert]))
    return scores


def package_experts(tokens, scores, gate_up_proj, down_proj):
    experts = Experts(len(gate_up_proj), tokens.shape[1], down_proj.shape[1])
    experts.gate_up_proj.data, experts.down_proj.data = gate_up_proj, down_proj
    score, expert_index = scores.topk(int((scores > 0).sum(1).max()))
    return experts(tokens, expert_index, score)


def loop_experts(tokens, scores, gate_up_proj, down_proj):
    width = down_proj.shape[1]
    result = torch.zeros_like(tokens)
    for i, expert in (scores > 0).nonzero().tolist():
        hidden = (tokens[i] * scores[i, expert]) @ gate_up_proj[expert]
        result[i] += (F.silu(hidden[:width]) * hidden[width:]) @ down_proj[expert]
    return result


def counted_weights(config, layer):
    attention = config.hidden_size * config.head_dim * 2 * (config.num_query_heads + config.num_kv_heads)
    if not config.layer_plan[layer].is_moe:
        return attention + 3 * config.hidden_size * config.dense_width
    experts = 3 * config.hidden_size * config.expert_width * (config.experts_per_token + 1)
    return attention + experts + config.hidden_size * config.num_experts


def summed_weights(config, layer):
    sizes = [config.num_query_heads * config.head_dim] * 2 + [config.num_kv_heads * config.head_dim] * 2
    if config.layer_plan[layer].is_moe:
        sizes += [config.expert_width] * 3 * (1 + config.experts_per_token) + [config.num_experts]
    else:
        sizes += [config.dense_width] * 3
    return config.hidden_size * sum(sizes)


def masked_choice(logits, capacity):
    least = logits.sort(dim=0, descending=True).values[capacity - 1]
    return torch.where(logits >= least, logits.sigmoid(), 0.0)


def loop_choice(logits, capacity):
    scores = torch.zeros_like(logits)
    for expert in range(logits.shape[1]):
        for token in sorted(range(len(logits)), key=lambda token: -float(logits[token, expert]))[:capacity]:
            scores[token, expert] = logits[token, expert].sigmoid()
    return scores


RIGHT = {
    "expert loads": (
        lambda expert_index, num_experts: F.one_hot(expert_index, num_experts).sum((0, 1)),
        lambda *inputs: torch.tensor(loop_loads(*inputs)),
    ),
    "router": (package_router, loop_router),
    "experts": (package_experts, loop_experts),
    "weights met": (counted_weights, summed_weights),
    "expert choice": (masked_choice, loop_choice),
}
ROUTER_MUTANTS = [
    "the router's scores are a softmax over all experts",
    "the router's scores are a softmax over the chosen experts",
    "the router's scores are its logits",
    "the router takes the second best",
    "the router takes one expert more",
]
EXPERT_MUTANTS = [
    "gate and up are swapped in the experts",
    "gate and up are interleaved in the experts",
    "the router scales the experts' output",
    "the router's score is not used",
    "experts are numbered from one",
]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_written_differently(exercise):
    assert_accepts(exercise, RIGHT[exercise.name])


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_misconceptions_are_told_apart(exercise):
    assert_tells_apart(exercise)


@pytest.mark.parametrize("mutant", ROUTER_MUTANTS + EXPERT_MUTANTS)
def test_mutants_are_rejected(mutant):
    exercise, answer = (
        (lesson.router, package_router) if mutant in ROUTER_MUTANTS else (lesson.experts, package_experts)
    )

    def mutated(*inputs):
        with MUTANTS[mutant].applied_to(None):
            return answer(*inputs)

    verdict = exercise.check(mutated)
    assert not verdict.is_right and ("instead of" in verdict.text or "raises" in verdict.text)
