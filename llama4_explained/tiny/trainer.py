"""One step of training the tiny model: our own model, on pictures that are drawn as it learns.

First the vision tower learns to see alone, by what a throw-away head says of its image tokens: a step of that is quick.
Then all learn to talk. The loss is the next token of every answer, the balance of the routers, and, until they are no
longer needed, what the throw-away heads say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Llama4Config
from ..errors import UserError
from ..model import Llama4
from ..presets import TINY
from .balance import balance_routers_
from .batches import Layout, Painter, cell_targets
from .grouped_experts import group_experts_
from .heads import CellHead, NamedHead


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out of training, and is recorded with it.

    Units:  `steps` are all, those of `layout.seeing` first; `cooldown` as a part of the others; the learning rate is
        that between the `warmup` steps and the cooldown.
    Errors: UserError if all steps are for seeing.
    """

    seed: int = 0
    steps: int = 14_000
    learning_rate: float = 2e-3
    warmup: int = 200
    cooldown: float = 0.4
    weight_decay: float = 0.2
    balance: float = 0.005  # weight of the load-balancing loss
    auxiliary: float = 1.0  # weight of the throw-away heads' losses, until the cooldown
    layout: Layout = field(default_factory=Layout)

    def __post_init__(self) -> None:
        if not self.layout.seeing < self.steps:
            raise UserError(f"of {self.steps} steps, {self.layout.seeing} are for seeing: none is left for the rest")

    def is_seeing(self, step: int) -> bool:
        """Whether only the vision tower learns."""
        return step < self.layout.seeing

    def rate(self, step: int) -> float:
        """The learning rate: a straight rise for each of the two parts, a level, and a straight fall to nothing."""
        rise = (step + 1 if self.is_seeing(step) else step - self.layout.seeing + 1) / self.warmup
        return self.learning_rate * min(1.0, rise, self._fall(step))

    def auxiliary_weight(self, step: int) -> float:
        """A level, and the fall of the learning rate."""
        return self.auxiliary * min(1.0, self._fall(step))

    def _fall(self, step: int) -> float:
        """From 1 where the cooldown begins to 0 at the end; more than 1 before."""
        return (self.steps - step) / (self.cooldown * (self.steps - self.layout.seeing))


class Recorded:
    """Steps of one kind on a GPU: a few that make all that is made once, then one that is recorded, and replayed."""

    def __init__(self, one_step: Callable[[], dict[str, Tensor]]) -> None:
        self._one_step, self._eager_steps = one_step, 3
        self._graph: torch.cuda.CUDAGraph | None = None
        self._losses: dict[str, Tensor] = {}

    def run(self) -> dict[str, Tensor]:
        """One step; what it returns is overwritten by the next."""
        if self._eager_steps:
            self._eager_steps -= 1
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                losses = self._one_step()
            torch.cuda.current_stream().wait_stream(stream)
            return losses
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # a loader pins memory meanwhile
                self._losses = self._one_step()
        self._graph.replay()
        return self._losses


