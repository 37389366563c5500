"""Training the tiny model from scratch: our own model, on pictures that are drawn as it learns.

Loss: the next token of every answer; the balance of the routers; and, for the first part of the training, what a
throw-away head says about every image token, so that the vision tower learns early what is worth saying.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Llama4Config
from ..loss import next_token_loss
from ..model import Llama4
from ..moe import Router
from ..presets import TINY
from .batches import CELLS, NO_OBJECT, Layout, Painter, cell_targets
from .grouped_experts import group_experts_
from .languages.language import COLORS

# What the throw-away head tells apart: shapes, colours, sizes, rows and columns.
CELL_KINDS = (NO_OBJECT + 1, len(COLORS) + 1, 3, CELLS, CELLS)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out of training, and is recorded with it.

    Units:  `auxiliary_until` as a part of all steps; the learning rate is the highest, after `warmup` steps.
    """

    seed: int = 0
    steps: int = 8000
    learning_rate: float = 2e-3
    warmup: int = 200
    weight_decay: float = 0.02
    balance: float = 0.005  # weight of the load-balancing loss
    auxiliary: float = 1.0  # weight of the throw-away head's loss at the beginning
    auxiliary_until: float = 0.6
    layout: Layout = field(default_factory=Layout)

    def rate(self, step: int) -> float:
        """The learning rate: a straight rise, then half a cosine down to nothing."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def auxiliary_weight(self, step: int) -> float:
        """Falls in a straight line to 0."""
        return self.auxiliary * max(0.0, 1 - step / (self.auxiliary_until * self.steps))


class CellHead(nn.Module):
    """Says of every image token what lies there; thrown away after training.

    Shapes: [X, CELLS^2, D] -> one [X, CELLS^2, kinds] for each of `CELL_KINDS`.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, sum(CELL_KINDS))

    def forward(self, image_tokens: Tensor) -> tuple[Tensor, ...]:
        return self.linear(image_tokens).split(CELL_KINDS, dim=-1)


class Trainer:
    """A model, its optimiser, and one step at a time. On a GPU the step is recorded once and then replayed."""

    def __init__(self, recipe: Recipe, device: torch.device, config: Llama4Config = TINY) -> None:
        self.recipe, self.device, self.step = recipe, device, 0
        torch.manual_seed(recipe.seed)
        self.model = Llama4(config)
        self.model.init_weights(seed=recipe.seed)
        self.head = CellHead(config.text.hidden_size)
        self.model.to(device).train()
        self.head.to(device)
        self.painter = Painter(device)
        if device.type == "cuda":
            group_experts_(self.model)
        parameters = [*self.model.parameters(), *self.head.parameters()]
        decayed = [weight for weight in parameters if weight.ndim > 1]
        others = [weight for weight in parameters if weight.ndim <= 1]
        # Tensors, because a recorded step reads them anew each time it is replayed.
        self._rate = torch.tensor(recipe.rate(0), device=device)
        self._auxiliary_weight = torch.zeros((), device=device)
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        settings: dict[str, Any] = {"capturable": True} if device.type == "cuda" else {}
        self.optimizer = torch.optim.AdamW(groups, lr=self._rate, betas=(0.9, 0.98), fused=True, **settings)
        self._parameters = parameters
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: dict[str, Tensor] = {}
        self._losses: dict[str, Tensor] = {}

    def train_on(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step; returns the losses by name, on the device."""
        inputs = self.prepared(batch)
        self._rate.fill_(self.recipe.rate(self.step))
        self._auxiliary_weight.fill_(self.recipe.auxiliary_weight(self.step))
        if self.device.type != "cuda":
            losses = self._one_step(inputs)
        else:
            for name, tensor in inputs.items():
                if name in self._inputs:
                    self._inputs[name].copy_(tensor)
                else:
                    self._inputs[name] = tensor.clone()
            losses = self._replayed()
        self.step += 1
        return losses

    def prepared(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a step takes: ids and labels [B, T], tiles [X, 3, size, size], the places of their image tokens in all
        tokens [X * CELLS^2], and what lies there [X, CELLS^2, 5]."""
        batch = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        is_patch = batch["input_ids"].flatten() == self.model.config.patch_id
        return {
            "input_ids": batch["input_ids"],
            "labels": batch["labels"],
            "tiles": self.painter.tiles(batch),
            "places": is_patch.nonzero()[:, 0],
            "cells": cell_targets(batch),
        }

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

    def _one_step(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, self.device.type == "cuda", cache_enabled=False):
            losses = self.losses(inputs)
        losses["total"].backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self.optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def losses(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each loss, and their weighted total."""
        with router_balance(self.model) as balance:
            logits, image_tokens = forward(self.model, inputs["input_ids"], inputs["tiles"], inputs["places"])
        answers = next_token_loss(logits, inputs["labels"])
        cells = sum(
            (F.cross_entropy(kinds.float().flatten(0, 1), truth.flatten().clamp(max=kinds.shape[-1] - 1))
             for kinds, truth in zip(self.head(image_tokens), inputs["cells"].unbind(-1), strict=True)),
            torch.zeros((), device=logits.device),
        )  # fmt: skip
        balanced = torch.stack(balance).mean()
        total = answers + self.recipe.balance * balanced + self._auxiliary_weight * cells
        return {"total": total, "answers": answers, "balance": balanced, "cells": cells}


def forward(model: Llama4, input_ids: Tensor, tiles: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """`model(input_ids, tiles)` without its checks of the input, for which a GPU would have to stop and answer.

    Shapes: input_ids [B, T], tiles [X, 3, size, size], places int64 [X * CELLS^2] among all B * T tokens -> logits
        [B, T, V] and image tokens [X, CELLS^2, D].
    """
    embeddings = model.language_model.model.embed_tokens(input_ids)
    image_tokens = model.multi_modal_projector(model.vision_model(tiles))
    fused = embeddings.flatten(0, 1).index_copy(0, places, image_tokens.flatten(0, 1).to(embeddings.dtype))
    return model.logits(fused.view_as(embeddings)), image_tokens


@contextmanager
def router_balance(model: nn.Module) -> Iterator[list[Tensor]]:
    """Inside, every router adds to the list how unevenly it spreads its tokens: 1 is even, E is all to one expert.

    Source: Switch Transformer (arXiv 2101.03961), equation 4: E times the sum over experts of their share of the tokens
        times their mean probability, through which alone gradients flow.
    """
    found: list[Tensor] = []

    def measure(router: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        probability = F.linear(inputs[0], router.weight).float().softmax(-1)  # [BT, E]
        experts = probability.shape[-1]
        chosen = (output[0][..., None] == torch.arange(experts, device=output[0].device)).any(1)  # [BT, E]
        found.append(experts * (chosen.float().mean(0) * probability.mean(0)).sum())

    handles = [module.register_forward_hook(measure) for module in model.modules() if isinstance(module, Router)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
