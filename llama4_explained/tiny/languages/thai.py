"""Thai: no inflection, but every noun is counted with its classifier, in the order noun, colour, numeral, classifier.

Words are not spaced. A space divides the items of a list of three or more, and sets off Latin letters and digits; there
is no full stop and no question mark.
"""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing

NOUNS = {
    "circle": "วงกลม",
    "square": "สี่เหลี่ยมจัตุรัส",
    "triangle": "สามเหลี่ยม",
    "star": "ดาว",
    "heart": "หัวใจ",
    "cross": "กากบาท",
    "object": "วัตถุ",
}
CLASSIFIERS = {
    "circle": "วง",  # rings
    "square": "รูป",  # figures
    "triangle": "รูป",
    "star": "ดวง",  # heavenly bodies, lights and hearts
    "heart": "ดวง",
    "cross": "อัน",  # small things in general
    "object": "ชิ้น",  # pieces
}
COLORS = {
    "red": "สีแดง",
    "orange": "สีส้ม",
    "yellow": "สีเหลือง",
    "green": "สีเขียว",
    "blue": "สีน้ำเงิน",
    "purple": "สีม่วง",
}
NUMERALS = ("ศูนย์", "หนึ่ง", "สอง", "สาม", "สี่")
RELATIONS = {"left": "ด้านซ้าย", "right": "ด้านขวา", "above": "ด้านบน", "below": "ด้านล่าง"}

NAMES = {
    "ar": "ภาษาอาหรับ",
    "de": "ภาษาเยอรมัน",
    "en": "ภาษาอังกฤษ",
    "es": "ภาษาสเปน",
    "fr": "ภาษาฝรั่งเศส",
    "hi": "ภาษาฮินดี",
    "id": "ภาษาอินโดนีเซีย",
    "it": "ภาษาอิตาลี",
    "ko": "ภาษาเกาหลี",
    "pt": "ภาษาโปรตุเกส",
    "th": "ภาษาไทย",
    "tl": "ภาษาตากาล็อก",
    "vi": "ภาษาเวียดนาม",
}


def _phrase(thing: Thing) -> str:
    return NOUNS[thing.shape] + COLORS[thing.color]


def _counted(group: Group) -> str:
    return _phrase(group.thing) + NUMERALS[group.count] + CLASSIFIERS[group.thing.shape]


class Thai(Language):
    code = "th"
    name = "ภาษาไทย"
    names = NAMES

    def ask_caption(self) -> str:
        return "ในภาพมีอะไรบ้าง"

    def caption(self, groups: Sequence[Group]) -> str:
        items = [_counted(group) for group in groups]
        if len(items) <= 2:
            return "และ".join(items)
        return f"{' '.join(items[:-1])} และ{items[-1]}"

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        shape = shape or "object"
        counted = NOUNS[shape] if color is None else _phrase(Thing(shape, color))
        return f"ในภาพมี{counted}กี่{CLASSIFIERS[shape]}"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return NUMERALS[number] + CLASSIFIERS[shape or "object"] if number else "ไม่มี"

    def ask_color(self, shape: str) -> str:
        return f"{NOUNS[shape]}เป็นสีอะไร"

    def color(self, color: str, shape: str) -> str:
        return COLORS[color]

    def ask_shape(self, color: str) -> str:
        return f"{_phrase(Thing('object', color))}เป็นรูปอะไร"

    def shape(self, shape: str) -> str:
        return NOUNS[shape]

    def ask_existence(self, thing: Thing) -> str:
        return f"ในภาพมี{_phrase(thing)}ไหม"

    # A question that asks with มี, "there is", is answered with มี or its negation.

    def yes(self) -> str:
        return "มี"

    def no(self) -> str:
        return "ไม่มี"

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"{_phrase(thing)}อยู่ด้านไหนของ{_phrase(other)}"

    def relation(self, direction: str) -> str:
        return RELATIONS[direction]

    def ask_translation(self, code: str, text: str) -> str:
        return f"แปลเป็น{NAMES[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"หมายเลขของ {key} คือ {value}"

    def ask_note(self, key: str) -> str:
        return f"หมายเลขของ {key} คืออะไร"
