"""Tables of models whose answers are known: what they get wrong shows where it should, and nowhere else."""

import math
from dataclasses import replace

import pytest
import torch

from llama4_explained import TINY, Llama4
from llama4_explained.tiny.accuracy import (
    Mark,
    answers_to,
    by_position,
    exam_of,
    is_away,
    mean_of,
    perplexity,
    share,
    tabulate,
)
from llama4_explained.tiny.exam import Answer, Examiner
from llama4_explained.tiny.languages import CODES
from llama4_explained.tiny.scenes import CANVASES, SEEN, UNSEEN
from llama4_explained.tiny.tasks import PICTURE_TASKS

MARK = Mark("seen", "color", "en", objects=2, position=40, is_right=True, nats=1.0, tokens=2)


@pytest.fixture(scope="module")
def exam():
    return exam_of(1)


with torch.device("meta"):
    MODEL = Llama4(TINY)  # which nobody asks


class Rigged(Examiner):
    """An examiner whose model gives the right answer, of two tokens, to all questions but those that `fails` names."""

    def __init__(self, fails):
        self.fails = fails

    def answers(self, model, questions):
        for number, question in enumerate(questions):
            wrong = self.fails(question)
            logits = torch.tensor([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0] if wrong else [0.0, 0.0, 9.0]])
            yield Answer(question, 64 + number % 64, torch.tensor([1, 2]), logits)


def tables_of(exam, fails, parts=None):
    """What `tabulate` makes of a model that `fails` at questions of these parts of the exam; None is all."""
    marks = []
    for part, questions in exam.items():
        failing = fails if parts is None or part in parts else lambda question: False
        marks += [Mark.of(part, answer) for _, answer in answers_to({part: questions}, MODEL, Rigged(failing))]
    return tabulate(marks, 64)


def shares(tables, path=()):
    """All entries as a flat dict: path -> share."""
    found = {}
    for name, table in tables.items():
        if "right" in table:
            found[(*path, name)] = table["right"]
        elif "perplexity" not in table:
            found |= shares(table, (*path, name))
    return found


def not_one(tables):
    return {path: right for path, right in shares(tables).items() if right != 1}


def test_the_exam_asks_every_part_in_every_language(exam):
    tasks = {part: set(PICTURE_TASKS) for part in ("seen", "unseen", "1 x 2", "2 x 1", "2 x 2")}
    tasks |= {"translation": {"translation"}, "reading": {"reading"}}
    tasks |= {f"{notes} notes": {"lookup"} for notes in ("1", "2-4", "5-12", "22-30", "44-52")}
    assert {part: {question.turn.task for question in questions} for part, questions in exam.items()} == tasks
    assert all({question.turn.language for question in questions} == set(CODES) for questions in exam.values())
    sizes = [
        len(exam[part]) for part in ("seen", "unseen", "2 x 2", "translation", "1 notes", "5-12 notes", "44-52 notes")
    ]
    assert sizes == [104, 104, 104, 13, 52, 208, 117]


def test_the_exam_shows_what_it_says(exam):
    for part, things, canvas in [("seen", SEEN, (1, 1)), ("unseen", UNSEEN, (1, 1)), ("2 x 1", SEEN, (2, 1))]:
        scenes = [question.scene for question in exam[part]]
        assert {thing for scene in scenes for thing in scene.things} <= set(things)
        assert {(scene.rows, scene.columns) for scene in scenes} == {canvas}
    for notes, low, high in [("1", 1, 1), ("2-4", 2, 4), ("5-12", 5, 12), ("22-30", 22, 30), ("44-52", 44, 52)]:
        lines = {len(question.turn.question.splitlines()) - 1 for question in exam[f"{notes} notes"]}
        assert lines == set(range(low, high + 1))
    notes = {question.turn.question.split("\n")[0] for question in exam["44-52 notes"]}
    assert len(notes) > 110, "no two texts begin alike, but by chance"


def test_who_knows_everything_is_right_everywhere(exam):
    tables = tables_of(exam, lambda question: False)
    assert not not_one(tables) and len(shares(tables)) == 74
    assert list(tables["summary"]) == [
        "caption", "count", "color", "shape", "existence", "relation", "unseen", "worst language", "several tiles",
        "lookup", "lookup, 4 times as long",
    ]  # fmt: skip


