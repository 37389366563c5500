"""How a mistake is made in our model on purpose, and undone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from ..model import Llama4

PACKAGE = __name__.partition(".")[0]
Change = AbstractContextManager[Any]  # in force inside its `with` block, undone after it


@dataclass(frozen=True)
class Mutant:
    """One mistake: its name, the pieces that must fail with it, and how to make it."""

    name: str
    caught_by: tuple[str, ...]
    applied_to: Callable[[Llama4], Change]


REGISTERED: list[Mutant] = []  # `mutants.MUTANTS` is the registry


def mutant(name: str, *caught_by: str) -> Any:
    """Register the decorated function, which makes the mistake in a model for as long as its context lasts."""

    def register(applied_to: Callable[[Llama4], Change]) -> Any:
        REGISTERED.append(Mutant(name, caught_by, applied_to))
        return applied_to

    return register


@contextmanager
def replaced(original: Callable[..., Any], make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Inside, every module of this package that knows the function `original` has `make(original)` in its place."""
    replacement = make(original)
    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == PACKAGE:
                for attribute, value in list(vars(module).items()):
                    if value is original:
                        stack.enter_context(mock.patch.object(module, attribute, replacement))
        yield


def replaced_method(kind: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Change:
    """Inside, the method `name` of a class is `make(the original)`."""
    return mock.patch.object(kind, name, make(getattr(kind, name)))


@contextmanager
def all_of(*contexts: Change) -> Iterator[None]:
    """Several changes at once."""
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


@contextmanager
def changed(objects: Any, attribute: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, `attribute` of every object is `make(its value)`."""
    saved = [(each, getattr(each, attribute)) for each in objects]
    try:
        for each, value in saved:
            setattr(each, attribute, make(value))
        yield
    finally:
        for each, value in saved:
            setattr(each, attribute, value)
