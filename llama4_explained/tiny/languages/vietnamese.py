"""Vietnamese: no word changes; a number needs the classifier "hình" (figure), and the colour follows with "màu".

"Hình" alone is any figure, so it is also the word for an object. A question word stands where the answer would,
and "có ... không" asks for yes or no.
"""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing, listed, sentence

NAMES = {
    "ar": "tiếng Ả Rập",
    "de": "tiếng Đức",
    "en": "tiếng Anh",
    "es": "tiếng Tây Ban Nha",
    "fr": "tiếng Pháp",
    "hi": "tiếng Hindi",
    "id": "tiếng Indonesia",
    "it": "tiếng Ý",
    "ko": "tiếng Hàn",
    "pt": "tiếng Bồ Đào Nha",
    "th": "tiếng Thái",
    "tl": "tiếng Tagalog",
    "vi": "tiếng Việt",
}
NOUNS = {
    "object": "hình",
    "circle": "hình tròn",
    "square": "hình vuông",
    "triangle": "hình tam giác",
    "star": "hình ngôi sao",
    "heart": "hình trái tim",
    "cross": "hình chữ thập",
}
COLORS = {  # "xanh" alone may be green or blue
    "red": "màu đỏ",
    "orange": "màu cam",
    "yellow": "màu vàng",
    "green": "màu xanh lá cây",
    "blue": "màu xanh dương",
    "purple": "màu tím",
}
NUMBERS = {0: "không có", 1: "một", 2: "hai", 3: "ba", 4: "bốn"}
DIRECTIONS = {"left": "Bên trái.", "right": "Bên phải.", "above": "Phía trên.", "below": "Phía dưới."}


class Vietnamese(Language):
    code = "vi"
    name = "Tiếng Việt"
    names = NAMES

    def ask_caption(self) -> str:
        return "Trong ảnh có gì?"

    def caption(self, groups: Sequence[Group]) -> str:
        return sentence(listed([_counted(group) for group in groups], "và"))

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        return f"Có bao nhiêu {_noun(shape, color)}?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return sentence(NUMBERS[number])

    def ask_color(self, shape: str) -> str:
        return sentence(f"{NOUNS[shape]} có màu gì", "?")

    def color(self, color: str, shape: str) -> str:
        return sentence(COLORS[color])

    def ask_shape(self, color: str) -> str:
        return sentence(f"{_noun('object', color)} là hình gì", "?")

    def shape(self, shape: str) -> str:
        return sentence(NOUNS[shape])

    def ask_existence(self, thing: Thing) -> str:
        return f"Có {_noun(thing.shape, thing.color)} không?"

    def yes(self) -> str:
        return "Có."

    def no(self) -> str:
        return "Không."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return sentence(f"{_noun(thing.shape, thing.color)} ở phía nào so với {_noun(other.shape, other.color)}", "?")

    def relation(self, direction: str) -> str:
        return DIRECTIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"Dịch sang {self.names[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"Số của {key} là {value}."

    def ask_note(self, key: str) -> str:
        return f"Số của {key} là bao nhiêu?"


def _noun(shape: str | None, color: str | None) -> str:
    """hình tròn, hình tròn màu đỏ"""
    noun = NOUNS[shape or "object"]
    return noun if color is None else f"{noun} {COLORS[color]}"


def _counted(group: Group) -> str:
    """một hình tròn màu đỏ"""
    return f"{NUMBERS[group.count]} {_noun(group.thing.shape, group.thing.color)}"
