"""Indonesian: the colour follows the noun, and neither changes; one thing is "sebuah", the classifier with "se-" (one).

More than one take a bare number, and "itu" after the noun makes it definite.
"""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing, sentence

NAMES = {
    "ar": "bahasa Arab",
    "de": "bahasa Jerman",
    "en": "bahasa Inggris",
    "es": "bahasa Spanyol",
    "fr": "bahasa Prancis",
    "hi": "bahasa Hindi",
    "id": "bahasa Indonesia",
    "it": "bahasa Italia",
    "ko": "bahasa Korea",
    "pt": "bahasa Portugis",
    "th": "bahasa Thai",
    "tl": "bahasa Tagalog",
    "vi": "bahasa Vietnam",
}
NOUNS = {
    "object": "benda",
    "circle": "lingkaran",
    "square": "persegi",
    "triangle": "segitiga",
    "star": "bintang",
    "heart": "hati",
    "cross": "salib",
}
COLORS = {"red": "merah", "orange": "oranye", "yellow": "kuning", "green": "hijau", "blue": "biru", "purple": "ungu"}
NUMBERS = {0: "tidak ada", 1: "satu", 2: "dua", 3: "tiga", 4: "empat"}
DIRECTIONS = {"left": "Di kiri.", "right": "Di kanan.", "above": "Di atas.", "below": "Di bawah."}


class Indonesian(Language):
    code = "id"
    name = "Bahasa Indonesia"
    names = NAMES

    def ask_caption(self) -> str:
        return "Apa yang ada di gambar?"

    def caption(self, groups: Sequence[Group]) -> str:
        return sentence(_list([_counted(group) for group in groups]))

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        return f"Ada berapa {_noun(shape, color)}?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return sentence(NUMBERS[number])

    def ask_color(self, shape: str) -> str:
        return f"Apa warna {NOUNS[shape]} itu?"

    def color(self, color: str, shape: str) -> str:
        return sentence(COLORS[color])

    def ask_shape(self, color: str) -> str:
        return f"Apa bentuk {_noun('object', color)} itu?"

    def shape(self, shape: str) -> str:
        return sentence(NOUNS[shape])

    def ask_existence(self, thing: Thing) -> str:
        return f"Apakah ada {_noun(thing.shape, thing.color)}?"

    def yes(self) -> str:
        return "Ya."

    def no(self) -> str:
        return "Tidak."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"Di mana {_noun(thing.shape, thing.color)} itu jika dilihat dari {_noun(other.shape, other.color)} itu?"

    def relation(self, direction: str) -> str:
        return DIRECTIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"Terjemahkan ke {self.names[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"Nomor {key} adalah {value}."

    def ask_note(self, key: str) -> str:
        return f"Berapa nomor {key}?"


def _noun(shape: str | None, color: str | None) -> str:
    """lingkaran, lingkaran merah"""
    noun = NOUNS[shape or "object"]
    return noun if color is None else f"{noun} {COLORS[color]}"


def _counted(group: Group) -> str:
    """sebuah lingkaran merah, dua lingkaran merah"""
    number = "sebuah" if group.count == 1 else NUMBERS[group.count]
    return f"{number} {_noun(group.thing.shape, group.thing.color)}"


def _list(phrases: Sequence[str]) -> str:
    """a dan b; a, b, dan c (the official spelling has a comma before "dan" in a list of three or more)"""
    *first, last = phrases
    if len(first) < 2:
        return " dan ".join(phrases)
    return f"{', '.join(first)}, dan {last}"
