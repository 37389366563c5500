"""Korean sentences, compared with ones written out by hand."""

import pytest

from llama4_explained.tiny.languages.korean import Korean
from llama4_explained.tiny.languages.language import CODES, Group, Thing

korean = Korean()


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        ([(1, "circle", "red")], "빨간색 원 한 개."),
        ([(3, "square", "orange")], "주황색 정사각형 세 개."),
        ([(4, "star", "yellow")], "노란색 별 네 개."),
        ([(2, "triangle", "blue"), (1, "heart", "purple")], "파란색 삼각형 두 개와 보라색 하트 한 개."),
        (
            [(1, "square", "red"), (2, "cross", "purple"), (1, "triangle", "green")],
            "빨간색 정사각형 한 개, 보라색 십자가 두 개와 초록색 삼각형 한 개.",
        ),
        (
            [(1, "star", "green"), (1, "heart", "red"), (1, "circle", "orange"), (1, "cross", "blue")],
            "초록색 별 한 개, 빨간색 하트 한 개, 주황색 원 한 개와 파란색 십자가 한 개.",
        ),
    ],
)
def test_caption(groups: list[tuple[int, str, str]], truth: str) -> None:
    assert korean.caption([Group(count, Thing(shape, color)) for count, shape, color in groups]) == truth


@pytest.mark.parametrize(
    ("shape", "answer", "which_color", "how_many"),
    [
        ("circle", "원.", "원은 무슨 색인가요?", "그림에 원이 몇 개 있나요?"),
        ("square", "정사각형.", "정사각형은 무슨 색인가요?", "그림에 정사각형이 몇 개 있나요?"),
        ("triangle", "삼각형.", "삼각형은 무슨 색인가요?", "그림에 삼각형이 몇 개 있나요?"),
        ("star", "별.", "별은 무슨 색인가요?", "그림에 별이 몇 개 있나요?"),
        ("heart", "하트.", "하트는 무슨 색인가요?", "그림에 하트가 몇 개 있나요?"),
        ("cross", "십자가.", "십자가는 무슨 색인가요?", "그림에 십자가가 몇 개 있나요?"),
    ],
)
def test_shape(shape: str, answer: str, which_color: str, how_many: str) -> None:
    assert (korean.shape(shape), korean.ask_color(shape), korean.ask_count(shape)) == (answer, which_color, how_many)


@pytest.mark.parametrize(
    ("color", "answer", "which_shape", "how_many"),
    [
        ("red", "빨간색.", "빨간색 도형은 무슨 모양인가요?", "그림에 빨간색 도형이 몇 개 있나요?"),
        ("orange", "주황색.", "주황색 도형은 무슨 모양인가요?", "그림에 주황색 도형이 몇 개 있나요?"),
        ("yellow", "노란색.", "노란색 도형은 무슨 모양인가요?", "그림에 노란색 도형이 몇 개 있나요?"),
        ("green", "초록색.", "초록색 도형은 무슨 모양인가요?", "그림에 초록색 도형이 몇 개 있나요?"),
        ("blue", "파란색.", "파란색 도형은 무슨 모양인가요?", "그림에 파란색 도형이 몇 개 있나요?"),
        ("purple", "보라색.", "보라색 도형은 무슨 모양인가요?", "그림에 보라색 도형이 몇 개 있나요?"),
    ],
)
def test_color(color: str, answer: str, which_shape: str, how_many: str) -> None:
    assert (korean.color(color, "star"), korean.ask_shape(color)) == (answer, which_shape)
    assert korean.ask_count(None, color) == how_many


@pytest.mark.parametrize("shape", [None, "star"])
def test_count(shape: str | None) -> None:
    answers = [korean.count(number, shape, "blue") for number in range(5)]
    assert answers == ["없습니다.", "한 개.", "두 개.", "세 개.", "네 개."]


@pytest.mark.parametrize(
    ("sentence", "truth"),
    [
        (korean.ask_caption(), "그림에 무엇이 있나요?"),
        (korean.ask_count(), "그림에 도형이 몇 개 있나요?"),
        (korean.ask_count("heart", "red"), "그림에 빨간색 하트가 몇 개 있나요?"),
        (korean.ask_existence(Thing("star", "red")), "그림에 빨간색 별이 있나요?"),
        (korean.ask_existence(Thing("cross", "green")), "그림에 초록색 십자가가 있나요?"),
        (korean.yes(), "네."),
        (korean.no(), "아니요."),
        (
            korean.ask_relation(Thing("star", "red"), Thing("circle", "blue")),
            "빨간색 별은 파란색 원의 어느 쪽에 있나요?",
        ),
        (
            korean.ask_relation(Thing("heart", "yellow"), Thing("cross", "orange")),
            "노란색 하트는 주황색 십자가의 어느 쪽에 있나요?",
        ),
        (korean.relation("left"), "왼쪽."),
        (korean.relation("right"), "오른쪽."),
        (korean.relation("above"), "위쪽."),
        (korean.relation("below"), "아래쪽."),
        (korean.ask_translation("de", "빨간색 별 한 개."), "독일어로 번역하세요: 빨간색 별 한 개."),
        (korean.note("K", "42"), "K의 번호는 42입니다."),
        (korean.ask_note("K"), "K의 번호는 무엇인가요?"),
    ],
)
def test_other_sentences(sentence: str, truth: str) -> None:
    assert sentence == truth


def test_names() -> None:
    assert (korean.code, korean.name) == ("ko", "한국어")
    first = "아랍어 독일어 영어 스페인어 프랑스어 힌디어 인도네시아어"
    last = "이탈리아어 한국어 포르투갈어 태국어 타갈로그어 베트남어"
    assert " ".join(korean.names[code] for code in CODES) == f"{first} {last}"
