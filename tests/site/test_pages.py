"""The examples on the pages of instructions, run. They need no built site."""

import doctest
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "how-to").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_give_what_the_page_says(page: Path):
    failed, _ = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert failed == 0


def test_some_examples_are_run():
    assert sum(page.read_text(encoding="utf-8").count(">>> ") for page in PAGES) > 10
