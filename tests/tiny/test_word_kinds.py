from functools import cache

import pytest

from llama4_explained.special_tokens import END_OF_TURN, PATCH
from llama4_explained.tiny.languages import ALL, BY_CODE
from llama4_explained.tiny.languages.language import COLORS, SHAPES, Group, Thing
from llama4_explained.tiny.word_kinds import KINDS, word_kinds
from tiny_world import tokenizer

FOUR_RED_STARS_AND_A_BLUE_CROSS = [Group(4, Thing("star", "red")), Group(1, Thing("cross", "blue"))]


@cache
def kinds(code: str) -> list[str]:
    return word_kinds(tokenizer(), BY_CODE[code])


def said(code: str, text: str) -> dict[str, str]:
    """What the tokens of a text say, and which ones say it, but for `other`."""
    found: dict[str, list[str]] = {}
    for token in tokenizer().encode(text):
        found.setdefault(kinds(code)[token], []).append(tokenizer().decode([token]))
    return {kind: "".join(texts).strip() for kind, texts in found.items() if kind != "other"}


@pytest.mark.parametrize(
    ("code", "shapes", "colors"),
    [
        ("en", "stars cross", "red blue"),
        ("de", "Sterne Kreuz", "rote blaues"),
        ("es", "estrellas cruz", "rojas azul"),
        ("hi", "तारे क्रॉस", "लाल नीला"),
        ("ko", "별 십자가", "빨간색 파란색"),
        ("vi", "ngôi sao chữ thập", "đỏ dương"),  # "hình" is any figure, "màu" any colour, "xanh" green or blue
    ],
)
def test_words_of_a_caption(code, shapes, colors):
    found = said(code, BY_CODE[code].caption(FOUR_RED_STARS_AND_A_BLUE_CROSS))
    for kind, expected in (("shape", shapes), ("color", colors)):
        for word, whole in zip(found[kind].split(), expected.split(), strict=True):
            assert whole.startswith(word) and len(word) > len(whole) / 2  # an ending that other words share is not said
    assert found.keys() <= {"shape", "color", "number"}


@pytest.mark.parametrize("language", ALL, ids=lambda language: language.code)
def test_answers_say_what_they_answer(language):
    answers = {
        "shape": [language.shape(shape) for shape in SHAPES],
        "color": [language.color(color, shape) for color in COLORS for shape in SHAPES],
        "number": [language.count(number) for number in (2, 3, 4)],
    }
    for kind, texts in answers.items():
        found = [said(language.code, text).keys() for text in texts]
        assert sum(kind in kinds for kinds in found) >= len(texts) / 2, (kind, found)  # others are in shared pieces
        assert all(kinds <= {kind, "number"} for kinds in found), (kind, found)  # "a star" may be "one star"


@pytest.mark.parametrize("language", ALL, ids=lambda language: language.code)
def test_keys_and_digits(language):
    for key, value in (("K", "42"), ("W", "97"), ("Q", "10")):
        assert said(language.code, language.note(key, value)) == {"key": key + value}
    assert said(language.code, language.ask_note("K")) == {"key": "K"}
    assert said(language.code, "42.") == {"key": "42"}


def test_the_same_letter_may_be_a_word():
    """English "a" and Spanish "y" are no keys; where they are no words, they are."""
    token_a, token_y = (tokenizer().encode(letter)[0] for letter in (" a", " y"))
    assert kinds("en")[token_a] == "other" and kinds("en")[token_y] == "key"
    assert kinds("es")[token_y] == "other" and kinds("vi")[token_a] == "key"


@pytest.mark.parametrize("language", ALL, ids=lambda language: language.code)
def test_questions_and_roles_say_nothing(language):
    for text in (language.ask_caption(), language.ask_count(), language.yes(), language.relation("left"), "assistant"):
        assert said(language.code, text) == {}


def test_control_tokens():
    control = {token for token, kind in enumerate(kinds("en")) if kind == "control"}
    assert control == set(tokenizer().special_ids.values())
    assert {tokenizer().token_id(name) for name in (PATCH, END_OF_TURN)} <= control
    assert len(kinds("th")) == tokenizer().vocab_size and set(kinds("th")) == set(KINDS)
