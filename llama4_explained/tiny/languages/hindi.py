"""Hindi: the six shapes are masculine and "figure" is feminine.

Adjectives and masculine nouns in -ा change with gender, number and case (नीला तारा, नीले तारे, नीली आकृति); all others,
such as लाल and वृत्त, keep their form. The oblique case, before postpositions, looks like the masculine plural.
"""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing

SHAPES = {
    "circle": "वृत्त",
    "square": "वर्ग",
    "triangle": "त्रिभुज",
    "star": "तारा",
    "heart": "दिल",
    "cross": "क्रॉस",
}
COLORS = {
    "red": "लाल",
    "orange": "नारंगी",
    "yellow": "पीला",
    "green": "हरा",
    "blue": "नीला",
    "purple": "बैंगनी",
}
COUNTS = ("एक भी नहीं", "एक", "दो", "तीन", "चार")
RELATIONS = {"left": "बाईं ओर", "right": "दाईं ओर", "above": "ऊपर", "below": "नीचे"}

NAMES = {
    "ar": "अरबी",
    "de": "जर्मन",
    "en": "अंग्रेज़ी",
    "es": "स्पेनिश",
    "fr": "फ़्रेंच",
    "hi": "हिन्दी",
    "id": "इंडोनेशियाई",
    "it": "इतालवी",
    "ko": "कोरियाई",
    "pt": "पुर्तगाली",
    "th": "थाई",
    "tl": "टैगलॉग",
    "vi": "वियतनामी",
}


def _inflect(word: str, ending: str) -> str:
    return word[:-1] + ending if word.endswith("ा") else word


def _plural_or_oblique(word: str) -> str:
    """The masculine plural, and equally the masculine singular before a postposition."""
    return _inflect(word, "े")


def _feminine(adjective: str) -> str:
    return _inflect(adjective, "ी")


def _phrase(thing: Thing) -> str:
    return f"{COLORS[thing.color]} {SHAPES[thing.shape]}"


def _plural_or_oblique_phrase(thing: Thing) -> str:
    return f"{_plural_or_oblique(COLORS[thing.color])} {_plural_or_oblique(SHAPES[thing.shape])}"


def _counted(group: Group) -> str:
    phrase = _phrase(group.thing) if group.count == 1 else _plural_or_oblique_phrase(group.thing)
    return f"{COUNTS[group.count]} {phrase}"


class Hindi(Language):
    code = "hi"
    name = "हिन्दी"
    names = NAMES

    def ask_caption(self) -> str:
        return "चित्र में क्या है?"

    def caption(self, groups: Sequence[Group]) -> str:
        *first, last = [_counted(group) for group in groups]
        return f"{', '.join(first)} और {last}।" if first else f"{last}।"

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        if shape is None:
            words = ["कितनी", "आकृतियाँ"] if color is None else ["कितनी", _feminine(COLORS[color]), "आकृतियाँ"]
        elif color is None:
            words = ["कितने", _plural_or_oblique(SHAPES[shape])]
        else:
            words = ["कितने", _plural_or_oblique_phrase(Thing(shape, color))]
        return f"चित्र में {' '.join(words)} हैं?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return COUNTS[number] + "।"

    def ask_color(self, shape: str) -> str:
        return f"{_plural_or_oblique(SHAPES[shape])} का रंग क्या है?"

    def color(self, color: str, shape: str) -> str:
        return COLORS[color] + "।"  # masculine, like रंग, "colour", and like all shapes

    def ask_shape(self, color: str) -> str:
        return f"{_feminine(COLORS[color])} आकृति कौन-सी है?"

    def shape(self, shape: str) -> str:
        return SHAPES[shape] + "।"

    def ask_existence(self, thing: Thing) -> str:
        return f"क्या चित्र में कोई {_phrase(thing)} है?"

    def yes(self) -> str:
        return "हाँ।"

    def no(self) -> str:
        return "नहीं।"

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"{_plural_or_oblique_phrase(other)} से {_phrase(thing)} किस ओर है?"

    def relation(self, direction: str) -> str:
        return RELATIONS[direction] + "।"

    def ask_translation(self, code: str, text: str) -> str:
        return f"{NAMES[code]} में अनुवाद करें: {text}"

    def note(self, key: str, value: str) -> str:
        return f"{key} का नंबर {value} है।"

    def ask_note(self, key: str) -> str:
        return f"{key} का नंबर क्या है?"
