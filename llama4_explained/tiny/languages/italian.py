"""Italian: two genders, plurals by the last vowel, and colours after the noun that agree with it in gender and number,
but for "blu" and "viola". One is "un" before a masculine noun, "uno" alone; "a" and the article become one word."""

from __future__ import annotations

from .language import Thing
from .romance import PLURAL, SINGULAR, Romance

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


class Italian(Romance):
    code = "it"
    name = "italiano"
    names = NAMES
    nouns, genders, adjectives, numbers = NOUNS, GENDERS, ADJECTIVES, NUMBERS
    one, conjunction, directions = A, "e", DIRECTIONS

    def ask_caption(self) -> str:
        return "Che cosa c'è nell'immagine?"

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        shape = shape or "object"
        return f"{HOW_MANY[GENDERS[shape]]} {self.phrase(shape, color, PLURAL)} ci sono?"

    def ask_color(self, shape: str) -> str:
        return f"Di che colore è {self.with_article(THE, shape)}?"

    def ask_shape(self, color: str) -> str:
        return f"Che figura è l'{self.phrase('object', color, SINGULAR)}?"

    def ask_existence(self, thing: Thing) -> str:
        return f"C'è {self.with_article(A, thing.shape, thing.color)}?"

    def yes(self) -> str:
        return "Sì."

    def no(self) -> str:
        return "No."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        place = self.with_article(TO_THE, other.shape, other.color)
        return f"Dov'è {self.with_article(THE, thing.shape, thing.color)} rispetto {place}?"

    def ask_translation(self, code: str, text: str) -> str:
        return f"Traduci in {NAMES[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"Il numero di {key} è {value}."

    def ask_note(self, key: str) -> str:
        return f"Qual è il numero di {key}?"
