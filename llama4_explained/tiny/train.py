"""`llama4-explained train-tiny`: the model that ships in this package, trained again from its recipe and a seed."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ..atomic import written_together
from ..errors import UserError
from ..loading import usable_device
from .batches import Batches, Layout
from .trainer import Recipe, Trainer
from .training import RECORD, Training, tiny_processor, unfinished

FULL = Recipe()
# What two CPU cores learn in some minutes: fewer questions, in fewer languages, about pictures of one tile. Half of
# the steps only learn to see: they take a third of the time of the others.
EASY = {"count": 1, "color": 3, "shape": 3}
EASY_LAYOUT = Layout(
    seeing=2500, pictures=(24, 0, 0, 0), texts=0, length=96, tasks=EASY, later_tasks=EASY, languages=("en", "es")
)
SMALL = replace(FULL, steps=5000, layout=EASY_LAYOUT)
STEPS_SHARE = 0.93  # of the minutes that are given; the rest is for measuring accuracy on the way


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `llama4-explained train-tiny`."""
    parser.add_argument("--output", default="tiny-llama4", metavar="FOLDER", help="default: tiny-llama4")
    parser.add_argument("--seed", type=int, default=0, help="of weights and of all that is shown (default 0)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda if there is one)")
    parser.add_argument("--minutes", type=float, help="as many steps as fit (default: the whole recipe; cpu: 20)")
    parser.add_argument("--without-balance", action="store_true", help="leave the load-balancing loss out")


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on with what was interrupted."""
    if arguments.minutes is not None and not 0 < arguments.minutes < math.inf:
        raise UserError(f"--minutes must be a number more than 0, got {arguments.minutes}")
    device = usable_device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    folder = Path(arguments.output)
    if (folder / RECORD).exists():
        raise UserError(f"{folder} holds a finished training: give another --output, or delete it")
    state = unfinished(folder)
    with written_together(folder):  # a folder that cannot be written fails before the work
        pass
    recipe = chosen_recipe(arguments, device, known=state["recipe"] if state else None)
    if state is not None and state["recipe"] != asdict(recipe):
        raise UserError(f"{folder} holds an unfinished training of another recipe: give the same options, or delete it")
    Training(folder, recipe, device).run()
    print(f"{folder} holds the checkpoint: llama4-explained evaluate {folder}")
    return 0


def chosen_recipe(arguments: argparse.Namespace, device: torch.device, known: dict[str, Any] | None = None) -> Recipe:
    """The recipe that the options ask for. With minutes: as many steps as fit, of both kinds in proportion.

    `known` is the recipe of a training that is resumed, whose steps have been counted.
    """
    recipe = FULL if device.type == "cuda" else SMALL
    recipe = replace(recipe, seed=arguments.seed, balance=0.0 if arguments.without_balance else recipe.balance)
    minutes = arguments.minutes if arguments.minutes is not None or device.type == "cuda" else 20.0
    if minutes is None:
        return recipe
    if known is not None:
        return _with_steps(recipe, known["steps"], known["layout"]["seeing"])
    seeing, others = recipe.layout.seeing, recipe.steps - recipe.layout.seeing
    whole = seeing * seconds_per_step(recipe, device, True) + others * seconds_per_step(recipe, device, False)
    part = STEPS_SHARE * 60 * minutes / whole
    return _with_steps(recipe, max(1, int(part * recipe.steps)), int(part * seeing))


def _with_steps(recipe: Recipe, steps: int, seeing: int) -> Recipe:
    return replace(recipe, steps=steps, layout=replace(recipe.layout, seeing=seeing))


def seconds_per_step(recipe: Recipe, device: torch.device, is_seeing: bool, number: int = 10) -> float:
    """How long a step of a kind takes here, by a few of a training that is thrown away."""
    steps = number + 4
    recipe = _with_steps(recipe, steps + 1, steps if is_seeing else 0)
    trainer, batches = Trainer(recipe, device), Batches(tiny_processor(), recipe.layout, recipe.seed, 0, steps)
    for i in range(steps):
        if i == 4:
            start = _now(device)
        trainer.train_on(batches[i])
    return (_now(device) - start) / number


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
