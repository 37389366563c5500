"""Mistakes in feed-forward, router and experts, in the loss, and in what gradients flow through."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import loss, text_model
from ..feed_forward import FeedForward
from ..linear import Linear
from ..model import Llama4, Llama4Text
from ..moe import Experts, MixtureOfExperts, Router
from ..trace import record
from .mutation import Change, changed, mutant, replaced, replaced_method

MOE = ("moe", "layer.chunked_rope", "layer.nope", "model.text")
SCORES = ("router", *MOE)
DECISIONS = ("router.decisions", *SCORES)


@mutant("gate and up are swapped in the experts", "experts", *MOE)
def swapped_in_experts(model: Llama4) -> Change:
    def make(weights: Any) -> Any:
        return lambda self, experts: [
            (torch.cat(gate_up.chunk(2, dim=-1)[::-1], dim=-1), down) for gate_up, down in weights(self, experts)
        ]

    return replaced_method(Experts, "weights", make)


@mutant("gate and up are interleaved in the experts", "experts", *MOE)
def interleaved_in_experts(model: Llama4) -> Change:
    def make(weights: Any) -> Any:
        return lambda self, experts: [
            (torch.cat([gate_up[:, ::2], gate_up[:, 1::2]], dim=-1), down) for gate_up, down in weights(self, experts)
        ]

    return replaced_method(Experts, "weights", make)


@mutant("a single token's halves change places", "linear", "generate")
def halves_of_one_token(model: Llama4) -> Change:
    def make(forward: Any) -> Any:
        def with_halves_rolled(self: Linear, x: Tensor) -> Tensor:
            one_token = x.numel() == self.in_features
            return forward(self, x).roll(self.out_features // 2 if one_token else 0, dims=-1)

        return with_halves_rolled

    return replaced_method(Linear, "forward", make)


@mutant("gate and up are swapped in the feed-forward", "feed_forward", "layer.dense", *MOE)
def swapped_in_feed_forward(model: Llama4) -> Change:
    def forward(self: FeedForward, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.up_proj(x)) * self.gate_proj(x))

    return replaced_method(FeedForward, "forward", lambda _: forward)


@mutant("the feed-forward has a GELU", "feed_forward", "layer.dense", *MOE)
def gelu_feed_forward(model: Llama4) -> Change:
    def forward(self: FeedForward, x: Tensor) -> Tensor:
        return self.down_proj(F.gelu(self.gate_proj(x)) * self.up_proj(x))

    return replaced_method(FeedForward, "forward", lambda _: forward)


def _experts(make: Any) -> Change:
    return replaced_method(Experts, "forward", make)


@mutant("the router scales the experts' output", "experts", *MOE)
def output_scaled(model: Llama4) -> Change:
    def make(forward: Any) -> Any:
        def scaled_output(self: Experts, tokens: Tensor, index: Tensor, score: Tensor) -> Tensor:
            ones = torch.ones_like(score[:, :1])
            outputs = [forward(self, tokens, index[:, i : i + 1], ones) for i in range(index.shape[1])]
            return (torch.stack(outputs, dim=1) * score[..., None]).sum(1)

        return scaled_output

    return _experts(make)


@mutant("the router's score is not used", "experts", *MOE)
def score_unused(model: Llama4) -> Change:
    return _experts(
        lambda forward: lambda self, tokens, index, score: forward(self, tokens, index, torch.ones_like(score))
    )


@mutant("experts are numbered from one", "experts", *MOE)
def experts_from_one(model: Llama4) -> Change:
    return _experts(
        lambda forward: lambda self, tokens, index, score: forward(self, tokens, (index + 1) % self.num_experts, score)
    )


def _router(make: Any) -> Change:
    """Change the router: `make(logits, experts per token)` gives index and score."""

    def forward(self: Router, tokens: Tensor) -> tuple[Tensor, Tensor]:
        logits = F.linear(tokens, self.weight)
        record("router_logits", logits)
        return make(logits, self.experts_per_token)

    return replaced_method(Router, "forward", lambda _: forward)


@mutant("the router's scores are a softmax over all experts", *SCORES)
def softmax_router(model: Llama4) -> Change:
    def route(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
        score, index = logits.softmax(-1).topk(count, dim=-1)
        return index, score

    return _router(route)


@mutant("the router's scores are a softmax over the chosen experts", *SCORES)
def softmax_of_chosen(model: Llama4) -> Change:
    def route(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
        chosen, index = logits.topk(count, dim=-1)
        return index, chosen.softmax(-1)

    return _router(route)


@mutant("the router's scores are its logits", *SCORES)
def raw_scores(model: Llama4) -> Change:
    def route(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
        chosen, index = logits.topk(count, dim=-1)
        return index, chosen

    return _router(route)


@mutant("the router takes the second best", *DECISIONS)
def second_best(model: Llama4) -> Change:
    def route(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
        chosen, index = logits.topk(count + 1, dim=-1)
        return index[:, 1:], chosen[:, 1:].sigmoid()

    return _router(route)


@mutant("the router takes one expert more", *DECISIONS)
def one_expert_more(model: Llama4) -> Change:
    def route(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
        chosen, index = logits.topk(count + 1, dim=-1)
        return index, chosen.sigmoid()

    return _router(route)


def _shared_expert(make: Any) -> Change:
    """Add `make(module, tokens)` to what a mixture gives."""

    def wrap(forward: Any) -> Any:
        return lambda self, x: forward(self, x) + make(self, x.flatten(0, -2)).view_as(x)

    return replaced_method(MixtureOfExperts, "forward", wrap)


@mutant("the shared expert is missing", *MOE)
def no_shared_expert(model: Llama4) -> Change:
    return _shared_expert(lambda module, tokens: -module.shared_expert(tokens))


@mutant("the shared expert's input is scaled too", *MOE)
def shared_expert_scaled(model: Llama4) -> Change:
    def change(module: MixtureOfExperts, tokens: Tensor) -> Tensor:
        score = module.router(tokens)[1].sum(-1, keepdim=True)
        return module.shared_expert(tokens * score) - module.shared_expert(tokens)

    return _shared_expert(change)


@mutant("the last norm is missing", "hidden_states", "model.text")
def no_last_norm(model: Llama4) -> Change:
    return changed([model.language_model.model], "norm", lambda norm: torch.nn.Identity())


@mutant("token ids count from one", "embeddings", "model.text", "model.images")
def ids_from_one(model: Llama4) -> Change:
    return replaced_method(
        Llama4Text, "embed_text", lambda embed: lambda self, ids: embed(self, (ids - 1).clamp(min=0))
    )


@mutant("embeddings are scaled", "hidden_states", "model.text")
def scaled_embeddings(model: Llama4) -> Change:
    return replaced_method(
        text_model.TextModel, "forward", lambda forward: lambda self, x, *rest: forward(self, x * 2, *rest)
    )


@mutant("the loss compares each token with itself", "loss", "gradients")
def unshifted_loss(model: Llama4) -> Change:
    def unshifted(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=loss.IGNORED)

    return replaced(loss.next_token_loss, lambda _: unshifted)


@mutant("the loss is divided by all tokens", "loss", "gradients")
def loss_of_all(model: Llama4) -> Change:
    def make(next_token_loss: Any) -> Any:
        def divided(logits: Tensor, labels: Tensor) -> Tensor:
            counted = (labels[:, 1:] != loss.IGNORED).float().mean()
            return next_token_loss(logits, labels) * counted

        return divided

    return replaced(loss.next_token_loss, make)


@mutant("no gradient flows to the router", "gradients")
def router_not_trained(model: Llama4) -> Change:
    def make(forward: Any) -> Any:
        return lambda self, tokens: tuple(x.detach() for x in forward(self, tokens))

    return replaced_method(Router, "forward", make)
