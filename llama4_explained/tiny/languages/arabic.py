"""Modern Standard Arabic, without vowel marks: two genders and three numbers.

The dual needs no numeral: its ending on noun and adjective means two. The numerals 3 and 4 take the gender opposite
to the noun's, and the adjective of a plural of things is feminine singular."""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing

SINGULAR = {
    "circle": "دائرة",
    "square": "مربع",
    "triangle": "مثلث",
    "star": "نجمة",
    "heart": "قلب",
    "cross": "صليب",
    "object": "شكل",
}
PLURAL = {
    "circle": "دوائر",
    "square": "مربعات",
    "triangle": "مثلثات",
    "star": "نجوم",
    "heart": "قلوب",
    "cross": "صلبان",
    "object": "أشكال",
}
FEMININE_NOUNS = {"circle", "star"}

MASCULINE = {
    "red": "أحمر",
    "orange": "برتقالي",
    "yellow": "أصفر",
    "green": "أخضر",
    "blue": "أزرق",
    "purple": "بنفسجي",
}
FEMININE = {
    "red": "حمراء",
    "orange": "برتقالية",
    "yellow": "صفراء",
    "green": "خضراء",
    "blue": "زرقاء",
    "purple": "بنفسجية",
}
DIPTOTES = {"أحمر", "أصفر", "أخضر", "أزرق"}  # they have no indefinite accusative in -ا

COUNTING_MASCULINE = ("صفر", "واحد", "اثنان", "ثلاثة", "أربعة")
COUNTING_FEMININE = ("صفر", "واحدة", "اثنتان", "ثلاث", "أربع")

RELATIONS = {
    "left": "إلى اليسار",
    "right": "إلى اليمين",
    "above": "في الأعلى",
    "below": "في الأسفل",
}

NAMES = {
    "ar": "العربية",
    "de": "الألمانية",
    "en": "الإنجليزية",
    "es": "الإسبانية",
    "fr": "الفرنسية",
    "hi": "الهندية",
    "id": "الإندونيسية",
    "it": "الإيطالية",
    "ko": "الكورية",
    "pt": "البرتغالية",
    "th": "التايلاندية",
    "tl": "التاغالوغية",
    "vi": "الفيتنامية",
}


def _adjective(color: str, shape: str) -> str:
    return FEMININE[color] if shape in FEMININE_NOUNS else MASCULINE[color]


def _numeral(number: int, shape: str) -> str:
    return COUNTING_FEMININE[number] if shape in FEMININE_NOUNS else COUNTING_MASCULINE[number]


def _dual(word: str) -> str:
    if word.endswith("ة"):
        return word[:-1] + "تان"
    if word.endswith("اء"):
        return word[:-1] + "وان"
    return word + "ان"


def _accusative(word: str) -> str:
    """The singular that follows كم, "how many"."""
    unchanged = word.endswith(("ة", "اء")) or word in DIPTOTES
    return word if unchanged else word + "ا"


def _definite(thing: Thing) -> str:
    """The article stands on the noun and on its adjective."""
    return f"ال{SINGULAR[thing.shape]} ال{_adjective(thing.color, thing.shape)}"


def _indefinite(group: Group) -> str:
    noun, adjective = SINGULAR[group.thing.shape], _adjective(group.thing.color, group.thing.shape)
    if group.count == 1:
        return f"{noun} {adjective}"
    if group.count == 2:
        return f"{_dual(noun)} {_dual(adjective)}"
    numeral = _numeral(group.count, group.thing.shape)
    return f"{numeral} {PLURAL[group.thing.shape]} {FEMININE[group.thing.color]}"


class Arabic(Language):
    code = "ar"
    name = "العربية"
    names = NAMES

    def ask_caption(self) -> str:
        return "ماذا في الصورة؟"

    def caption(self, groups: Sequence[Group]) -> str:
        # "And" is a prefix, and stands before every item but the first.
        return " و".join(_indefinite(group) for group in groups) + "."

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        shape = shape or "object"
        words = [SINGULAR[shape]] if color is None else [SINGULAR[shape], _adjective(color, shape)]
        counted = " ".join(_accusative(word) for word in words)
        return f"كم {counted} في الصورة؟"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return _numeral(number, shape or "object") + "."

    def ask_color(self, shape: str) -> str:
        return f"ما لون ال{SINGULAR[shape]}؟"

    def color(self, color: str, shape: str) -> str:
        return MASCULINE[color] + "."  # it agrees with لون, "colour", not with the shape

    def ask_shape(self, color: str) -> str:
        return f"ما {_definite(Thing('object', color))}؟"

    def shape(self, shape: str) -> str:
        return SINGULAR[shape] + "."

    def ask_existence(self, thing: Thing) -> str:
        return f"هل في الصورة {_indefinite(Group(1, thing))}؟"

    def yes(self) -> str:
        return "نعم."

    def no(self) -> str:
        return "لا."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"أين {_definite(thing)} بالنسبة إلى {_definite(other)}؟"

    def relation(self, direction: str) -> str:
        return RELATIONS[direction] + "."

    def ask_translation(self, code: str, text: str) -> str:
        return f"ترجم إلى {NAMES[code]}: {text}"

    def note(self, key: str, value: str) -> str:
        return f"رقم {key} هو {value}."

    def ask_note(self, key: str) -> str:
        return f"ما رقم {key}؟"
