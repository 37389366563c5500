"""Italian: two genders, plurals by the last vowel, and colours after the noun that agree with it in gender and number,
but for "blu" and "viola". One is "un" before a masculine noun, "uno" alone; "a" and the article become one word."""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing

NAMES = {
    "ar": "arabo",
    "de": "tedesco",
    "en": "inglese",
    "es": "spagnolo",
    "fr": "francese",
    "hi": "hindi",
    "id": "indonesiano",
    "it": "italiano",
    "ko": "coreano",
    "pt": "portoghese",
    "th": "thailandese",
    "tl": "tagalog",
    "vi": "vietnamita",
}
SINGULAR, PLURAL = 0, 1  # where the forms are in the pairs of these tables
NOUNS = {
    "circle": ("cerchio", "cerchi"),
    "square": ("quadrato", "quadrati"),
    "triangle": ("triangolo", "triangoli"),
    "star": ("stella", "stelle"),
    "heart": ("cuore", "cuori"),
    "cross": ("croce", "croci"),
    "object": ("oggetto", "oggetti"),
}
GENDERS = {"circle": "m", "square": "m", "triangle": "m", "star": "f", "heart": "m", "cross": "f", "object": "m"}
ADJECTIVES = {
    "red": {"m": ("rosso", "rossi"), "f": ("rossa", "rosse")},
    "orange": {"m": ("arancione", "arancioni"), "f": ("arancione", "arancioni")},
    "yellow": {"m": ("giallo", "gialli"), "f": ("gialla", "gialle")},
    "green": {"m": ("verde", "verdi"), "f": ("verde", "verdi")},
    "blue": {"m": ("blu", "blu"), "f": ("blu", "blu")},
    "purple": {"m": ("viola", "viola"), "f": ("viola", "viola")},  # by origin a noun: it does not agree
}
NUMBERS = {"m": ("nessuno", "uno", "due", "tre", "quattro"), "f": ("nessuna", "una", "due", "tre", "quattro")}
HOW_MANY = {"m": "Quanti", "f": "Quante"}
A = {"m": "un", "f": "una"}  # none of the shapes asks for uno, un' or lo
THE = {"m": "il", "f": "la"}
TO_THE = {"m": "al", "f": "alla"}
DIRECTIONS = {"left": "A sinistra.", "right": "A destra.", "above": "Sopra.", "below": "Sotto."}


class Italian(Language):
    code = "it"
    name = "italiano"
    names = NAMES

    def ask_caption(self) -> str:
        return "Che cosa c'è nell'immagine?"

    def caption(self, groups: Sequence[Group]) -> str:
        return _sentence(_list([_counted(group.count, group.thing) for group in groups]))

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        shape = shape or "object"
        return f"{HOW_MANY[GENDERS[shape]]} {_phrase(shape, color, PLURAL)} ci sono?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return _sentence(NUMBERS[GENDERS[shape or "object"]][number])

    def ask_color(self, shape: str) -> str:
        return f"Di che colore è {_with(THE, shape)}?"

    def color(self, color: str, shape: str) -> str:
        return _sentence(ADJECTIVES[color][GENDERS[shape]][SINGULAR])

    def ask_shape(self, color: str) -> str:
        return f"Che figura è l'{_phrase('object', color, SINGULAR)}?"

    def shape(self, shape: str) -> str:
        return _sentence(_with(A, shape))

    def ask_existence(self, thing: Thing) -> str:
        return f"C'è {_with(A, thing.shape, thing.color)}?"

    def yes(self) -> str:
        return "Sì."

    def no(self) -> str:
        return "No."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        place = _with(TO_THE, other.shape, other.color)
        return f"Dov'è {_with(THE, thing.shape, thing.color)} rispetto {place}?"

    def relation(self, direction: str) -> str:
        return DIRECTIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"Traduci in {NAMES[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"Il numero di {key} è {value}."

    def ask_note(self, key: str) -> str:
        return f"Qual è il numero di {key}?"


def _phrase(shape: str, color: str | None, number: int) -> str:
    """stella, stelle rosse"""
    noun = NOUNS[shape][number]
    return f"{noun} {ADJECTIVES[color][GENDERS[shape]][number]}" if color else noun


def _with(article: dict[str, str], shape: str, color: str | None = None) -> str:
    """un cerchio, la stella rossa, al cerchio rosso"""
    return f"{article[GENDERS[shape]]} {_phrase(shape, color, SINGULAR)}"


def _counted(count: int, thing: Thing) -> str:
    """un cerchio rosso, due cerchi rossi"""
    if count == 1:
        return _with(A, thing.shape, thing.color)
    return f"{NUMBERS[GENDERS[thing.shape]][count]} {_phrase(thing.shape, thing.color, PLURAL)}"


def _list(phrases: list[str]) -> str:
    """a, b e c"""
    *first, last = phrases
    return f"{', '.join(first)} e {last}" if first else last


def _sentence(text: str) -> str:
    return text.capitalize() + "."
