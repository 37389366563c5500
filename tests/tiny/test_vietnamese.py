import pytest

from llama4_explained.tiny.languages.language import CODES, Group, Thing
from llama4_explained.tiny.languages.vietnamese import Vietnamese

VIETNAMESE = Vietnamese()


def group(count, color, shape):
    return Group(count, Thing(shape, color))


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([group(1, "red", "circle")], "Một hình tròn màu đỏ."),
        ([group(4, "orange", "circle")], "Bốn hình tròn màu cam."),
        (
            [group(1, "yellow", "square"), group(3, "blue", "square")],
            "Một hình vuông màu vàng và ba hình vuông màu xanh dương.",
        ),
        (
            [group(2, "green", "triangle"), group(1, "blue", "triangle")],
            "Hai hình tam giác màu xanh lá cây và một hình tam giác màu xanh dương.",
        ),
        ([group(3, "purple", "star")], "Ba hình ngôi sao màu tím."),
        (
            [group(2, "orange", "heart"), group(2, "red", "cross")],
            "Hai hình trái tim màu cam và hai hình chữ thập màu đỏ.",
        ),
        (
            [group(1, "red", "heart"), group(2, "blue", "square"), group(1, "green", "star")],
            "Một hình trái tim màu đỏ, hai hình vuông màu xanh dương và một hình ngôi sao màu xanh lá cây.",
        ),
        (
            [
                group(1, "purple", "cross"),
                group(1, "yellow", "star"),
                group(1, "orange", "triangle"),
                group(1, "red", "circle"),
            ],
            "Một hình chữ thập màu tím, một hình ngôi sao màu vàng, một hình tam giác màu cam và một hình tròn màu đỏ.",
        ),
    ],
)
def test_caption(groups, sentence):
    assert VIETNAMESE.caption(groups) == sentence


@pytest.mark.parametrize(
    ("shape", "color", "question"),
    [
        (None, None, "Có bao nhiêu hình?"),
        (None, "red", "Có bao nhiêu hình màu đỏ?"),
        ("star", None, "Có bao nhiêu hình ngôi sao?"),
        ("heart", "green", "Có bao nhiêu hình trái tim màu xanh lá cây?"),
    ],
)
def test_count(shape, color, question):
    assert VIETNAMESE.ask_count(shape, color) == question
    answers = [VIETNAMESE.count(number, shape, color) for number in range(5)]
    assert answers == ["Không có.", "Một.", "Hai.", "Ba.", "Bốn."]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (VIETNAMESE.ask_caption(), "Trong ảnh có gì?"),
        (VIETNAMESE.ask_color("star"), "Hình ngôi sao có màu gì?"),
        (VIETNAMESE.ask_shape("purple"), "Hình màu tím là hình gì?"),
        (VIETNAMESE.ask_existence(Thing("star", "red")), "Có hình ngôi sao màu đỏ không?"),
        (VIETNAMESE.yes(), "Có."),
        (VIETNAMESE.no(), "Không."),
        (
            VIETNAMESE.ask_relation(Thing("star", "red"), Thing("circle", "blue")),
            "Hình ngôi sao màu đỏ ở phía nào so với hình tròn màu xanh dương?",
        ),
        (
            VIETNAMESE.ask_translation("de", "Một hình ngôi sao màu đỏ."),
            "Dịch sang tiếng Đức: Một hình ngôi sao màu đỏ.",
        ),
        (VIETNAMESE.note("K", "42"), "Số của K là 42."),
        (VIETNAMESE.ask_note("K"), "Số của K là bao nhiêu?"),
    ],
)
def test_sentence(said, sentence):
    assert said == sentence


def test_short_answers_and_names():
    shapes = [VIETNAMESE.shape(shape) for shape in ("circle", "square", "triangle", "star", "heart", "cross")]
    assert shapes == [
        "Hình tròn.", "Hình vuông.", "Hình tam giác.", "Hình ngôi sao.", "Hình trái tim.", "Hình chữ thập.",
    ]  # fmt: skip
    colors = [VIETNAMESE.color(color, "star") for color in ("red", "orange", "yellow", "green", "blue", "purple")]
    assert colors == ["Màu đỏ.", "Màu cam.", "Màu vàng.", "Màu xanh lá cây.", "Màu xanh dương.", "Màu tím."]
    directions = [VIETNAMESE.relation(direction) for direction in ("left", "right", "above", "below")]
    assert directions == ["Bên trái.", "Bên phải.", "Phía trên.", "Phía dưới."]
    assert (VIETNAMESE.code, VIETNAMESE.name, sorted(VIETNAMESE.names)) == ("vi", "Tiếng Việt", sorted(CODES))