@pytest.mark.parametrize("task", PICTURE_TASKS)
def test_one_task_that_goes_wrong_shows_there_and_nowhere_else(exam, task):
    """One of eight tasks, which has an eighth of all questions."""
    found = not_one(tables_of(exam, lambda question: question.turn.task == task))
    count = task.startswith("count")
    assert found.pop(("summary", "count" if count else task)) == pytest.approx(2 / 3 if count else 0)
    assert found.pop(("tasks", "seen", task)) == found.pop(("tasks", "unseen", task)) == 0
    objects = {path: found.pop(path) for path in list(found) if path[0] == "objects"}
    assert objects and all(0 < right < 1 for right in objects.values())
    mixed = {("tasks", "seen", "all tasks"), ("tasks", "unseen", "all tasks")}
    mixed |= {("summary", name) for name in ("unseen", "worst language", "several tiles")}
    mixed |= {("languages", code) for code in CODES} | {("tiles", f"{rows} x {columns}") for rows, columns in CANVASES}
    assert found == dict.fromkeys(mixed, 7 / 8)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("seen", {("summary", name): 0 for name in
                  ("caption", "count", "color", "shape", "existence", "relation", "worst language")}
         | {("tasks", "seen", name): 0 for name in (*PICTURE_TASKS, "all tasks")}
         | {("languages", code): 0 for code in CODES} | {("objects", str(number)): 0 for number in range(1, 5)}
         | {("tiles", "1 x 1"): 0}),
        ("unseen", {("summary", "unseen"): 0}
         | {("tasks", "unseen", name): 0 for name in (*PICTURE_TASKS, "all tasks")}),
        ("1 x 2", {("summary", "several tiles"): 2 / 3, ("tiles", "1 x 2"): 0}),
        ("translation", {("texts", "translation"): 0}),
        ("reading", {("texts", "reading"): 0}),
        ("2-4 notes", {("lookup", "notes", "2-4"): 0, ("lookup", "away from chunk edges", "2-4"): 0}),
        *[
            (f"{notes} notes",
             {("lookup", table, notes): 0 for table in ("notes", "away from chunk edges")}
             | {("lookup", "positions", notes, group): 0 for group in ("0-7", "8-15", "16-31", "32-63")} | more)
            for notes, more in [("5-12", {("summary", "lookup"): 0}), ("22-30", {}),
                                ("44-52", {("summary", "lookup, 4 times as long"): 0})]
        ],
    ],
)  # fmt: skip
def test_one_part_that_goes_wrong_shows_there_and_nowhere_else(exam, part, expected):
    assert not_one(tables_of(exam, lambda question: True, parts=[part])) == pytest.approx(expected)


def test_the_worst_language_is_the_lowest(exam):
    tables = tables_of(exam, lambda question: question.turn.language == "th" and question.turn.task != "color")
    assert tables["languages"]["th"] == tables["summary"]["worst language"] == {"right": 1 / 8, "questions": 8}
    assert {code for code, entry in tables["languages"].items() if entry["right"] != 1} == {"th"}
    assert tables["summary"]["caption"] == {"right": 12 / 13, "questions": 13}


def test_objects_are_counted_in_the_picture(exam):
    fails = lambda question: question.scene is not None and len(question.scene.items) == 3  # noqa: E731
    objects = tables_of(exam, fails)["objects"]
    assert {name: entry["right"] for name, entry in objects.items()} == {"1": 1, "2": 1, "3": 0, "4": 1}
    assert sum(entry["questions"] for entry in objects.values()) == 104


@pytest.mark.parametrize(
    ("position", "group", "away"),
    [
        (7, None, False), (8, None, True), (63, None, True), (64, "0-7", False), (71, "0-7", False),
        (72, "8-15", True), (79, "8-15", True), (80, "16-31", True), (95, "16-31", True), (96, "32-63", True),
        (127, "32-63", True), (128, "0-7", False), (64 * 7 + 8, "8-15", True),
    ],
)  # fmt: skip
def test_positions_after_a_chunk_edge(position, group, away):
    mark = replace(MARK, position=position)
    table = by_position([mark], 64)
    assert list(table) == ["0-7", "8-15", "16-31", "32-63"]
    assert [name for name, entry in table.items() if entry["questions"]] == ([group] if group else [])
    assert is_away(mark, 64) is away


def test_positions_follow_the_size_of_chunks():
    table = by_position([replace(MARK, position=position) for position in (31, 35, 36, 63)], 32)
    assert {name: entry["questions"] for name, entry in table.items()} == {"0-3": 1, "4-7": 1, "8-15": 0, "16-31": 1}
    assert table["8-15"]["right"] is None
    assert by_position([MARK], None) == {} and is_away(replace(MARK, position=64), None)


def test_answers_near_an_edge_do_not_count_as_away(exam):
    """Rigged positions are 64, 65, ... 127 in turn: of 52 questions, 8 start within 8 tokens after the edge at 64."""
    tables = tables_of(exam, lambda question: False)
    assert tables["lookup"]["notes"]["1"] == {"right": 1, "questions": 52, "tokens": 64 + 51 / 2}
    assert tables["lookup"]["away from chunk edges"]["1"]["questions"] == 44


def test_a_share_and_a_perplexity_by_hand():
    marks = [replace(MARK, is_right=right, nats=nats, tokens=n) for right, nats, n in [(True, 1, 2), (False, 5, 1)]]
    assert share([*marks, MARK]) == {"right": 2 / 3, "questions": 3}
    assert perplexity(marks) == {"perplexity": pytest.approx(math.exp(2)), "tokens": 3}
    assert share([]) == {"right": None, "questions": 0}


def test_perplexity_is_that_of_its_task(exam):
    """Per token: 1 + 2 / e^9 where it is sure of what is right, and the root of that times e^9 + 2 where the second
    token is wrong."""
    table = tables_of(exam, lambda question: question.turn.task == "relation")["perplexity"]
    sure = 1 + 2 * math.exp(-9)
    for task, entry in table.items():
        expected = (sure * (math.exp(9) + 2)) ** 0.5 if task == "relation" else sure
        assert entry["perplexity"] == pytest.approx(expected)
        assert entry["tokens"] == 2 * (208 if task == "lookup" else 13)


def test_the_mean_of_tables():
    first = {"a": {"right": 0.5, "questions": 4}, "b": {"right": None, "questions": 0}, "bytes": 7}
    second = {"a": {"right": 1.0, "questions": 4}, "b": {"right": 0.5, "questions": 1}, "bytes": 7}
    mean = mean_of([first, second])
    assert mean == {"a": {"right": 0.75, "questions": 4}, "b": {"right": None, "questions": 0.5}, "bytes": 7}
    assert isinstance(mean["bytes"], int) and mean_of([first]) == first
