"""Portuguese, as in Brazil: two genders, shown by "dois" and "duas" too, and colours after the noun that agree with it
in gender and number. "A o" becomes "ao", and "a a" becomes "à"."""

from __future__ import annotations

from .language import Thing
from .romance import PLURAL, Romance

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


class Portuguese(Romance):
    code = "pt"
    name = "português"
    names = NAMES
    nouns, genders, adjectives, numbers = NOUNS, GENDERS, ADJECTIVES, NUMBERS
    one, conjunction, directions = A, "e", DIRECTIONS

    def ask_caption(self) -> str:
        return "O que há na imagem?"

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        shape = shape or "object"
        return f"{HOW_MANY[GENDERS[shape]]} {self.phrase(shape, color, PLURAL)} há?"

    def ask_color(self, shape: str) -> str:
        return f"De que cor é {self.with_article(THE, shape)}?"

    def ask_shape(self, color: str) -> str:
        return f"Que figura é {self.with_article(THE, 'object', color)}?"

    def ask_existence(self, thing: Thing) -> str:
        return f"Há {self.with_article(A, thing.shape, thing.color)}?"

    def yes(self) -> str:
        return "Sim."

    def no(self) -> str:
        return "Não."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        place = self.with_article(TO_THE, other.shape, other.color)
        return f"Onde está {self.with_article(THE, thing.shape, thing.color)} em relação {place}?"

    def ask_translation(self, code: str, text: str) -> str:
        return f"Traduza para o {NAMES[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"O número de {key} é {value}."

    def ask_note(self, key: str) -> str:
        return f"Qual é o número de {key}?"
