"""What the routed experts of a trained model do: what their choice tells of a token, and what is lost without them.

Mutual information alone proves nothing: an untrained router splits tokens by their content as well, because alike
tokens get alike logits. So each number stands beside two others: that of the same model with untrained routers; and
that of untrained routers which see the trained model's own tokens and are made to use all experts alike, as training
does it. Only what a trained router tells beyond both was learnt.

What experts do is seen by taking them away. If tokens that go to a wrong expert are answered as well as before, the
experts are interchangeable, whatever their choice tells.

Units:  information in bits; accuracy from 0 to 1; what is lost of it in points, hundredths of all questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..model import Llama4
from ..processor import Processor
from ..tokenizer import Tokenizer
from .choices import Choices, expert_choices, token_labels, told_by_choices
from .exam import Examiner, Question, lookup_questions, picture_questions
from .information import entropy
from .interventions import expert_off, mixtures, rotated, routed_off, shared_off, untrained_routers
from .languages.language import CODES
from .tasks import PICTURE_TASKS, TEXT_TASKS, Turn

ORDER = {"task": (*PICTURE_TASKS, *TEXT_TASKS), "language": CODES}
NUM_NOTES = 6
SHIFTS = (1, 3, 5)  # how far a token is sent from its own expert; what is lost is averaged
SEEDS = (0, 1, 2)  # of untrained routers, likewise
CHANGES_PER_LAYER = ("routed experts off", "shared expert off", "rotated to a wrong expert")

Change = Callable[..., AbstractContextManager[Any]]  # called with a model and layers


def specialisation(model: Llama4, processor: Processor, questions_per_language: int = 4) -> dict[str, Any]:
    """All measures, as plain JSON data.

    Returns `questions`, how many there were; `mutual_information` of `mutual_information`; `causal` of `causal`;
    `per_layer` of `per_layer`; `single_experts` of `single_experts`, from half as many questions.

    Units:  `questions_per_language` in questions of each task.
    Errors: UserError for no questions, or a model with fewer than two experts.
    """
    if questions_per_language < 1:
        raise UserError(f"questions_per_language must be at least 1, got {questions_per_language}")
    if not mixtures(model) or model.text_config.num_experts < 2:
        raise UserError("specialisation needs a model with at least two experts in a layer")
    examiner = Examiner(processor)
    questions, fewer = (
        specialisation_questions(number) for number in (questions_per_language, (questions_per_language + 1) // 2)
    )
    return {
        "questions": len(questions),
        "mutual_information": mutual_information(model, examiner, questions, processor.tokenizer),
        "causal": causal(model, examiner, questions),
        "per_layer": per_layer(model, examiner, questions),
        "single_experts": single_experts(model, examiner, fewer),
    }


def specialisation_questions(number: int) -> list[Question]:
    """`number` questions of each task about pictures (of one tile, of seen things) and of lookup, in each language."""
    return picture_questions(number) + lookup_questions(number, NUM_NOTES)


def mutual_information(
    model: Llama4, examiner: Examiner, questions: Sequence[Question], tokenizer: Tokenizer
) -> dict[str, Any]:
    """What the choice of an expert tells of a token, in each layer, by trained and by untrained routers.

    Returns `layers`; `entropy of the choice` by routers; and for each of `modality`, `kind of word` and `language` its
    `entropy`, and by routers `bits` (after `shuffled` is taken away), `shuffled`, and `share` of the entropy. Routers
    are `trained`; `untrained`, in the model's place of them; and `untrained, even`, which choose for the trained
    model's tokens by `even_choice`. The last two are means over `SEEDS`.
    """

    def untrained(seed: int) -> Choices:
        with untrained_routers(model, seed):
            return expert_choices(model, examiner, questions)

    routers = {
        "trained": [expert_choices(model, examiner, questions)],
        "untrained": [untrained(seed) for seed in SEEDS],
        "untrained, even": [expert_choices(model, examiner, questions, seed) for seed in SEEDS],
    }
    first = routers["trained"][0]
    found: dict[str, Any] = {
        "layers": first.layers,
        "entropy of the choice": {
            name: _mean([[entropy(experts) for experts in draw.experts] for draw in draws])
            for name, draws in routers.items()
        },
    }
    for what, labels in token_labels(first, tokenizer).items():
        told = {name: [told_by_choices(draw, labels) for draw in draws] for name, draws in routers.items()}
        found[what] = {"entropy": round(told["trained"][0][0].entropy, 4)} | {
            name: {
                measure: _mean([[getattr(each, measure) for each in draw] for draw in draws])
                for measure in ("bits", "shuffled", "share")
            }
            for name, draws in told.items()
        }
    return found


@dataclass(frozen=True)
class Marks:
    """Which of Q questions are answered right: float64 [Q], 1 or 0, or a mean of several such."""

    turns: list[Turn]
    right: Tensor

    @property
    def share(self) -> float:
        """The part that is right, 0 to 1."""
        return float(self.right.mean())

    def by(self, attribute: str) -> dict[str, Marks]:
        """The marks of each `task`, or of each `language`, that there is."""
        parts = {}
        for value in ORDER[attribute]:
            if which := [number for number, turn in enumerate(self.turns) if getattr(turn, attribute) == value]:
                parts[value] = Marks([self.turns[number] for number in which], self.right[which])
        return parts


def marks(
    model: Llama4,
    examiner: Examiner,
    questions: Sequence[Question],
    changes: Sequence[Change] = (),
    layers: Sequence[int] | None = None,
) -> Marks:
    """Marks of the model, or their mean over several ways to change it, each made in the same layers; None is all."""
    if not changes:
        answers = [(answer.question.turn, answer.is_right) for answer in examiner.answers(model, questions)]
        return Marks([turn for turn, _ in answers], torch.tensor([is_right for _, is_right in answers]).double())
    each = []
    for change in changes:
        with change(model, layers=layers):
            each.append(marks(model, examiner, questions))
    return Marks(each[0].turns, torch.stack([one.right for one in each]).mean(0))


def effect(before: Marks, after: Marks) -> dict[str, float]:
    """What a change does: `right` after it, and `points lost` by it with their `standard error`.

    Both were asked the same questions, so only those count that are marked otherwise.
    """
    lost = 100 * (before.right - after.right)
    return {
        "right": round(after.share, 4),
        "points lost": round(float(lost.mean()), 4),
        "standard error": round(float(lost.std(correction=0)) / len(lost) ** 0.5, 4),
    }


def effects_by(attribute: str, before: Marks, after: Marks) -> dict[str, dict[str, float]]:
    """`effect` on each `task`, or on each `language`."""
    parts = after.by(attribute)
    return {value: effect(part, parts[value]) for value, part in before.by(attribute).items()}


def changes(model: Llama4) -> dict[str, list[Change]]:
    """What is done to a model, by name; what can be done in several ways is done in each, and averaged."""
    num_experts = model.text_config.num_experts
    return {
        "routed experts off": [routed_off],
        "shared expert off": [shared_off],
        "rotated to a wrong expert": [partial(rotated, shift=shift) for shift in SHIFTS if shift % num_experts],
        "untrained routers": [partial(untrained_routers, seed=seed) for seed in SEEDS],
        "one expert off": [partial(expert_off, expert=expert) for expert in range(num_experts)],
    }


def causal(model: Llama4, examiner: Examiner, questions: Sequence[Question]) -> dict[str, Any]:
    """What is lost by each of `changes`, made in all layers at once.

    Returns `effect` of each, and of `nothing changed`, and in it `effects_by` as `by task` and `by language`.
    """
    before = marks(model, examiner, questions)
    results = {name: marks(model, examiner, questions, ways) for name, ways in changes(model).items()}
    return {
        name: effect(before, after) | {
            "by task": effects_by("task", before, after), "by language": effects_by("language", before, after),
        }
        for name, after in ({"nothing changed": before} | results).items()
    }  # fmt: skip


def per_layer(model: Llama4, examiner: Examiner, questions: Sequence[Question]) -> dict[str, Any]:
    """Points that are lost by each of `CHANGES_PER_LAYER`, made in one layer alone.

    Returns `layers`, and by name a list with one number for each of them.
    """
    before, layers, ways = marks(model, examiner, questions), list(mixtures(model)), changes(model)

    def lost(name: str, layer: int) -> float:
        return effect(before, marks(model, examiner, questions, ways[name], [layer]))["points lost"]

    return {"layers": layers} | {name: [lost(name, layer) for layer in layers] for name in CHANGES_PER_LAYER}


def single_experts(model: Llama4, examiner: Examiner, questions: Sequence[Question]) -> dict[str, Any]:
    """What is lost when one expert of one layer is off: layers x experts, and for each all tasks and all languages.

    Returns how many `questions`; `layers`, `tasks` and `languages`, the names along the axes; `share of tokens`,
    `points lost` and their `standard error`, each [layers][experts]; points lost `by task` [layers][experts][tasks]
    and `by language`.
    """
    choices, before = expert_choices(model, examiner, questions), marks(model, examiner, questions)
    experts = range(model.text_config.num_experts)
    after = [
        [marks(model, examiner, questions, [partial(expert_off, expert=expert)], [layer]) for expert in experts]
        for layer in choices.layers
    ]

    def table(measure: Callable[[Marks, Marks], Any]) -> list[list[Any]]:
        return [[measure(before, one) for one in layer] for layer in after]

    return {
        "questions": len(questions),
        "layers": choices.layers,
        "tasks": list(before.by("task")),
        "languages": list(before.by("language")),
        "share of tokens": [
            _rounded(chosen.bincount(minlength=len(experts)) / len(chosen)) for chosen in choices.experts
        ],
        "points lost": table(lambda *both: effect(*both)["points lost"]),
        "standard error": table(lambda *both: effect(*both)["standard error"]),
        "by task": table(partial(_points_lost_by, "task")),
        "by language": table(partial(_points_lost_by, "language")),
    }


def _points_lost_by(attribute: str, before: Marks, after: Marks) -> list[float]:
    return [part["points lost"] for part in effects_by(attribute, before, after).values()]


def _mean(draws: Sequence[Sequence[float]]) -> list[float]:
    """The mean of several lists, number by number."""
    return _rounded(torch.tensor(draws, dtype=torch.float64).mean(0))


def _rounded(numbers: Tensor) -> list[float]:
    return [round(number, 4) for number in numbers.tolist()]
