"""Spanish: two genders, colours after the noun that agree with it in gender and number, and two words for one: "un"
before a masculine noun, "uno" alone. "A el" becomes "al". Questions also open with a mark of their own."""

from __future__ import annotations

from .language import Thing
from .romance import PLURAL, Romance

NAMES = {
    "ar": "árabe",
    "de": "alemán",
    "en": "inglés",
    "es": "español",
    "fr": "francés",
    "hi": "hindi",
    "id": "indonesio",
    "it": "italiano",
    "ko": "coreano",
    "pt": "portugués",
    "th": "tailandés",
    "tl": "tagalo",
    "vi": "vietnamita",
}
NOUNS = {
    "circle": ("círculo", "círculos"),
    "square": ("cuadrado", "cuadrados"),
    "triangle": ("triángulo", "triángulos"),
    "star": ("estrella", "estrellas"),
    "heart": ("corazón", "corazones"),
    "cross": ("cruz", "cruces"),
    "object": ("objeto", "objetos"),
}
GENDERS = {"circle": "m", "square": "m", "triangle": "m", "star": "f", "heart": "m", "cross": "f", "object": "m"}
ADJECTIVES = {
    "red": {"m": ("rojo", "rojos"), "f": ("roja", "rojas")},
    "orange": {"m": ("naranja", "naranjas"), "f": ("naranja", "naranjas")},  # "naranja" is a good plural too
    "yellow": {"m": ("amarillo", "amarillos"), "f": ("amarilla", "amarillas")},
    "green": {"m": ("verde", "verdes"), "f": ("verde", "verdes")},
    "blue": {"m": ("azul", "azules"), "f": ("azul", "azules")},
    "purple": {"m": ("morado", "morados"), "f": ("morada", "moradas")},
}
NUMBERS = {"m": ("ninguno", "uno", "dos", "tres", "cuatro"), "f": ("ninguna", "una", "dos", "tres", "cuatro")}
HOW_MANY = {"m": "Cuántos", "f": "Cuántas"}
A = {"m": "un", "f": "una"}
THE = {"m": "el", "f": "la"}
TO_THE = {"m": "al", "f": "a la"}
DIRECTIONS = {"left": "A la izquierda.", "right": "A la derecha.", "above": "Arriba.", "below": "Abajo."}


class Spanish(Romance):
    code = "es"
    name = "español"
    names = NAMES
    nouns, genders, adjectives, numbers = NOUNS, GENDERS, ADJECTIVES, NUMBERS
    one, conjunction, directions = A, "y", DIRECTIONS

    def ask_caption(self) -> str:
        return "¿Qué hay en la imagen?"

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        shape = shape or "object"
        return f"¿{HOW_MANY[GENDERS[shape]]} {self.phrase(shape, color, PLURAL)} hay?"

    def ask_color(self, shape: str) -> str:
        return f"¿De qué color es {self.with_article(THE, shape)}?"

    def ask_shape(self, color: str) -> str:
        return f"¿Qué figura es {self.with_article(THE, 'object', color)}?"

    def ask_existence(self, thing: Thing) -> str:
        return f"¿Hay {self.with_article(A, thing.shape, thing.color)}?"

    def yes(self) -> str:
        return "Sí."

    def no(self) -> str:
        return "No."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        place = self.with_article(TO_THE, other.shape, other.color)
        return f"¿Dónde está {self.with_article(THE, thing.shape, thing.color)} respecto {place}?"

    def ask_translation(self, code: str, text: str) -> str:
        return f"Traduce al {NAMES[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"El número de {key} es {value}."

    def ask_note(self, key: str) -> str:
        return f"¿Cuál es el número de {key}?"
