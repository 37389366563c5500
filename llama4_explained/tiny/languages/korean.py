"""Korean: no gender and no plural; objects are counted with native numerals and the counter 개, after the noun.

Particles mark the roles in a sentence. Most have two forms: 이, 은 and 과 follow a consonant, 가, 는 and 와 a vowel.
"""

from __future__ import annotations

from collections.abc import Sequence

from .language import Group, Language, Thing

NOUNS = {
    "circle": "원",
    "square": "정사각형",
    "triangle": "삼각형",
    "star": "별",
    "heart": "하트",
    "cross": "십자가",
    "object": "도형",
}
COLORS = {
    "red": "빨간색",
    "orange": "주황색",
    "yellow": "노란색",
    "green": "초록색",
    "blue": "파란색",
    "purple": "보라색",
}
COUNTS = ("없습니다", "한 개", "두 개", "세 개", "네 개")  # native numerals in the form they take before a counter
RELATIONS = {"left": "왼쪽", "right": "오른쪽", "above": "위쪽", "below": "아래쪽"}

NAMES = {
    "ar": "아랍어",
    "de": "독일어",
    "en": "영어",
    "es": "스페인어",
    "fr": "프랑스어",
    "hi": "힌디어",
    "id": "인도네시아어",
    "it": "이탈리아어",
    "ko": "한국어",
    "pt": "포르투갈어",
    "th": "태국어",
    "tl": "타갈로그어",
    "vi": "베트남어",
}


def _ends_in_consonant(word: str) -> bool:
    # Unicode orders the syllables from 가 on by initial, vowel and final: every 28th has no final consonant.
    return (ord(word[-1]) - ord("가")) % 28 != 0


def _subject(phrase: str) -> str:
    return phrase + ("이" if _ends_in_consonant(phrase) else "가")


def _topic(phrase: str) -> str:
    return phrase + ("은" if _ends_in_consonant(phrase) else "는")


def _phrase(thing: Thing) -> str:
    return f"{COLORS[thing.color]} {NOUNS[thing.shape]}"


def _counted(group: Group) -> str:
    return f"{_phrase(group.thing)} {COUNTS[group.count]}"


class Korean(Language):
    code = "ko"
    name = "한국어"
    names = NAMES

    def ask_caption(self) -> str:
        return "그림에 무엇이 있나요?"

    def caption(self, groups: Sequence[Group]) -> str:
        *first, last = [_counted(group) for group in groups]
        return f"{', '.join(first)}와 {last}." if first else f"{last}."  # 와: what it follows ends in 개

    def ask_count(self, shape: str | None = None, color: str | None = None) -> str:
        shape = shape or "object"
        counted = NOUNS[shape] if color is None else _phrase(Thing(shape, color))
        return f"그림에 {_subject(counted)} 몇 개 있나요?"

    def count(self, number: int, shape: str | None = None, color: str | None = None) -> str:
        return COUNTS[number] + "."

    def ask_color(self, shape: str) -> str:
        return f"{_topic(NOUNS[shape])} 무슨 색인가요?"

    def color(self, color: str, shape: str) -> str:
        return COLORS[color] + "."

    def ask_shape(self, color: str) -> str:
        return f"{_topic(_phrase(Thing('object', color)))} 무슨 모양인가요?"

    def shape(self, shape: str) -> str:
        return NOUNS[shape] + "."

    def ask_existence(self, thing: Thing) -> str:
        return f"그림에 {_subject(_phrase(thing))} 있나요?"

    def yes(self) -> str:
        return "네."

    def no(self) -> str:
        return "아니요."

    def ask_relation(self, thing: Thing, other: Thing) -> str:
        return f"{_topic(_phrase(thing))} {_phrase(other)}의 어느 쪽에 있나요?"

    def relation(self, direction: str) -> str:
        return RELATIONS[direction] + "."

    def ask_translation(self, code: str, text: str) -> str:
        return f"{NAMES[code]}로 번역하세요: {text}"

    def note(self, key: str, value: str) -> str:
        return f"{key}의 번호는 {value}입니다."

    def ask_note(self, key: str) -> str:
        return f"{key}의 번호는 무엇인가요?"
