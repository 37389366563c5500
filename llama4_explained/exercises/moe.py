"""Exercises of lesson 07: the mixture of experts.

Shapes: BT tokens, D hidden, E experts, A experts per token, F width of an expert.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4Router, Llama4TextExperts

from ..block import DecoderLayer
from ..config import TextConfig
from ..presets import MAVERICK, SCOUT, TINY
from .exercise import Exercise, Misconception


def _sizes() -> Iterator[tuple[torch.Generator, int, int, int, int]]:
    """BT, D, E and A of each input, from one token and two experts on; no two sizes of one input are equal."""
    for seed, sizes in enumerate(((1, 3, 2, 1), (3, 4, 2, 1), (7, 6, 4, 1), (9, 8, 5, 2), (40, 16, 8, 3))):
        yield torch.Generator().manual_seed(seed), *sizes


# 1. How many tokens does each expert get?


def _loads(expert_index: Tensor, num_experts: int) -> Tensor:
    return expert_index.flatten().bincount(minlength=num_experts)


def _indices() -> Iterator[Sequence[Any]]:
    for generator, num_tokens, _, num_experts, chosen in _sizes():
        yield torch.rand(num_tokens, num_experts, generator=generator).topk(chosen).indices, num_experts


expert_loads = Exercise(
    "expert loads",
    "`torch.bincount` counts them",
    _loads,
    _indices,
    "Go through the experts, 0 to E - 1, and count how often each stands in `expert_index`.",
    (
        Misconception(
            "only experts that got something count",
            lambda expert_index, num_experts: expert_index.flatten().unique(return_counts=True)[1],
            "An expert that no token chose has a load too. Which one?",
        ),
        Misconception(
            "loads are shares",
            lambda expert_index, num_experts: _loads(expert_index, num_experts) / expert_index.numel(),
            "These are parts of 1. The question is for numbers of tokens.",
        ),
        Misconception(
            "a token has one expert",
            lambda expert_index, num_experts: _loads(expert_index[:, 0], num_experts),
            "With A = 1 this is right. Look at all columns of `expert_index`.",
        ),
    ),
)


# 2. The router


def _route(tokens: Tensor, weight: Tensor, experts_per_token: int) -> Tensor:
    num_experts, hidden_size = weight.shape
    router = Llama4Router(
        Llama4TextConfig(hidden_size=hidden_size, num_local_experts=num_experts, num_experts_per_tok=experts_per_token)
    )
    with torch.no_grad():
        router.weight.copy_(weight)
        return router(tokens)[0]


def _dense(logits: Tensor, experts_per_token: int, score_of: Any) -> Tensor:
    """[BT, E]: the scores of the chosen experts' logits, 0 elsewhere."""
    chosen, expert_index = logits.topk(experts_per_token)
    return torch.zeros_like(logits).scatter(1, expert_index, score_of(chosen))


def _tokens_and_routers() -> Iterator[Sequence[Any]]:
    for generator, num_tokens, hidden_size, num_experts, chosen in _sizes():
        tokens = torch.randn(num_tokens, hidden_size, generator=generator)
        yield tokens, torch.randn(num_experts, hidden_size, generator=generator), chosen


router = Exercise(
    "router",
    "HF `Llama4Router`",
    _route,
    _tokens_and_routers,
    "Logits are tokens @ weight.T. Keep the A largest of each row, and give all others a score of exactly 0.",
    (
        Misconception(
            "scores are a softmax over all experts",
            lambda tokens, weight, count: _dense((tokens @ weight.T).softmax(-1), count, lambda chosen: chosen),
            "Your scores depend on the experts that were not chosen. Llama 4's depend on one logit each.",
        ),
        Misconception(
            "scores of the chosen sum to one",
            lambda tokens, weight, count: _dense(tokens @ weight.T, count, lambda chosen: chosen.softmax(-1)),
            "With one expert, your score is always 1, and the router would have nothing to say about strength.",
        ),
        Misconception(
            "scores are the logits",
            lambda tokens, weight, count: _dense(tokens @ weight.T, count, lambda chosen: chosen),
            "A score lies between 0 and 1. Which function takes a logit there?",
        ),
        Misconception(
            "every expert gets every token",
            lambda tokens, weight, count: (tokens @ weight.T).sigmoid(),
            "The strengths are right, but every expert gets every token. Which of them should get 0?",
        ),
    ),
)


# 3. The experts


def _run_experts(tokens: Tensor, scores: Tensor, gate_up_proj: Tensor, down_proj: Tensor) -> Tensor:
    num_experts, hidden_size, _ = gate_up_proj.shape
    experts = Llama4TextExperts(
        Llama4TextConfig(hidden_size=hidden_size, intermediate_size=down_proj.shape[1], num_local_experts=num_experts)
    )
    with torch.no_grad():
        experts.gate_up_proj.copy_(gate_up_proj)
        experts.down_proj.copy_(down_proj)
        scaled = tokens.repeat(num_experts, 1) * scores.T.reshape(-1, 1)  # [E * BT, D], as HF's mixture has them
        return experts(scaled).view(num_experts, -1, hidden_size).sum(0)


