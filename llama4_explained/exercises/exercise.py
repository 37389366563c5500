"""An exercise and its checker: what a reader wrote against what is right, from the smallest input on.

A checker never raises and never shows a solution. It says `not tried yet`, `right`, or on which input the answer is
wrong, in what it differs there, and a hint. If what came is what a known misconception gives, the hint speaks to that.
"""

from __future__ import annotations

import dis
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .difference import copied, difference, in_short

Answer = Callable[..., Any]
NOT_TRIED = "not tried yet"
FILLED = ("STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF", "RETURN_VALUE")  # what takes a left `...`


@dataclass(frozen=True)
class Misconception:
    """A wrong answer that stands for an idea people have: what it is called, what it gives, and a hint out of it."""

    name: str
    answer: Answer
    hint: str


@dataclass(frozen=True)
class Verdict:
    """What a checker says. In a notebook, it shows itself as its text."""

    is_right: bool
    text: str

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Exercise:
    """One task of a lesson.

    `right` gives the right result for each of `inputs`, which go from small to large and are the same at every call;
    `source` says where it comes from. A task that asks for a value, not for a function, has one empty input.

    Units:  `tolerance` in parts of the largest right number; whole numbers and truth values must be equal.
    """

    name: str
    source: str
    right: Answer
    inputs: Callable[[], Iterable[Sequence[Any]]]
    hint: str
    misconceptions: tuple[Misconception, ...] = ()
    tolerance: float = 1e-5

    def check(self, answer: Any) -> Verdict:
        """Compare a reader's function, or value, with what is right."""
        if _is_blank(answer):
            return Verdict(False, f"{self.name}: {NOT_TRIED}")
        inputs = list(self.inputs())
        for arguments in inputs:
            fault = self._fault(answer, arguments)
            if fault == NOT_TRIED:
                return Verdict(False, f"{self.name}: {NOT_TRIED}")
            if fault is not None:
                return Verdict(False, f"{self.name}: not yet. {fault}")
        times = f" on {len(inputs)} inputs" if len(inputs) > 1 else ""
        return Verdict(True, f"{self.name}: right{times}, as {self.source}.")

    def _fault(self, answer: Any, arguments: Sequence[Any]) -> str | None:
        """What is wrong with the answer to one input; None if it is right."""
        expected = self.right(*copied(arguments))
        is_value = not arguments and not callable(answer)
        given = copied(arguments)
        try:
            with torch.random.fork_rng(devices=[]):
                got = answer if is_value else answer(*given)
        except NotImplementedError:
            return NOT_TRIED
        except Exception as error:  # noqa: BLE001  whatever a reader wrote must not end the lesson
            return f"{_raised(error, answer)}{_where(arguments)}"
        if got is ...:
            return NOT_TRIED
        if difference(given, arguments, 0.0) is not None:
            return f"Your function changes what it is given; let it make something new instead.{_where(arguments)}"
        gap = difference(got, expected, self.tolerance)
        if gap is None:
            return None
        said = "" if is_value else f" {gap}.{_where(arguments)}"
        return f"{_kind(got, expected)}{said}\nHint: {self._hint(got, arguments)}"

    def _hint(self, got: Any, arguments: Sequence[Any]) -> str:
        for misconception in self.misconceptions:
            if difference(got, misconception.answer(*copied(arguments)), self.tolerance) is None:
                return misconception.hint
        return self.hint


def _kind(got: Any, expected: Any) -> str:
    if got is None:
        return "Your function returns nothing; is there a `return`?"
    if isinstance(expected, Tensor) and isinstance(got, Tensor) and got.shape != expected.shape:
        return "The shape is another:"
    return "That is not it." if not isinstance(expected, Tensor | tuple) else "The numbers are others:"


def _where(arguments: Sequence[Any]) -> str:
    """The input on which the answer is wrong, in short."""
    return "\nThe smallest input that shows it: " + ", ".join(map(in_short, arguments)) if arguments else ""


def _raised(error: Exception, answer: Any) -> str:
    """The error, and the line of the reader's own function that it came from."""
    code = getattr(answer, "__code__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if code and _is_in(frame, code)]
    place = f" in line {lines[-1]} of its cell" if lines else ""
    return f"Your function raises {type(error).__name__}{place}: {error}"


def _is_in(frame: traceback.FrameSummary, code: Any) -> bool:
    return frame.filename == code.co_filename and frame.name == code.co_name


def _is_blank(answer: Any) -> bool:
    """Whether nothing was filled in: `...` for a value, or a function that does nothing or has a `...` left in it."""
    if answer is ... or answer is None:
        return True
    code = getattr(answer, "__code__", None)
    if code is None:
        return False
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("RESUME", "NOP", "CACHE")]
    does_nothing = all(step.opname in ("LOAD_CONST", "RETURN_VALUE", "RETURN_CONST") for step in steps) and (
        steps[0].argval is None
    )
    # `x = ...` or `return ...`. As an index, in `x[...]`, it is used, not left.
    left = any(
        step.argval is ... and (step.opname == "RETURN_CONST" or following.opname.startswith(FILLED))
        for step, following in zip(steps, [*steps[1:], steps[-1]], strict=True)
        if step.opname in ("LOAD_CONST", "RETURN_CONST")
    )
    return does_nothing or left
