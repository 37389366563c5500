"""French: two genders, colours after the noun that agree with it in gender and number, and elision before a vowel
(l'étoile, d'étoiles). "À le" becomes "au". Question mark and colon have a space before them."""

from __future__ import annotations

from .language import Thing
from .romance import PLURAL, SINGULAR, Romance

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
A = {"m": "un", "f": "une"}
THE = {"m": "le", "f": "la"}
DIRECTIONS = {"left": "À gauche.", "right": "À droite.", "above": "Au-dessus.", "below": "En dessous."}
VOWELS = "aeéiou"


class French(Romance):
    code = "fr"
    name = "français"
    names = NAMES
    nouns, genders, adjectives, numbers = NOUNS, GENDERS, ADJECTIVES, NUMBERS
    one, conjunction, directions = A, "et", DIRECTIONS

    def ask_caption(self) -> str:
        return "Qu'y a-t-il sur l'image ?"

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        return f"Combien {_of(self.phrase(shape or 'object', color, PLURAL))} y a-t-il ?"

    def ask_color(self, shape: str) -> str:
        return f"De quelle couleur est {self._the(shape)} ?"

    def ask_shape(self, color: str) -> str:
        return f"Quelle est la forme de {self._the('object', color)} ?"

    def ask_existence(self, thing: Thing) -> str:
        return f"Y a-t-il {self.with_article(A, thing.shape, thing.color)} ?"

    def yes(self) -> str:
        return "Oui."

    def no(self) -> str:
        return "Non."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"Où est {self._the(thing.shape, thing.color)} par rapport {self._to_the(other.shape, other.color)} ?"

    def ask_translation(self, code: str, text: str) -> str:
        return f"Traduis en {NAMES[code]} : {text}"

    # "Associé à", because "de" would raise the question of elision: de A, or d'A?
    def note(self, key: str, value: str) -> str:
        return f"Le nombre associé à {key} est {value}."

    def ask_note(self, key: str) -> str:
        return f"Quel est le nombre associé à {key} ?"

    def _the(self, shape: str, color: str | None = None) -> str:
        """le cercle, la croix verte, l'étoile"""
        phrase = self.phrase(shape, color, SINGULAR)
        return f"l'{phrase}" if phrase[0] in VOWELS else self.with_article(THE, shape, color)

    def _to_the(self, shape: str, color: str) -> str:
        """au cercle vert, à la croix verte, à l'étoile verte"""
        return f"à {self._the(shape, color)}".replace("à le ", "au ")


def _of(phrase: str) -> str:
    """de cercles, d'étoiles"""
    return f"d'{phrase}" if phrase[0] in VOWELS else f"de {phrase}"
