"""Questions that training never asked, and marks for a model's answers.

An answer is right if it is so to the last token, as greedy generation would write it. Nothing needs to be generated to
know: the model reads question and right answer at once, and at each token of the answer that token must be the
likeliest. One forward pass marks many questions.

Shapes: B questions, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby, islice

import torch
import torch.nn.functional as F
from torch import Tensor

from ..loss import IGNORED
from ..model import Llama4
from ..processor import Processor
from .batches import Painter, scenes_as_numbers
from .dialogues import DialogueEncoder
from .languages import ALL
from .languages.language import Language, Thing
from .scenes import SEEN, Draw, Scene, make_scene
from .tasks import PICTURE_TASKS, Turn, ask, look_up, read, translate

FIRST_SEED = 2**60  # training stays far below
LONGEST = 1024  # tokens of a question and its answer


@dataclass(frozen=True)
class Question:
    """One turn, and the picture that it is about."""

    turn: Turn
    scene: Scene | None = None


def picture_questions(
    number: int,
    canvas: tuple[int, int] = (1, 1),
    things: Sequence[Thing] = SEEN,
    languages: Sequence[Language] = ALL,
    tasks: Sequence[str] = PICTURE_TASKS,
    seed: int = FIRST_SEED,
) -> list[Question]:
    """`number` questions of each task in each language, each about a picture of its own, drawn from `things`."""
    seeds, questions = count(seed), []
    for language in languages:
        for task in tasks:
            wanted = len(questions) + number
            while len(questions) < wanted:
                scene = make_scene(next(seeds), canvas, things=things)
                turn = ask(task, scene, language, Draw(next(seeds)), things)
                if turn is not None:
                    questions.append(Question(turn, scene))
    return questions


def translation_questions(number: int, languages: Sequence[Language] = ALL, seed: int = FIRST_SEED) -> list[Question]:
    """`number` translations out of each language, into any other."""
    draws, questions = map(Draw, count(seed)), []
    for language in languages:
        others = [other for other in ALL if other is not language]
        for draw in islice(draws, number):
            questions.append(Question(translate(language, draw.choice(others), draw)))
    return questions


def reading_questions(number: int, languages: Sequence[Language] = ALL, seed: int = FIRST_SEED) -> list[Question]:
    """`number` questions in each language about scenes that are described."""
    draws = map(Draw, count(seed))
    return [Question(read(language, next(draws))) for language in languages for _ in range(number)]


def lookup_questions(
    number: int, num_notes: int, languages: Sequence[Language] = ALL, seed: int = FIRST_SEED
) -> list[Question]:
    """`number` questions in each language, each for one of `num_notes` notes."""
    draws = map(Draw, count(seed))
    return [
        Question(look_up(language, next(draws), num_notes)[0]) for language in languages for _ in range(number)
    ]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a model thinks at each token of the right answer, of which there are A."""

    question: Question
    position: int  # of the answer's first token
    target: Tensor  # int64 [A], the token that ends the turn included
    logits: Tensor  # float32 [A, V]

    @property
    def is_right(self) -> bool:
        """Whether greedy generation would write exactly this answer."""
        return bool((self.logits.argmax(-1) == self.target).all())

    @property
    def nats(self) -> float:
        """How surprised the model is by the whole answer: exp(sum of nats / number of tokens) is its perplexity."""
        return float(F.cross_entropy(self.logits, self.target, reduction="sum"))


class Examiner:
    """Puts questions to models, on the device and in the type that they are in."""

    def __init__(self, processor: Processor, batch_size: int = 64) -> None:
        self._encoder = DialogueEncoder(processor.chat_format(), LONGEST)
        self._batch_size = batch_size

    @torch.no_grad()
    def answers(self, model: Llama4, questions: Sequence[Question]) -> Iterator[Answer]:
        """One answer a question, in an order of its own: like questions together, because that is quicker.

        Errors: ValueError if a question has more than `LONGEST` tokens.
        """
        painter = Painter(next(model.parameters()).device)
        rows = [Row(question, *self._encoder.encode([question.turn], question.scene)[:2]) for question in questions]
        rows.sort(key=lambda row: (row.canvas, row.stop))
        for _, alike in groupby(rows, key=lambda row: row.canvas):
            while batch := list(islice(alike, self._batch_size)):
                yield from self._batch_answers(model, painter, batch)

    def _batch_answers(self, model: Llama4, painter: Painter, batch: list[Row]) -> Iterator[Answer]:
        device, stop = next(model.parameters()).device, max(row.stop for row in batch)
        input_ids = torch.tensor([row.ids[:stop] for row in batch], device=device)  # [B, T]
        scenes = [row.question.scene for row in batch if row.question.scene is not None]
        numbers = {name: tensor.to(device) for name, tensor in scenes_as_numbers(scenes).items()}
        logits = model(input_ids, painter.tiles(numbers) if scenes else None)  # [B, T, V]
        for row, row_logits in zip(batch, logits.float(), strict=True):
            answer = slice(row.start, row.stop)
            target = torch.tensor(row.ids[answer], device=device)
            # A copy: an answer that is kept shall not keep the logits of its whole batch.
            yield Answer(row.question, row.start, target, row_logits[row.start - 1 : row.stop - 1].clone())


@dataclass(frozen=True)
class Row:
    """A question with its right answer, as token ids, padding included; labels mark the answer."""

    question: Question
    ids: list[int]
    labels: list[int]

    @property
    def canvas(self) -> tuple[int, int]:
        scene = self.question.scene
        return (0, 0) if scene is None else (scene.rows, scene.columns)

    @property
    def start(self) -> int:
        """Of the answer, which ends the conversation."""
        return next(position for position, label in enumerate(self.labels) if label != IGNORED)

    @property
    def stop(self) -> int:
        return self.start + sum(label != IGNORED for label in self.labels)


def share_right(answers: Iterable[Answer]) -> float:
    """Which part of the answers is right, 0 to 1."""
    marks = [answer.is_right for answer in answers]
    return sum(marks) / len(marks)
