"""What every exercise must do, whatever its lesson."""

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType

from llama4_explained.exercises.exercise import Exercise


def exercises_of(*lessons: ModuleType) -> list[Exercise]:
    """All that the modules define."""
    return [value for lesson in lessons for value in vars(lesson).values() if isinstance(value, Exercise)]


def assert_accepts(exercise: Exercise, answers: Iterable[Callable]) -> None:
    """Right answers that are written differently, two at least."""
    answers = list(answers)
    assert len(answers) >= 2
    for answer in answers:
        assert exercise.check(answer).is_right, exercise.check(answer)


def assert_tells_apart(exercise: Exercise, as_written: Mapping[str, Callable] | None = None) -> None:
    """Every misconception is rejected, with its own hint and another text than all others.

    `as_written` has, by name, how a reader would write one, where that is not what the exercise compares with.
    """
    texts = []
    for misconception in exercise.misconceptions:
        verdict = exercise.check((as_written or {}).get(misconception.name, misconception.answer))
        assert not verdict.is_right and verdict.text.endswith(f"Hint: {misconception.hint}"), misconception.name
        texts.append(verdict.text)
    assert len(set(texts)) == len(texts) >= 2