class Trainer:
    """A model, its optimiser, and one step at a time. On a GPU the step is recorded once and then replayed.

    `model` is always the plain one; on a GPU, a twin that shares its weights learns in its place, with its layers
    compiled and its experts grouped.
    """

    def __init__(self, recipe: Recipe, device: torch.device, config: Llama4Config = TINY) -> None:
        self.recipe, self.device, self.step = recipe, device, 0
        torch.manual_seed(recipe.seed)
        self.model = Llama4(config)
        self.model.init_weights(seed=recipe.seed)
        self.heads = nn.ModuleDict(
            {"cells": CellHead(config.text.hidden_size), "named": NamedHead(config.text.hidden_size)}
        )
        self.heads.to(device)
        self.model.to(device).train()
        self.painter = Painter(device)
        self._learner = self.model if device.type != "cuda" else _quick_twin(self.model)
        self._routers = balance_routers_(self._learner)
        self._parameters = [*self._learner.parameters(), *self.heads.parameters()]
        decayed = [weight for weight in self._parameters if weight.ndim > 1]
        others = [weight for weight in self._parameters if weight.ndim <= 1]
        # Tensors, because a recorded step reads them anew each time it is replayed.
        self._rate = torch.tensor(recipe.rate(0), device=device)
        self._auxiliary_weight = torch.zeros((), device=device)
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        settings: dict[str, Any] = {"capturable": True} if device.type == "cuda" else {}
        self.optimizer = torch.optim.AdamW(groups, lr=self._rate, betas=(0.9, 0.98), fused=True, **settings)
        self._inputs: dict[str, Tensor] = {}
        self._recorded = {
            is_seeing: Recorded(partial(self._one_step, self._inputs, is_seeing)) for is_seeing in (True, False)
        }

    def state(self) -> dict[str, Any]:
        """All that has come of training so far; `resume` goes on from it."""
        parts = {"model": self.model, "heads": self.heads, "optimizer": self.optimizer}
        return {"step": self.step, **{name: part.state_dict() for name, part in parts.items()}}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where another trainer of the same recipe was, before the first step of this one."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:  # a recorded step changes the rate in this tensor
            group["lr"] = self._rate

    def train_on(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step; returns the losses by name, on the device."""
        self._rate.fill_(self.recipe.rate(self.step))
        self._auxiliary_weight.fill_(self.recipe.auxiliary_weight(self.step))
        is_seeing = self.recipe.is_seeing(self.step)
        if self.device.type != "cuda":
            losses = self._one_step(batch, is_seeing)
        else:
            for name, tensor in batch.items():
                if name in self._inputs:
                    self._inputs[name].copy_(tensor, non_blocking=True)
                else:
                    self._inputs[name] = tensor.to(self.device)
            losses = self._recorded[is_seeing].run()
        self.step += 1
        return losses

    def _one_step(self, batch: dict[str, Tensor], is_seeing: bool) -> dict[str, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, self.device.type == "cuda", cache_enabled=False):
            losses = self.seeing_losses(batch) if is_seeing else self.losses(batch)
        losses["total"].backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self.optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def seeing_losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What image tokens say of a batch's pictures, without a language model."""
        cells = self.heads["cells"](see(self._learner, self.painter.tiles(batch)), cell_targets(batch))
        return {"total": cells, "cells": cells}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each loss of a batch of `Batches`, and their weighted total."""
        tiles, targets = self.painter.tiles(batch), cell_targets(batch)
        logits, image_tokens, hidden = forward(self._learner, batch["input_ids"], tiles, batch["places"])
        each = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="none")
        weights = batch["weights"][:, 1:].flatten()
        answers = (each * weights).sum() / weights.sum()
        cells, named = self.heads["cells"](image_tokens, targets), self.heads["named"](hidden, batch["named"])
        balanced = torch.stack([router.take_imbalance() for router in self._routers]).mean()
        total = answers + self.recipe.balance * balanced + self._auxiliary_weight * (cells + named)
        return {"total": total, "answers": answers, "balance": balanced, "cells": cells, "named": named}


def _quick_twin(model: Llama4) -> Llama4:
    """The same weights, in the same memory, in a model whose small operations are compiled into few."""
    twin = Llama4(model.config)
    twin.load_state_dict(model.state_dict(), assign=True)
    group_experts_(twin)
    for layer in (*twin.language_model.model.layers, *twin.vision_model.model.layers):
        layer.compile()
    return twin.train()


def see(model: Llama4, tiles: Tensor) -> Tensor:
    """Image tokens: [X, 3, size, size] -> [X, CELLS^2, D]."""
    return model.multi_modal_projector(model.vision_model(tiles))


def forward(model: Llama4, input_ids: Tensor, tiles: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`model(input_ids, tiles)` without its checks of the input, for which a GPU would have to stop and answer.

    Shapes: input_ids [B, T], tiles [X, 3, size, size], places int64 [X * CELLS^2] among all B * T tokens -> logits
        [B, T, V], image tokens [X, CELLS^2, D] and the hidden states [B, T, D] that the logits are made from.
    """
    language_model = model.language_model
    embeddings = language_model.model.embed_tokens(input_ids)
    image_tokens = see(model, tiles)
    fused = embeddings.flatten(0, 1).index_copy(0, places, image_tokens.flatten(0, 1).to(embeddings.dtype))
    hidden = language_model.model(fused.view_as(embeddings))
    return language_model.lm_head(hidden), image_tokens, hidden
