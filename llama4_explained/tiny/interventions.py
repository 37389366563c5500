"""What the routed experts of a model are worth is seen when they are missing: changes that last as long as a `with`.

Nothing in the model's code knows of them. They hook the output of routers and shared experts, or put other weights into
routers, and leave all as it was, also after an error.

Shapes: BT tokens of all rows, D hidden, E experts, A experts per token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..model import Llama4
from ..moe import MixtureOfExperts

Reroute = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def mixtures(model: Llama4, layers: Sequence[int] | None = None) -> dict[int, MixtureOfExperts]:
    """The mixtures of experts by their layer; None is all.

    Errors: UserError for a layer that has none.
    """
    blocks = (layer.feed_forward for layer in model.language_model.model.layers)
    found = {layer: block for layer, block in enumerate(blocks) if isinstance(block, MixtureOfExperts)}
    wanted = list(found) if layers is None else list(layers)
    if missing := [layer for layer in wanted if layer not in found]:
        raise UserError(f"layer {missing[0]} has no experts; those that have: {', '.join(map(str, found)) or 'none'}")
    return {layer: found[layer] for layer in wanted}


@contextmanager
def hooked(modules: Iterable[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    """Inside, `hook(module, inputs, output)` is called after each of the modules; what it returns is the new output."""
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))  # compiled code passes hooks over
        for module in modules:
            stack.callback(module.register_forward_hook(hook).remove)
        yield


@contextmanager
def rerouted(model: Llama4, reroute: Reroute, layers: Sequence[int] | None = None) -> Iterator[None]:
    """Inside, experts get `reroute(expert_index, score)`, both [BT, A], instead of what their router says."""
    routers = [mixture.router for mixture in mixtures(model, layers).values()]
    with hooked(routers, lambda router, inputs, output: reroute(*output)):
        yield


def routed_off(model: Llama4, layers: Sequence[int] | None = None) -> AbstractContextManager[None]:
    """Inside, no token gets anything from routed experts: a score of 0 makes their input 0, and so their output."""
    return rerouted(model, lambda expert_index, score: (expert_index, torch.zeros_like(score)), layers)


@contextmanager
def shared_off(model: Llama4, layers: Sequence[int] | None = None) -> Iterator[None]:
    """Inside, no token gets anything from the shared expert."""
    shared_experts = [mixture.shared_expert for mixture in mixtures(model, layers).values()]
    with hooked(shared_experts, lambda shared_expert, inputs, output: torch.zeros_like(output)):
        yield


def rotated(model: Llama4, shift: int, layers: Sequence[int] | None = None) -> AbstractContextManager[None]:
    """Inside, every token goes to the expert `shift` places further on (modulo E) than its own, with its own score."""
    num_experts = model.text_config.num_experts
    return rerouted(model, lambda expert_index, score: ((expert_index + shift) % num_experts, score), layers)


def expert_off(model: Llama4, expert: int, layers: Sequence[int] | None = None) -> AbstractContextManager[None]:
    """Inside, those tokens that are sent to one expert get nothing from it; the others notice nothing of it.

    Errors: UserError if there is no such expert.
    """
    num_experts = model.text_config.num_experts
    if not 0 <= expert < num_experts:
        raise UserError(f"experts are 0 to {num_experts - 1}, got {expert}")
    return rerouted(
        model, lambda expert_index, score: (expert_index, score.masked_fill(expert_index == expert, 0)), layers
    )


@contextmanager
def untrained_routers(model: Llama4, seed: int, layers: Sequence[int] | None = None) -> Iterator[None]:
    """Inside, routers have the weights of `untrained_weights`; afterwards their own, bit for bit."""
    fresh = untrained_weights(model, seed)
    trained = {mixture.router: mixture.router.weight.data for mixture in mixtures(model, layers).values()}
    try:
        for layer, mixture in mixtures(model, layers).items():
            mixture.router.weight.data = fresh[layer]
        yield
    finally:
        for router, weight in trained.items():
            router.weight.data = weight


def untrained_weights(model: Llama4, seed: int) -> dict[int, Tensor]:
    """What routers might have been before training, by layer: normal numbers, as `init_weights` draws them.

    Their standard deviation is that of the trained weights, so that scores remain as strong as experts know them.

    Shapes: [E, D] each.
    """
    generator = torch.Generator().manual_seed(seed)
    fresh = {}
    for layer, mixture in mixtures(model).items():
        weight = mixture.router.weight.detach()
        numbers = torch.randn(weight.shape, generator=generator).to(weight)
        fresh[layer] = numbers * weight.std()
    return fresh
