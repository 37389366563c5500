"""Spanish: two genders, colours after the noun that agree with it in gender and number, and two words for one: "un"
before a masculine noun, "uno" alone. "A el" becomes "al". Questions also open with a mark of their own."""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing

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
SINGULAR, PLURAL = 0, 1  # where the forms are in the pairs of these tables
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


class Spanish(Language):
    code = "es"
    name = "español"
    names = NAMES

    def ask_caption(self) -> str:
        return "¿Qué hay en la imagen?"

    def caption(self, groups: Sequence[Group]) -> str:
        return _sentence(_list([_counted(group.count, group.thing) for group in groups]))

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        shape = shape or "object"
        return f"¿{HOW_MANY[GENDERS[shape]]} {_phrase(shape, color, PLURAL)} hay?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return _sentence(NUMBERS[GENDERS[shape or "object"]][number])

    def ask_color(self, shape: str) -> str:
        return f"¿De qué color es {_with(THE, shape)}?"

    def color(self, color: str, shape: str) -> str:
        return _sentence(ADJECTIVES[color][GENDERS[shape]][SINGULAR])

    def ask_shape(self, color: str) -> str:
        return f"¿Qué figura es {_with(THE, 'object', color)}?"

    def shape(self, shape: str) -> str:
        return _sentence(_with(A, shape))

    def ask_existence(self, thing: Thing) -> str:
        return f"¿Hay {_with(A, thing.shape, thing.color)}?"

    def yes(self) -> str:
        return "Sí."

    def no(self) -> str:
        return "No."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        place = _with(TO_THE, other.shape, other.color)
        return f"¿Dónde está {_with(THE, thing.shape, thing.color)} respecto {place}?"

    def relation(self, direction: str) -> str:
        return DIRECTIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"Traduce al {NAMES[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"El número de {key} es {value}."

    def ask_note(self, key: str) -> str:
        return f"¿Cuál es el número de {key}?"


def _phrase(shape: str, color: str | None, number: int) -> str:
    """estrella, estrellas rojas"""
    noun = NOUNS[shape][number]
    return f"{noun} {ADJECTIVES[color][GENDERS[shape]][number]}" if color else noun


def _with(article: dict[str, str], shape: str, color: str | None = None) -> str:
    """un círculo, la estrella roja, al círculo rojo"""
    return f"{article[GENDERS[shape]]} {_phrase(shape, color, SINGULAR)}"


def _counted(count: int, thing: Thing) -> str:
    """un círculo rojo, dos círculos rojos"""
    if count == 1:
        return _with(A, thing.shape, thing.color)
    return f"{NUMBERS[GENDERS[thing.shape]][count]} {_phrase(thing.shape, thing.color, PLURAL)}"


def _list(phrases: list[str]) -> str:
    """a, b y c"""
    *first, last = phrases
    return f"{', '.join(first)} y {last}" if first else last


def _sentence(text: str) -> str:
    return text.capitalize() + "."
