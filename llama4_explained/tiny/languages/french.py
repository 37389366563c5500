"""French: two genders, colours after the noun that agree with it in gender and number, and elision before a vowel
(l'étoile, d'étoiles). "À le" becomes "au". Question mark and colon have a space before them."""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing

NAMES = {
    "ar": "arabe",
    "de": "allemand",
    "en": "anglais",
    "es": "espagnol",
    "fr": "français",
    "hi": "hindi",
    "id": "indonésien",
    "it": "italien",
    "ko": "coréen",
    "pt": "portugais",
    "th": "thaï",
    "tl": "tagalog",
    "vi": "vietnamien",
}
SINGULAR, PLURAL = 0, 1  # where the forms are in the pairs of these tables
NOUNS = {
    "circle": ("cercle", "cercles"),
    "square": ("carré", "carrés"),
    "triangle": ("triangle", "triangles"),
    "star": ("étoile", "étoiles"),
    "heart": ("cœur", "cœurs"),
    "cross": ("croix", "croix"),
    "object": ("objet", "objets"),
}
GENDERS = {"circle": "m", "square": "m", "triangle": "m", "star": "f", "heart": "m", "cross": "f", "object": "m"}
ADJECTIVES = {
    "red": {"m": ("rouge", "rouges"), "f": ("rouge", "rouges")},
    "orange": {"m": ("orange", "orange"), "f": ("orange", "orange")},  # by origin a noun: it does not agree
    "yellow": {"m": ("jaune", "jaunes"), "f": ("jaune", "jaunes")},
    "green": {"m": ("vert", "verts"), "f": ("verte", "vertes")},
    "blue": {"m": ("bleu", "bleus"), "f": ("bleue", "bleues")},
    "purple": {"m": ("violet", "violets"), "f": ("violette", "violettes")},
}
NUMBERS = {"m": ("aucun", "un", "deux", "trois", "quatre"), "f": ("aucune", "une", "deux", "trois", "quatre")}
THE = {"m": "le", "f": "la"}
DIRECTIONS = {"left": "À gauche.", "right": "À droite.", "above": "Au-dessus.", "below": "En dessous."}
VOWELS = "aeéiou"


class French(Language):
    code = "fr"
    name = "français"
    names = NAMES

    def ask_caption(self) -> str:
        return "Qu'y a-t-il sur l'image ?"

    def caption(self, groups: Sequence[Group]) -> str:
        return _sentence(_list([_counted(group.count, group.thing) for group in groups]))

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        return f"Combien {_of(_phrase(shape or 'object', color, PLURAL))} y a-t-il ?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return _sentence(NUMBERS[GENDERS[shape or "object"]][number])

    def ask_color(self, shape: str) -> str:
        return f"De quelle couleur est {_the(shape)} ?"

    def color(self, color: str, shape: str) -> str:
        return _sentence(ADJECTIVES[color][GENDERS[shape]][SINGULAR])

    def ask_shape(self, color: str) -> str:
        return f"Quelle est la forme de {_the('object', color)} ?"

    def shape(self, shape: str) -> str:
        return _sentence(_a(shape))

    def ask_existence(self, thing: Thing) -> str:
        return f"Y a-t-il {_a(thing.shape, thing.color)} ?"

    def yes(self) -> str:
        return "Oui."

    def no(self) -> str:
        return "Non."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"Où est {_the(thing.shape, thing.color)} par rapport {_to_the(other.shape, other.color)} ?"

    def relation(self, direction: str) -> str:
        return DIRECTIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"Traduis en {NAMES[code]} : {text}"

    # "Associé à", because "de" would raise the question of elision: de A, or d'A?
    def note(self, key: str, value: str) -> str:
        return f"Le nombre associé à {key} est {value}."

    def ask_note(self, key: str) -> str:
        return f"Quel est le nombre associé à {key} ?"


def _phrase(shape: str, color: str | None, number: int) -> str:
    """étoile, étoiles vertes"""
    noun = NOUNS[shape][number]
    return f"{noun} {ADJECTIVES[color][GENDERS[shape]][number]}" if color else noun


def _a(shape: str, color: str | None = None) -> str:
    """un cercle, une étoile verte"""
    return f"{NUMBERS[GENDERS[shape]][1]} {_phrase(shape, color, SINGULAR)}"


def _the(shape: str, color: str | None = None) -> str:
    """le cercle, la croix verte, l'étoile"""
    phrase = _phrase(shape, color, SINGULAR)
    return f"l'{phrase}" if phrase[0] in VOWELS else f"{THE[GENDERS[shape]]} {phrase}"


def _to_the(shape: str, color: str) -> str:
    """au cercle vert, à la croix verte, à l'étoile verte"""
    return f"à {_the(shape, color)}".replace("à le ", "au ")


def _of(phrase: str) -> str:
    """de cercles, d'étoiles"""
    return f"d'{phrase}" if phrase[0] in VOWELS else f"de {phrase}"


def _counted(count: int, thing: Thing) -> str:
    """une étoile verte, deux étoiles vertes"""
    number = SINGULAR if count == 1 else PLURAL
    return f"{NUMBERS[GENDERS[thing.shape]][count]} {_phrase(thing.shape, thing.color, number)}"


def _list(phrases: list[str]) -> str:
    """a, b et c"""
    *first, last = phrases
    return f"{', '.join(first)} et {last}" if first else last


def _sentence(text: str) -> str:
    return text.capitalize() + "."
