"""One step of training the tiny model: our own model, on pictures that are drawn as it learns.

Loss: the next token of every answer; the balance of the routers; and, for the first part of the training, what a
throw-away head says about every image token, so that the vision tower learns early what is worth saying.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Llama4Config
from ..model import Llama4
from ..presets import TINY
from .balance import balance_routers_
from .batches import NO_OBJECT, NOWHERE, Layout, Painter, cell_targets
from .grouped_experts import group_experts_
from .languages.language import COLORS
from .scenes import TILE

# What the throw-away head tells apart: shapes, colours and sizes, each with one more for nothing.
CELL_KINDS = (NO_OBJECT + 1, len(COLORS) + 1, 3)
PLACE_WEIGHT = 4.0  # a place counts so much more than its squared error, in halves of a tile


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out of training, and is recorded with it.

    Units:  `cooldown` and `auxiliary_until` as parts of all steps; the learning rate is that between the `warmup` steps
        and the cooldown.
    """

    seed: int = 0
    steps: int = 10_000
    learning_rate: float = 2e-3
    warmup: int = 200
    cooldown: float = 0.4
    weight_decay: float = 0.02
    balance: float = 0.005  # weight of the load-balancing loss
    auxiliary: float = 1.0  # weight of the throw-away head's loss at the beginning
    auxiliary_until: float = 1.0
    layout: Layout = field(default_factory=Layout)

    def rate(self, step: int) -> float:
        """The learning rate: a straight rise, a long level, and a straight fall to nothing."""
        rise, fall = (step + 1) / self.warmup, (self.steps - step) / (self.cooldown * self.steps)
        return self.learning_rate * max(0.0, min(1.0, rise, fall))

    def auxiliary_weight(self, step: int) -> float:
        """Falls in a straight line to 0."""
        return self.auxiliary * max(0.0, 1 - step / (self.auxiliary_until * self.steps))


class CellHead(nn.Module):
    """Says of every image token what lies there, and where; thrown away after training.

    Places are two numbers, not classes: so that image tokens say them in a way in which they can be compared.

    Shapes: X tiles; image tokens [X, CELLS^2, D] and targets int64 [X, CELLS^2, 5], as `cell_targets` has them -> [].
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, sum(CELL_KINDS) + 2)

    def forward(self, image_tokens: Tensor, targets: Tensor) -> Tensor:
        *kinds, place = self.linear(image_tokens).float().split((*CELL_KINDS, 2), dim=-1)
        losses = [
            F.cross_entropy(logits.flatten(0, 1), truth.flatten().clamp(max=logits.shape[-1] - 1))
            for logits, truth in zip(kinds, targets[..., :3].unbind(-1), strict=True)
        ]
        is_there = targets[..., 3] != NOWHERE  # [X, CELLS^2]
        error = (place - (targets[..., 3:] / (TILE / 2) - 1)).square().sum(-1)
        losses.append(PLACE_WEIGHT * (error * is_there).sum() / is_there.sum())
        return torch.stack(losses).sum()


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
        self.head = CellHead(config.text.hidden_size).to(device)
        self.model.to(device).train()
        self.painter = Painter(device)
        self._learner = self.model if device.type != "cuda" else _quick_twin(self.model)
        self._routers = balance_routers_(self._learner)
        self._parameters = [*self._learner.parameters(), *self.head.parameters()]
        decayed = [weight for weight in self._parameters if weight.ndim > 1]
        others = [weight for weight in self._parameters if weight.ndim <= 1]
        # Tensors, because a recorded step reads them anew each time it is replayed.
        self._rate = torch.tensor(recipe.rate(0), device=device)
        self._auxiliary_weight = torch.zeros((), device=device)
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        settings: dict[str, Any] = {"capturable": True} if device.type == "cuda" else {}
        self.optimizer = torch.optim.AdamW(groups, lr=self._rate, betas=(0.9, 0.98), fused=True, **settings)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: dict[str, Tensor] = {}
        self._losses: dict[str, Tensor] = {}

    def state(self) -> dict[str, Any]:
        """All that has come of training so far; `resume` goes on from it."""
        parts = {"model": self.model, "head": self.head, "optimizer": self.optimizer}
        return {"step": self.step, **{name: part.state_dict() for name, part in parts.items()}}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where another trainer of the same recipe was, before the first step of this one."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:  # a recorded step changes the rate in this tensor
            group["lr"] = self._rate

    def train_on(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step; returns the losses by name, on the device."""
        self._rate.fill_(self.recipe.rate(self.step))
        self._auxiliary_weight.fill_(self.recipe.auxiliary_weight(self.step))
        if self.device.type != "cuda":
            losses = self._one_step(batch)
        else:
            for name, tensor in batch.items():
                if name in self._inputs:
                    self._inputs[name].copy_(tensor, non_blocking=True)
                else:
                    self._inputs[name] = tensor.to(self.device)
            losses = self._replayed()
        self.step += 1
        return losses

    def _replayed(self) -> dict[str, Tensor]:
        if self._graph is None:
            if self.step < 3:  # a recording needs everything that is made once to be there
                stream = torch.cuda.Stream()
                stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(stream):
                    losses = self._one_step(self._inputs)
                torch.cuda.current_stream().wait_stream(stream)
                return losses
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # a loader pins memory meanwhile
                self._losses = self._one_step(self._inputs)
        self._graph.replay()
        return self._losses

    def _one_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, self.device.type == "cuda", cache_enabled=False):
            losses = self.losses(batch)
        losses["total"].backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self.optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each loss of a batch of `Batches`, and their weighted total."""
        tiles, targets = self.painter.tiles(batch), cell_targets(batch)
        logits, image_tokens = forward(self._learner, batch["input_ids"], tiles, batch["places"])
        each = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="none")
        weights = batch["weights"][:, 1:].flatten()
        answers = (each * weights).sum() / weights.sum()
        cells = self.head(image_tokens, targets)
        balanced = torch.stack([router.take_imbalance() for router in self._routers]).mean()
        total = answers + self.recipe.balance * balanced + self._auxiliary_weight * cells
        return {"total": total, "answers": answers, "balance": balanced, "cells": cells}


def _quick_twin(model: Llama4) -> Llama4:
    """The same weights, in the same memory, in a model whose small operations are compiled into few."""
    twin = Llama4(model.config)
    twin.load_state_dict(model.state_dict(), assign=True)
    group_experts_(twin)
    for layer in (*twin.language_model.model.layers, *twin.vision_model.model.layers):
        layer.compile()
    return twin.train()


def forward(model: Llama4, input_ids: Tensor, tiles: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """`model(input_ids, tiles)` without its checks of the input, for which a GPU would have to stop and answer.

    Shapes: input_ids [B, T], tiles [X, 3, size, size], places int64 [X * CELLS^2] among all B * T tokens -> logits
        [B, T, V] and image tokens [X, CELLS^2, D].
    """
    embeddings = model.language_model.model.embed_tokens(input_ids)
    image_tokens = model.multi_modal_projector(model.vision_model(tiles))
    fused = embeddings.flatten(0, 1).index_copy(0, places, image_tokens.flatten(0, 1).to(embeddings.dtype))
    return model.logits(fused.view_as(embeddings)), image_tokens
