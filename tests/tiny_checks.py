"""The tiny setup and its checks, made once for all tests of a process."""

from functools import cache

from llama4_explained.check.compare import Check
from llama4_explained.check.pieces import PIECES
from llama4_explained.check.setups import Setup, make_setup


@cache
def tiny() -> Setup:
    return make_setup("tiny")


@cache
def check_of(name: str) -> Check:
    check = Check.of(PIECES[name], tiny())
    assert check is not None, "the tiny setup has every piece"
    return check
