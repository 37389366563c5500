"""German: gender, number and case, each of which changes the article, the adjective and at times the noun.

Captions are in the nominative, what "gibt es" asks for is in the accusative, and "vom" takes the dative. The colours
"orange" and "lila" never take an ending.
"""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing, listed, sentence

NAMES = {  # as adjectives used as nouns, in the accusative after "ins"; Hindi and Tagalog have no ending
    "ar": "Arabische",
    "de": "Deutsche",
    "en": "Englische",
    "es": "Spanische",
    "fr": "Französische",
    "hi": "Hindi",
    "id": "Indonesische",
    "it": "Italienische",
    "ko": "Koreanische",
    "pt": "Portugiesische",
    "th": "Thailändische",
    "tl": "Tagalog",
    "vi": "Vietnamesische",
}
NOUNS = {  # gender, singular, dative singular, plural
    "object": ("n", "Objekt", "Objekt", "Objekte"),
    "circle": ("m", "Kreis", "Kreis", "Kreise"),
    "square": ("n", "Quadrat", "Quadrat", "Quadrate"),
    "triangle": ("n", "Dreieck", "Dreieck", "Dreiecke"),
    "star": ("m", "Stern", "Stern", "Sterne"),
    "heart": ("n", "Herz", "Herzen", "Herzen"),
    "cross": ("n", "Kreuz", "Kreuz", "Kreuze"),
}
COLORS = {"red": "rot", "orange": "orange", "yellow": "gelb", "green": "grün", "blue": "blau", "purple": "lila"}
INVARIABLE = ("orange", "purple")
A_NOMINATIVE = {"m": ("ein", "er"), "n": ("ein", "es")}  # gender -> article and the ending of an adjective after it
A_ACCUSATIVE = {"m": ("einen", "en"), "n": ("ein", "es")}
THE = {"m": "der", "n": "das"}
ONE = {"m": "Einen.", "n": "Eins."}  # accusative, as in "Wie viele Kreise gibt es?"
NUMBERS = {0: "keine", 2: "zwei", 3: "drei", 4: "vier"}
DIRECTIONS = {"left": "Links.", "right": "Rechts.", "above": "Darüber.", "below": "Darunter."}


class German(Language):
    code = "de"
    name = "Deutsch"
    names = NAMES

    def ask_caption(self) -> str:
        return "Was ist auf dem Bild?"

    def caption(self, groups: Sequence[Group]) -> str:
        return sentence(listed([_counted(group) for group in groups], "und"))

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        return f"Wie viele {_many(shape, color)} gibt es?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        if number == 1:
            gender, _, _, _ = NOUNS[shape or "object"]
            return ONE[gender]
        return sentence(NUMBERS[number])

    def ask_color(self, shape: str) -> str:
        return f"Welche Farbe hat {_the(shape)}?"

    def color(self, color: str, shape: str) -> str:
        return sentence(COLORS[color])

    def ask_shape(self, color: str) -> str:
        return f"Was ist {_the('object', color)}?"

    def shape(self, shape: str) -> str:
        _, singular, _, _ = NOUNS[shape]
        return f"Ein {singular}."

    def ask_existence(self, thing: Thing) -> str:
        return f"Gibt es {_a(thing, A_ACCUSATIVE)}?"

    def yes(self) -> str:
        return "Ja."

    def no(self) -> str:
        return "Nein."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"Wo ist {_the(thing.shape, thing.color)} {_from_the(other)} aus gesehen?"

    def relation(self, direction: str) -> str:
        return DIRECTIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"Übersetze ins {self.names[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"Die Nummer von {key} ist {value}."

    def ask_note(self, key: str) -> str:
        return f"Wie lautet die Nummer von {key}?"


def _adjective(color: str | None, ending: str) -> str:
    """The colour with its ending and a space; nothing where the colour is left open."""
    if color is None:
        return ""
    return f"{COLORS[color]} " if color in INVARIABLE else f"{COLORS[color]}{ending} "


def _a(thing: Thing, articles: dict[str, tuple[str, str]]) -> str:
    """ein roter Kreis (nominative), einen roten Kreis (accusative)"""
    gender, singular, _, _ = NOUNS[thing.shape]
    article, ending = articles[gender]
    return f"{article} {_adjective(thing.color, ending)}{singular}"


def _the(shape: str, color: str | None = None) -> str:
    """der rote Kreis, das Herz"""
    gender, singular, _, _ = NOUNS[shape]
    return f"{THE[gender]} {_adjective(color, 'e')}{singular}"


def _from_the(thing: Thing) -> str:
    """vom roten Kreis, vom lila Herzen"""
    _, _, dative, _ = NOUNS[thing.shape]
    return f"vom {_adjective(thing.color, 'en')}{dative}"


def _many(shape: str | None, color: str | None) -> str:
    """Kreise, rote Kreise"""
    _, _, _, plural = NOUNS[shape or "object"]
    return f"{_adjective(color, 'e')}{plural}"


def _counted(group: Group) -> str:
    """ein roter Kreis, zwei rote Kreise"""
    if group.count == 1:
        return _a(group.thing, A_NOMINATIVE)
    return f"{NUMBERS[group.count]} {_many(group.thing.shape, group.thing.color)}"
