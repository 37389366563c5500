"""Tagalog: a linker joins number, colour and noun: -ng on a word that ends in a vowel, else "na" as a word of its own.

A noun after a number stays as it is. "Ang" marks what a question is about, and "ba" makes a yes-no question.
"""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing, listed, sentence

NAMES = {
    "ar": "Arabe",
    "de": "Aleman",
    "en": "Ingles",
    "es": "Espanyol",
    "fr": "Pranses",
    "hi": "Hindi",
    "id": "Indones",
    "it": "Italyano",
    "ko": "Koreano",
    "pt": "Portuges",
    "th": "Thai",
    "tl": "Tagalog",
    "vi": "Biyetnames",
}
NOUNS = {
    "object": "bagay",
    "circle": "bilog",
    "square": "parisukat",
    "triangle": "tatsulok",
    "star": "bituin",
    "heart": "puso",
    "cross": "krus",
}
COLORS = {"red": "pula", "orange": "kahel", "yellow": "dilaw", "green": "berde", "blue": "asul", "purple": "lila"}
NUMBERS = {0: "wala", 1: "isa", 2: "dalawa", 3: "tatlo", 4: "apat"}
DIRECTIONS = {"left": "Nasa kaliwa.", "right": "Nasa kanan.", "above": "Nasa itaas.", "below": "Nasa ibaba."}


class Tagalog(Language):
    code = "tl"
    name = "Tagalog"
    names = NAMES

    def ask_caption(self) -> str:
        return "Ano ang nasa larawan?"

    def caption(self, groups: Sequence[Group]) -> str:
        return sentence(listed([_counted(group) for group in groups], "at"))

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        return f"Ilan ang {_noun(shape, color)}?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return sentence(NUMBERS[number])

    def ask_color(self, shape: str) -> str:
        return f"Ano ang kulay ng {NOUNS[shape]}?"

    def color(self, color: str, shape: str) -> str:
        return sentence(COLORS[color])

    def ask_shape(self, color: str) -> str:
        return f"Ano ang hugis ng {_noun('object', color)}?"

    def shape(self, shape: str) -> str:
        return sentence(NOUNS[shape])

    def ask_existence(self, thing: Thing) -> str:
        # "Mayroon" and not "may", which cannot carry the particle "ba" and its linker.
        return f"Mayroon bang {_noun(thing.shape, thing.color)}?"

    def yes(self) -> str:
        return "Mayroon."

    def no(self) -> str:
        # "There is none": "hindi" denies a quality or a deed, not that something exists.
        return "Wala."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"Nasaan ang {_noun(thing.shape, thing.color)} mula sa {_noun(other.shape, other.color)}?"

    def relation(self, direction: str) -> str:
        return DIRECTIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"Isalin sa {self.names[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"Ang numero ng {key} ay {value}."

    def ask_note(self, key: str) -> str:
        return f"Ano ang numero ng {key}?"


def _link(word: str, noun: str) -> str:
    """pulang bilog, asul na bilog (a word in -n would take -g, but no number and no colour here ends so)"""
    return f"{word}ng {noun}" if word[-1] in "aeiou" else f"{word} na {noun}"


def _noun(shape: str | None, color: str | None) -> str:
    """bilog, pulang bilog"""
    noun = NOUNS[shape or "object"]
    return noun if color is None else _link(COLORS[color], noun)


def _counted(group: Group) -> str:
    """isang pulang bilog, apat na pulang bilog"""
    return _link(NUMBERS[group.count], _noun(group.thing.shape, group.thing.color))
