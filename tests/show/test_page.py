import pytest
import torch

from llama4_explained.check.compare import FACTORS, Result
from llama4_explained.show.page import Page, abridged
from llama4_explained.tiny.tasks import Turn
from tiny_world import processor

TENSOR = torch.zeros(1, 2)
FACTOR = FACTORS[torch.float32]


@pytest.mark.parametrize(
    ("result", "shown", "is_equal"),
    [
        (Result("x", 0.0, 0.0, 0.0), "equal", True),
        (Result("x", 3e-6, 1e-6, FACTOR * 1e-6), "3.0e-06", True),
        (Result("x", 3e-3, 1e-6, FACTOR * 1e-6), "3.0e-03", False),
        (Result("x", float("nan"), 1e-6, FACTOR * 1e-6), "nan", False),
        (Result("x", float("inf"), 0.0, 0.0), "inf", False),
    ],
)
def test_rows_tell_how_far_a_tensor_is_from_theirs(result, shown, is_equal, capsys):
    page = Page()
    page.heading("Chapter")
    page.row("x", TENSOR, "a tensor", result)
    page.row("y", TENSOR, "one that they have not")
    assert page.close("tour.png") == (0 if is_equal else 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "1. Chapter" and lines[2].split()[0] == "tensor"  # the header, once
    assert lines[3].split()[:4] == ["x", "[1,", "2]", shown] and lines[4].split()[3] == "one"
    assert ("All 1 tensors" in lines[6]) == is_equal and ("1 of 1 tensors differ" in lines[6]) != is_equal


def test_a_wrong_answer_is_printed_and_one_unlike_theirs_counts(capsys):
    page, turn = Page(), Turn("count", "en", "How many?", "Two.")
    page.answer("English", turn, "Three.", as_hf=True)
    assert not page.wrong
    page.answer("English", turn, "Two.", as_hf=False)
    assert page.compared == 2 and page.wrong == ["the answer to 'How many?'"]
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert "Three." in first and "Two." in first and "not" in second


def test_runs_of_patch_tokens_are_counted():
    ids = processor().tokenizer.encode
    text = abridged(processor(), [*ids("A\n"), *[1991] * 3, *ids("B"), 1991])
    assert text == "A\\n <|patch|> x 3 B <|patch|> x 1 "
