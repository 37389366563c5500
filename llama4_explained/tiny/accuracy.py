"""How often a model is right: what it is asked, and its marks as tables.

Tables are dicts whose entries are {"right": share of 0 to 1, "questions": how many}; the share is None where there was
no question. Each part of the exam has as many questions of every task and language, so a share of several tasks is
their mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..model import Llama4
from .exam import (
    FIRST_SEED,
    Answer,
    Examiner,
    Question,
    lookup_questions,
    picture_questions,
    reading_questions,
    translation_questions,
)
from .languages import CODES
from .languages.language import MOST_OBJECTS
from .scenes import CANVASES, UNSEEN
from .tasks import PICTURE_TASKS, TEXT_TASKS

COUNT_TASKS = ("count", "count_shape", "count_color")
# Among how many notes something is looked up. Training shows up to 12, and 48 is four times that. Ranges, because texts
# of equally many notes are equally long, but for the language: all answers would start at a few places of their chunk.
NOTES = {"1": range(1, 2), "2-4": range(2, 5), "5-12": range(5, 13), "22-30": range(22, 31), "44-52": range(44, 53)}
TRAINED, LONG = "5-12", "44-52"
LONGER_THAN_A_CHUNK = (TRAINED, "22-30", LONG)
LOOKUPS = {"1": 4, TRAINED: 2}  # so many times the questions of each number of notes; else once
NEAR = 8  # tokens after the edge of a chunk, within which an answer is not "away from chunk edges"

Exam = dict[str, list[Question]]
Entry = dict[str, Any]
Table = dict[str, Entry]


def exam_of(number: int) -> Exam:
    """The questions, `number` of each task and language in every part; of lookup, for each number of notes, or a few
    times as many.

    The parts: "seen" and "unseen" (pictures of one tile), the larger canvases ("1 x 2", rows first), "translation",
    "reading", and lookup among so many notes ("5-12 notes").
    """
    exam = {"seen": picture_questions(number), "unseen": picture_questions(number, things=UNSEEN)}
    exam |= {canvas_name(canvas): picture_questions(number, canvas) for canvas in CANVASES[1:]}
    exam |= {"translation": translation_questions(number), "reading": reading_questions(number)}
    for name, numbers_of_notes in NOTES.items():
        times = LOOKUPS.get(name, 1)
        exam[f"{name} notes"] = [
            question
            for num_notes in numbers_of_notes
            # Seeds of its own: the same one would give 23 notes the keys and values of 22, and one more.
            for question in lookup_questions(times * number, num_notes, seed=FIRST_SEED + num_notes * 2**20)
        ]
    return exam


def canvas_name(canvas: tuple[int, int]) -> str:
    """Rows and columns of tiles, as "1 x 2"."""
    return f"{canvas[0]} x {canvas[1]}"


def answers_to(exam: Exam, model: Llama4, examiner: Examiner) -> Iterator[tuple[str, Answer]]:
    """Every answer, and the part of the exam that its question is from. The same exam gives the same order."""
    for part, questions in exam.items():
        for answer in examiner.answers(model, questions):
            yield part, answer


@dataclass(frozen=True)
class Mark:
    """What counts of one answer."""

    part: str  # of the exam
    task: str
    language: str  # its code
    objects: int  # in the picture, 0 without one
    position: int  # of the answer's first token
    is_right: bool
    nats: float  # of the whole answer
    tokens: int  # of the answer

    @classmethod
    def of(cls, part: str, answer: Answer) -> Mark:
        """The mark that an answer gets."""
        turn, scene = answer.question.turn, answer.question.scene
        objects = 0 if scene is None else len(scene.items)
        return cls(
            part, turn.task, turn.language, objects, answer.position, answer.is_right, answer.nats, len(answer.target)
        )


def tabulate(marks: Iterable[Mark], chunk_size: int | None) -> dict[str, Any]:
    """All tables of one model, from its marks for a whole exam.

    "summary": the numbers to judge a model by; "count" is the mean of the three tasks that count, "worst language" the
        lowest of "languages", "unseen" the mean over all tasks, "several tiles" that of all canvases but one tile;
        "lookup" is among 5 to 12 notes, "lookup, 4 times as long" among 44 to 52, both away from chunk edges.
    "tasks": "seen" and "unseen", by task and for "all tasks", pictures of one tile.
    "languages", "objects": of "seen", by code and by number of objects.
    "tiles": by canvas, seen pairs.
    "texts": translation and reading.
    "lookup": "notes" by number of notes, which also says the mean length before the answer in tokens; "away from chunk
        edges" the same for answers that start 8 or more tokens after an edge; "positions" by number of notes and then
        by where the answer starts in its chunk, in any chunk but the first.
    "perplexity": by task, {"perplexity": per token of the answer, "tokens": how many}; pictures of one tile, seen
        pairs; lookup among 5 to 12 notes.

    Units:  chunk_size in tokens; None: there are no chunks, so that no answer is near an edge.
    """
    by_part: dict[str, list[Mark]] = {}
    for mark in marks:
        by_part.setdefault(mark.part, []).append(mark)
    seen = by_part["seen"]
    tasks = {pairs: _by_task(by_part[pairs]) for pairs in ("seen", "unseen")}
    languages = _table(seen, lambda mark: mark.language, CODES)
    several_tiles = {canvas_name(canvas): by_part[canvas_name(canvas)] for canvas in CANVASES[1:]}
    notes = {name: by_part[f"{name} notes"] for name in NOTES}
    away = {name: share([mark for mark in of if is_away(mark, chunk_size)]) for name, of in notes.items()}
    texts = {task: by_part[task] for task in ("translation", "reading")}
    answered = [*seen, *texts["translation"], *texts["reading"], *notes[TRAINED]]
    summary = {
        "caption": tasks["seen"]["caption"],
        "count": share([mark for mark in seen if mark.task in COUNT_TASKS]),
        **{task: tasks["seen"][task] for task in ("color", "shape", "existence", "relation")},
        "unseen": tasks["unseen"]["all tasks"],
        "worst language": min(languages.values(), key=lambda entry: entry["right"]),
        "several tiles": share([mark for of in several_tiles.values() for mark in of]),
        "lookup": away[TRAINED],
        "lookup, 4 times as long": away[LONG],
    }
    return {
        "summary": summary,
        "tasks": tasks,
        "languages": languages,
        "objects": _table(seen, lambda mark: str(mark.objects), map(str, range(1, MOST_OBJECTS + 1))),
        "tiles": {name: share(of) for name, of in ({canvas_name(CANVASES[0]): seen} | several_tiles).items()},
        "texts": {name: share(of) for name, of in texts.items()},
        "lookup": {
            "notes": {
                name: share(of) | {"tokens": _mean([mark.position for mark in of])} for name, of in notes.items()
            },
            "away from chunk edges": away,
            "positions": {name: by_position(notes[name], chunk_size) for name in LONGER_THAN_A_CHUNK},
        },
        "perplexity": {
            task: perplexity([mark for mark in answered if mark.task == task]) for task in (*PICTURE_TASKS, *TEXT_TASKS)
        },
    }


def share(marks: Sequence[Mark]) -> Entry:
    """Which part of the answers is right."""
    return {"right": _mean([mark.is_right for mark in marks]), "questions": len(marks)}


def perplexity(marks: Sequence[Mark]) -> Entry:
    """Among how many equally likely tokens the model seems to choose, at each token of the answers."""
    tokens = sum(mark.tokens for mark in marks)
    nats = sum(mark.nats for mark in marks)
    return {"perplexity": math.exp(nats / tokens), "tokens": tokens}


def by_position(marks: Sequence[Mark], chunk_size: int | None) -> Table:
    """By how many tokens after the edge of a chunk the answer starts; the first chunk, which has none, left out."""
    if chunk_size is None:
        return {}
    edges = sorted({0, chunk_size // 8, chunk_size // 4, chunk_size // 2, chunk_size})
    names = {f"{low}-{high - 1}": range(low, high) for low, high in pairwise(edges)}
    later = [mark for mark in marks if mark.position >= chunk_size]
    return {
        name: share([mark for mark in later if mark.position % chunk_size in within]) for name, within in names.items()
    }


def is_away(mark: Mark, chunk_size: int | None) -> bool:
    """Whether the answer starts `NEAR` or more tokens after the edge of its chunk."""
    return chunk_size is None or mark.position % chunk_size >= NEAR


def mean_of(tables: Sequence[Any]) -> Any:
    """The mean of every number of equal tables; what all have in common stays as it is.

    None where one of them is None.
    """
    first = tables[0]
    if isinstance(first, Mapping):
        return {key: mean_of([table[key] for table in tables]) for key in first}
    if all(value == first for value in tables):
        return first
    return None if None in tables else sum(tables) / len(tables)


def _table(marks: Sequence[Mark], key: Callable[[Mark], str], names: Iterable[str]) -> Table:
    return {name: share([mark for mark in marks if key(mark) == name]) for name in names}


def _by_task(marks: Sequence[Mark]) -> Table:
    return _table(marks, lambda mark: mark.task, PICTURE_TASKS) | {"all tasks": share(marks)}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
