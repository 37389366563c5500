"""English sentences, compared with ones written out by hand."""

import pytest

from llama4_explained.tiny.languages.english import English
from llama4_explained.tiny.languages.language import CODES, Group, Thing

english = English()


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        ([(1, "circle", "red")], "A red circle."),
        ([(1, "star", "orange")], "An orange star."),
        ([(4, "cross", "purple")], "Four purple crosses."),
        ([(2, "heart", "orange"), (2, "star", "green")], "Two orange hearts and two green stars."),
        ([(1, "square", "yellow"), (3, "triangle", "blue")], "A yellow square and three blue triangles."),
        (
            [(1, "triangle", "purple"), (2, "circle", "yellow"), (1, "cross", "blue")],
            "A purple triangle, two yellow circles and a blue cross.",
        ),
        (
            [(1, "circle", "blue"), (1, "heart", "red"), (1, "cross", "yellow"), (1, "square", "orange")],
            "A blue circle, a red heart, a yellow cross and an orange square.",
        ),
    ],
)
def test_caption(groups: list[tuple[int, str, str]], truth: str) -> None:
    assert english.caption([Group(count, Thing(shape, color)) for count, shape, color in groups]) == truth


@pytest.mark.parametrize(
    ("shape", "answer", "which_color", "how_many"),
    [
        ("circle", "A circle.", "What colour is the circle?", "How many circles are there?"),
        ("square", "A square.", "What colour is the square?", "How many squares are there?"),
        ("triangle", "A triangle.", "What colour is the triangle?", "How many triangles are there?"),
        ("star", "A star.", "What colour is the star?", "How many stars are there?"),
        ("heart", "A heart.", "What colour is the heart?", "How many hearts are there?"),
        ("cross", "A cross.", "What colour is the cross?", "How many crosses are there?"),
    ],
)
def test_shape(shape: str, answer: str, which_color: str, how_many: str) -> None:
    assert (english.shape(shape), english.ask_color(shape), english.ask_count(shape)) == (answer, which_color, how_many)


@pytest.mark.parametrize(
    ("color", "answers", "objects", "stars"),
    [
        ("red", "Red. Red.", "How many red objects are there?", "How many red stars are there?"),
        ("orange", "Orange. Orange.", "How many orange objects are there?", "How many orange stars are there?"),
        ("yellow", "Yellow. Yellow.", "How many yellow objects are there?", "How many yellow stars are there?"),
        ("green", "Green. Green.", "How many green objects are there?", "How many green stars are there?"),
        ("blue", "Blue. Blue.", "How many blue objects are there?", "How many blue stars are there?"),
        ("purple", "Purple. Purple.", "How many purple objects are there?", "How many purple stars are there?"),
    ],
)
def test_color(color: str, answers: str, objects: str, stars: str) -> None:
    assert " ".join(english.color(color, shape) for shape in ("circle", "star")) == answers
    assert (english.ask_count(None, color), english.ask_count("star", color)) == (objects, stars)


@pytest.mark.parametrize(
    ("shape", "truth"),
    [
        (None, "None. One. Two. Three. Four."),
        ("cross", "None. One. Two. Three. Four."),
    ],
)
def test_count(shape: str | None, truth: str) -> None:
    assert " ".join(english.count(number, shape, "blue") for number in range(5)) == truth


@pytest.mark.parametrize(
    ("thing", "other", "truth"),
    [
        (Thing("star", "red"), Thing("circle", "blue"), "Where is the red star relative to the blue circle?"),
        (Thing("square", "orange"), Thing("star", "green"), "Where is the orange square relative to the green star?"),
        (Thing("cross", "purple"), Thing("heart", "yellow"), "Where is the purple cross relative to the yellow heart?"),
        (Thing("triangle", "blue"), Thing("cross", "red"), "Where is the blue triangle relative to the red cross?"),
    ],
)
def test_ask_relation(thing: Thing, other: Thing, truth: str) -> None:
    assert english.ask_relation(thing, other) == truth


@pytest.mark.parametrize(
    ("sentence", "truth"),
    [
        (english.ask_count(), "How many objects are there?"),
        (english.ask_caption(), "What is in the picture?"),
        (english.ask_shape("orange"), "What shape is the orange object?"),
        (english.ask_existence(Thing("star", "orange")), "Is there an orange star?"),
        (english.ask_existence(Thing("square", "purple")), "Is there a purple square?"),
        (english.yes(), "Yes."),
        (english.no(), "No."),
        (english.relation("left"), "To the left."),
        (english.relation("right"), "To the right."),
        (english.relation("above"), "Above."),
        (english.relation("below"), "Below."),
        (english.ask_translation("ko", "A red star."), "Translate into Korean: A red star."),
        (english.note("A", "07"), "The number of A is 07."),
        (english.ask_note("AE"), "What is the number of AE?"),
    ],
)
def test_other_sentences(sentence: str, truth: str) -> None:
    assert sentence == truth


def test_names() -> None:
    assert (english.code, english.name) == ("en", "English")
    first = "Arabic German English Spanish French Hindi Indonesian"
    last = "Italian Korean Portuguese Thai Tagalog Vietnamese"
    assert " ".join(english.names[code] for code in CODES) == f"{first} {last}"
