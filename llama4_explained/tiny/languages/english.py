"""English: adjectives that never change and come first, a plural in -s or -es, and "an" before a vowel."""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing, listed, sentence

NAMES = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ko": "Korean",
    "pt": "Portuguese",
    "th": "Thai",
    "tl": "Tagalog",
    "vi": "Vietnamese",
}
# The names of shapes and colours in this package are English words: only plurals are left to say.
PLURALS = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "star": "stars",
    "heart": "hearts",
    "cross": "crosses",
    "object": "objects",
}
NUMBERS = ("none", "one", "two", "three", "four")
DIRECTIONS = {"left": "To the left.", "right": "To the right.", "above": "Above.", "below": "Below."}
VOWELS = "aeiou"


class English(Language):
    code = "en"
    name = "English"
    names = NAMES

    def ask_caption(self) -> str:
        return "What is in the picture?"

    def caption(self, groups: Sequence[Group]) -> str:
        return sentence(listed([_counted(group.count, group.thing) for group in groups], "and"))

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        return f"How many {_plural(shape or 'object', color)} are there?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return sentence(NUMBERS[number])

    def ask_color(self, shape: str) -> str:
        return f"What colour is the {shape}?"

    def color(self, color: str, shape: str) -> str:
        return sentence(color)

    def ask_shape(self, color: str) -> str:
        return f"What shape is the {color} object?"

    def shape(self, shape: str) -> str:
        return sentence(_a(shape))

    def ask_existence(self, thing: Thing) -> str:
        return f"Is there {_a(_singular(thing))}?"

    def yes(self) -> str:
        return "Yes."

    def no(self) -> str:
        return "No."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"Where is the {_singular(thing)} relative to the {_singular(other)}?"

    def relation(self, direction: str) -> str:
        return DIRECTIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"Translate into {NAMES[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"The number of {key} is {value}."

    def ask_note(self, key: str) -> str:
        return f"What is the number of {key}?"


def _singular(thing: Thing) -> str:
    """red star"""
    return f"{thing.color} {thing.shape}"


def _plural(shape: str, color: str | None) -> str:
    """red stars, or stars"""
    return f"{color} {PLURALS[shape]}" if color else PLURALS[shape]


def _a(phrase: str) -> str:
    """a red star, an orange star"""
    return f"an {phrase}" if phrase[0] in VOWELS else f"a {phrase}"


def _counted(count: int, thing: Thing) -> str:
    """a red star, two red stars"""
    return _a(_singular(thing)) if count == 1 else f"{NUMBERS[count]} {_plural(thing.shape, thing.color)}"
