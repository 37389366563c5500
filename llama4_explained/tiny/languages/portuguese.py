"""Portuguese, as in Brazil: two genders, shown by "dois" and "duas" too, and colours after the noun that agree with it
in gender and number. "A o" becomes "ao", and "a a" becomes "à"."""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing

NAMES = {
    "ar": "árabe",
    "de": "alemão",
    "en": "inglês",
    "es": "espanhol",
    "fr": "francês",
    "hi": "hindi",
    "id": "indonésio",
    "it": "italiano",
    "ko": "coreano",
    "pt": "português",
    "th": "tailandês",
    "tl": "tagalo",
    "vi": "vietnamita",
}
SINGULAR, PLURAL = 0, 1  # where the forms are in the pairs of these tables
NOUNS = {
    "circle": ("círculo", "círculos"),
    "square": ("quadrado", "quadrados"),
    "triangle": ("triângulo", "triângulos"),
    "star": ("estrela", "estrelas"),
    "heart": ("coração", "corações"),
    "cross": ("cruz", "cruzes"),
    "object": ("objeto", "objetos"),
}
GENDERS = {"circle": "m", "square": "m", "triangle": "m", "star": "f", "heart": "m", "cross": "f", "object": "m"}
ADJECTIVES = {
    "red": {"m": ("vermelho", "vermelhos"), "f": ("vermelha", "vermelhas")},
    "orange": {"m": ("laranja", "laranja"), "f": ("laranja", "laranja")},  # by origin a noun: it does not agree
    "yellow": {"m": ("amarelo", "amarelos"), "f": ("amarela", "amarelas")},
    "green": {"m": ("verde", "verdes"), "f": ("verde", "verdes")},
    "blue": {"m": ("azul", "azuis"), "f": ("azul", "azuis")},
    "purple": {"m": ("roxo", "roxos"), "f": ("roxa", "roxas")},
}
NUMBERS = {"m": ("nenhum", "um", "dois", "três", "quatro"), "f": ("nenhuma", "uma", "duas", "três", "quatro")}
HOW_MANY = {"m": "Quantos", "f": "Quantas"}
A = {"m": "um", "f": "uma"}
THE = {"m": "o", "f": "a"}
TO_THE = {"m": "ao", "f": "à"}
DIRECTIONS = {"left": "À esquerda.", "right": "À direita.", "above": "Acima.", "below": "Abaixo."}


class Portuguese(Language):
    code = "pt"
    name = "português"
    names = NAMES

    def ask_caption(self) -> str:
        return "O que há na imagem?"

    def caption(self, groups: Sequence[Group]) -> str:
        return _sentence(_list([_counted(group.count, group.thing) for group in groups]))

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        shape = shape or "object"
        return f"{HOW_MANY[GENDERS[shape]]} {_phrase(shape, color, PLURAL)} há?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return _sentence(NUMBERS[GENDERS[shape or "object"]][number])

    def ask_color(self, shape: str) -> str:
        return f"De que cor é {_with(THE, shape)}?"

    def color(self, color: str, shape: str) -> str:
        return _sentence(ADJECTIVES[color][GENDERS[shape]][SINGULAR])

    def ask_shape(self, color: str) -> str:
        return f"Que figura é {_with(THE, 'object', color)}?"

    def shape(self, shape: str) -> str:
        return _sentence(_with(A, shape))

    def ask_existence(self, thing: Thing) -> str:
        return f"Há {_with(A, thing.shape, thing.color)}?"

    def yes(self) -> str:
        return "Sim."

    def no(self) -> str:
        return "Não."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        place = _with(TO_THE, other.shape, other.color)
        return f"Onde está {_with(THE, thing.shape, thing.color)} em relação {place}?"

    def relation(self, direction: str) -> str:
        return DIRECTIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"Traduza para o {NAMES[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"O número de {key} é {value}."

    def ask_note(self, key: str) -> str:
        return f"Qual é o número de {key}?"


def _phrase(shape: str, color: str | None, number: int) -> str:
    """estrela, estrelas vermelhas"""
    noun = NOUNS[shape][number]
    return f"{noun} {ADJECTIVES[color][GENDERS[shape]][number]}" if color else noun


def _with(article: dict[str, str], shape: str, color: str | None = None) -> str:
    """um círculo, a estrela vermelha, ao círculo vermelho"""
    return f"{article[GENDERS[shape]]} {_phrase(shape, color, SINGULAR)}"


def _counted(count: int, thing: Thing) -> str:
    """uma estrela vermelha, duas estrelas vermelhas"""
    number = SINGULAR if count == 1 else PLURAL
    return f"{NUMBERS[GENDERS[thing.shape]][count]} {_phrase(thing.shape, thing.color, number)}"


def _list(phrases: list[str]) -> str:
    """a, b e c"""
    *first, last = phrases
    return f"{', '.join(first)} e {last}" if first else last


def _sentence(text: str) -> str:
    return text.capitalize() + "."