def _feed(inputs: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    gate, up = (inputs @ gate_up).chunk(2, dim=-1)
    return (F.silu(gate) * up) @ down


def _scored_tokens_and_experts() -> Iterator[Sequence[Any]]:
    for generator, num_tokens, hidden_size, num_experts, chosen in _sizes():
        width = hidden_size + 3
        tokens = torch.randn(num_tokens, hidden_size, generator=generator)
        scores = _dense(torch.randn(num_tokens, num_experts, generator=generator), chosen, torch.sigmoid)
        gate_up_proj = torch.randn(num_experts, hidden_size, 2 * width, generator=generator)
        yield tokens, scores, gate_up_proj, torch.randn(num_experts, width, hidden_size, generator=generator)


def _summed(of_expert: Any) -> Any:
    """An answer: the sum over experts of `of_expert(tokens, score [BT, 1], gate_up, down)`."""

    def answer(tokens: Tensor, scores: Tensor, gate_up_proj: Tensor, down_proj: Tensor) -> Tensor:
        each = zip(scores.T[..., None], gate_up_proj, down_proj, strict=True)
        return torch.stack([of_expert(tokens, score, gate_up, down) for score, gate_up, down in each]).sum(0)

    return answer


experts = Exercise(
    "experts",
    "HF `Llama4TextExperts`",
    _run_experts,
    _scored_tokens_and_experts,
    "For each expert: tokens times their scores, then gate and up, then SiLU(gate) * up, then down. Sum over experts.",
    (
        Misconception(
            "the score scales the output",
            _summed(lambda x, score, gate_up, down: _feed(x, gate_up, down) * score),
            "You scale what comes out of an expert. Llama 4 scales what goes in, and SiLU makes that another thing.",
        ),
        Misconception(
            "up comes before gate",
            _summed(lambda x, score, gate_up, down: _feed(x * score, torch.cat(gate_up.chunk(2, -1)[::-1], -1), down)),
            "One half of `gate_up_proj` is the gate, the other is up. Which comes first along the last axis?",
        ),
        Misconception(
            "a chosen expert gets the token as it is",
            _summed(lambda x, score, gate_up, down: _feed(x * (score > 0), gate_up, down)),
            "The right experts, but each gets its tokens at full strength. What are the scores for?",
        ),
    ),
)


# 4. How many weights does one token meet?


def _expert_size(config: TextConfig) -> int:
    return 3 * config.hidden_size * config.expert_width


def _met_weights(config: TextConfig, layer: int) -> int:
    with torch.device("meta"):
        block = DecoderLayer(config, config.layer_plan[layer], layer)
    count = sum(parameter.numel() for parameter in block.self_attn.parameters())
    count += sum(parameter.numel() for parameter in block.feed_forward.parameters())
    idle = config.num_experts - config.experts_per_token if config.layer_plan[layer].is_moe else 0
    return count - idle * _expert_size(config)


def _layers() -> Iterator[Sequence[Any]]:
    yield from ((TINY.text, 0), (SCOUT.text, 3), (MAVERICK.text, 0), (MAVERICK.text, 1))


weights_met = Exercise(
    "weights met",
    "the package's own layers have them",
    _met_weights,
    _layers,
    "Attention has four matrices; mind the number of KV heads. A gated feed-forward has three, a router has one.",
    (
        Misconception(
            "all experts are active",
            lambda config, layer: (
                _met_weights(config, layer)
                + config.layer_plan[layer].is_moe
                * (config.num_experts - config.experts_per_token)
                * _expert_size(config)
            ),
            "That is what the layer stores. A token passes through few of its experts.",
        ),
        Misconception(
            "two active experts are two routed ones",
            lambda config, layer: _met_weights(config, layer) + config.layer_plan[layer].is_moe * _expert_size(config),
            "One expert too many. Of the two that are active, one is the shared expert.",
        ),
        Misconception(
            "the shared expert is not counted",
            lambda config, layer: _met_weights(config, layer) - config.layer_plan[layer].is_moe * _expert_size(config),
            "Something that every token passes through is missing.",
        ),
    ),
)


# 5. Expert choice: what if experts chose their tokens?


def _expert_choice(logits: Tensor, capacity: int) -> Tensor:
    _, token = logits.topk(capacity, dim=0)  # [capacity, E]
    return torch.zeros_like(logits).scatter(0, token, logits.sigmoid().gather(0, token))


def _logits_and_capacities() -> Iterator[Sequence[Any]]:
    for generator, num_tokens, _, num_experts, chosen in _sizes():
        capacity = max(1, num_tokens * chosen // num_experts)
        yield torch.randn(num_tokens + 1, num_experts, generator=generator), capacity


expert_choice = Exercise(
    "expert choice",
    "the definition above says",
    _expert_choice,
    _logits_and_capacities,
    "Each column of the result has exactly `capacity` scores that are not 0, those of its largest logits.",
    (
        Misconception(
            "tokens choose",
            lambda logits, capacity: _dense(logits, min(capacity, logits.shape[1]), torch.sigmoid),
            "In your version tokens choose experts. Here each expert looks down its own column.",
        ),
        Misconception(
            "a token keeps one expert",
            lambda logits, capacity: _expert_choice(logits, capacity) * (logits == logits.amax(1, keepdim=True)),
            "You let a token keep one expert only. Here it may be chosen by several, or by none.",
        ),
    ),
)
