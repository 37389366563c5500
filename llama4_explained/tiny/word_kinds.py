"""What a text token says: a shape, a colour, a number, a key to look up; or whether it is a control token.

A text is cut into tokens by what is frequent, not by what it means; in Thai, one token may be two words. So nobody
lists the words. The languages are asked instead: a token is a shape if all sentences with it name one and the same
shape, and so on. Pieces that several words share are `other`, as is all that questions and grammar are made of.
(English "an" is a colour: it stands before "orange" alone.)
"""

from __future__ import annotations

from collections.abc import Iterator

from ..tokenizer import Tokenizer
from .languages.language import CODES, COLORS, DIRECTIONS, MOST_OBJECTS, SHAPES, Group, Language
from .scenes import EVERYTHING
from .tasks import KEYS

# A token that says two of these is the first of them: Arabic has a form for "two stars", which is a shape.
KINDS = ("shape", "color", "number", "key", "control", "other")
DIGITS = "0123456789"

Name = tuple[str, str | int]  # a kind, and what is named: ("shape", "star"), ("number", 2), ("key", "K")


def word_kinds(tokenizer: Tokenizer, language: Language) -> list[str]:
    """One of `KINDS` for every token id, V of them, as a conversation in this language means it."""
    in_common: dict[int, set[Name]] = {}
    for text, names in sentences(language):
        for token in set(tokenizer.encode(text)):
            in_common[token] = in_common.get(token, names) & names
    kinds = ["other"] * tokenizer.vocab_size
    for token, names in in_common.items():
        kinds[token] = min((kind for kind, _ in names), key=KINDS.index, default="other")
    for token in tokenizer.special_ids.values():
        kinds[token] = "control"
    return kinds


def sentences(language: Language) -> Iterator[tuple[str, set[Name]]]:
    """Sentences of all sorts, every word beside many others, each sentence with what it names."""
    yield from ((text, set()) for text in ("user", "assistant", "\n\n", "\n"))
    yield from ((text, set()) for text in (language.ask_caption(), language.ask_count(), language.yes(), language.no()))
    yield from ((language.relation(direction), set()) for direction in DIRECTIONS)
    yield from ((language.ask_translation(code, ""), set()) for code in CODES if code != language.code)
    yield from _of_one_thing(language)
    yield from _of_two_things(language)
    yield from _of_notes(language)


def _of_one_thing(language: Language) -> Iterator[tuple[str, set[Name]]]:
    for shape in SHAPES:
        named: set[Name] = {("shape", shape)}
        yield from ((text, named) for text in (language.ask_color(shape), language.ask_count(shape=shape)))
        yield language.shape(shape), named
    for color in COLORS:
        named = {("color", color)}
        yield from ((text, named) for text in (language.ask_shape(color), language.ask_count(color=color)))
        yield from ((language.color(color, shape), named) for shape in SHAPES)
    for number in range(MOST_OBJECTS + 1):
        named = {("number", number)}
        yield language.count(number), named
        yield from ((language.count(number, shape=shape), named) for shape in SHAPES)
        yield from ((language.count(number, color=color), named) for color in COLORS)
    for thing in EVERYTHING:
        named = {("shape", thing.shape), ("color", thing.color)}
        yield language.ask_existence(thing), named
        for number in range(1, MOST_OBJECTS + 1):
            yield language.caption([Group(number, thing)]), named | {("number", number)}


def _of_two_things(language: Language) -> Iterator[tuple[str, set[Name]]]:
    """Any two, the one before the other, their numbers changing from pair to pair."""
    pairs = [(i, j) for i in range(len(EVERYTHING)) for j in range(len(EVERYTHING)) if i != j]
    for i, j in pairs:
        groups = [Group(1 + (i + j) % 3, EVERYTHING[i]), Group(1 + j % 3, EVERYTHING[j])]
        things = [group.thing for group in groups]
        named: set[Name] = {
            *(("shape", thing.shape) for thing in things),
            *(("color", thing.color) for thing in things),
        }
        yield language.ask_relation(*things), named
        yield language.caption(groups), named | {("number", group.count) for group in groups}


def _of_notes(language: Language) -> Iterator[tuple[str, set[Name]]]:
    for number in range(10, 100):
        digits: set[Name] = {("key", digit) for digit in str(number)}
        yield f"{number}.", digits
        for key in (KEYS[number % len(KEYS)], KEYS[(7 * number + 3) % len(KEYS)]):
            yield language.note(key, str(number)), {*digits, ("key", key)}
            yield language.ask_note(key), {("key", key)}
