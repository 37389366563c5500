"""Checkers: they say what is wrong, and nothing that a reader writes can break them."""

import pytest
import torch

from llama4_explained.exercises.difference import difference, in_short
from llama4_explained.exercises.exercise import Exercise, Misconception


def double(x):
    return 2 * x


def inputs():
    for size in (1, 4):
        yield (torch.arange(1.0, size + 1),)


DOUBLE = Exercise(
    "double",
    "twice it is",
    double,
    inputs,
    "Add it to itself.",
    (Misconception("square", lambda x: x * x, "No power."),),
)
SIX = Exercise(
    "six", "counted", lambda: 6, lambda: [()], "Count again.", (Misconception("five", lambda: 5, "Count the last."),)
)


def text(answer, exercise=DOUBLE):
    verdict = exercise.check(answer)
    assert verdict.text == repr(verdict)
    return verdict.text


def test_right_answers():
    assert DOUBLE.check(lambda x: x + x).is_right and DOUBLE.check(lambda x: x.double() * 2).is_right
    assert text(double) == "double: right on 2 inputs, as twice it is."
    assert text(6, SIX) == text(torch.tensor(6), SIX) == text(lambda: 6, SIX) == "six: right, as counted."


def nothing(x): ...


def docstring(x):
    """Fill this in."""


def passes(x):
    pass


def blank_inside(x):
    doubled = ...
    return doubled + 0


def returns_blank(x):
    return ...


def to_be_done(x):
    raise NotImplementedError


@pytest.mark.parametrize("answer", [..., None, nothing, docstring, passes, blank_inside, returns_blank, to_be_done])
def test_what_was_not_tried(answer):
    assert text(answer) == "double: not tried yet" and not DOUBLE.check(answer).is_right
    assert text(..., SIX) == "six: not tried yet"


def test_an_ellipsis_as_an_index_is_no_blank():
    def indexed(x):
        y = x.clone()
        y[...] = 2 * x[..., :]
        return y[..., :]

    assert DOUBLE.check(indexed).is_right


def raises(x):
    y = x + 1
    return y.no_such_method()


def edits(x):
    x *= 2
    return x


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda x: x * x, "Hint: No power."),
        (lambda x: 3 * x, "3 at [0] instead of 2.\nThe smallest input that shows it: [1.0]\nHint: Add it to itself."),
        (lambda x: 2 * x[:1], "The shape is another: shape [1] instead of [4]."),
        (lambda x: x * float("nan"), "nan at [0] instead of 2"),
        (lambda x: [2 * x], "instead of a tensor"),
        (lambda x: x.sum(1), "Your function raises IndexError in line"),
        (raises, "no_such_method"),
        (lambda x, y: x, "Your function raises TypeError: "),
        (edits, "changes what it is given"),
        (lambda x: print(end=""), "returns nothing; is there a `return`?"),
        (7, "not callable"),
    ],
)
def test_what_is_said_of_wrong_answers(answer, says):
    assert says in text(answer) and not DOUBLE.check(answer).is_right
    assert "not tried" not in text(answer)


def test_a_value_is_not_given_away():
    assert text(5, SIX) == "six: not yet. That is not it.\nHint: Count the last."
    assert text(4, SIX) == "six: not yet. That is not it.\nHint: Count again."
    assert all("6" not in text(value, SIX) for value in (5, "x", torch.zeros(2), [1], {}))


def test_the_line_of_an_error_is_the_readers():
    line = raises.__code__.co_firstlineno + 2
    assert f"in line {line} of its cell" in text(raises)


def test_chance_is_the_same_before_and_after():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    DOUBLE.check(lambda x: x + torch.rand(1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("got", "expected", "gap"),
    [
        (1, 1.0, None),
        (1.0000001, 1.0, None),
        (True, True, None),
        (2, 3, "2 instead of 3"),
        (torch.tensor([1, 2]), torch.tensor([1.0, 2.0]), None),
        (torch.tensor([1.0, 2.1]), torch.tensor([1, 2]), "2.1 at [1] instead of 2"),
        ((1, 2), [1, 2], None),
        ((1, 2), (1, 2, 3), "(1, 2) instead of 3 results"),
        ((1, torch.zeros(2)), (1, torch.ones(2)), "result 1: 0 at [0] instead of 1"),
        ({"a": 1}, {"a": 2}, "result a: 1 instead of 2"),
        ({"b": 1}, {"a": 2}, "{'b': 1} instead of a dict of 'a'"),
        ("yes", "no", "'yes' came"),
        (torch.ones(2), 3, "shape [2] instead of one number"),
        (torch.zeros(0), torch.zeros(0), None),
    ],
)
def test_differences(got, expected, gap):
    assert difference(got, expected, 1e-5) == gap


def test_values_in_short():
    assert in_short(torch.tensor([[1.23456, 2.0]])) == "[[1.235, 2.0]]"
    assert in_short(torch.zeros(3, 5)) == "a tensor of shape [3, 5]"
    assert in_short("x" * 200).endswith("...") and len(in_short("x" * 200)) == 100
