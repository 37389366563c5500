import pytest

from llama4_explained.tiny.languages.language import CODES, Group, Thing
from llama4_explained.tiny.languages.tagalog import Tagalog

TAGALOG = Tagalog()


def group(count, color, shape):
    return Group(count, Thing(shape, color))


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([group(1, "red", "circle")], "Isang pulang bilog."),
        ([group(4, "orange", "circle")], "Apat na kahel na bilog."),
        (
            [group(1, "yellow", "square"), group(3, "blue", "square")],
            "Isang dilaw na parisukat at tatlong asul na parisukat.",
        ),
        (
            [group(2, "green", "triangle"), group(1, "blue", "triangle")],
            "Dalawang berdeng tatsulok at isang asul na tatsulok.",
        ),
        ([group(4, "purple", "star")], "Apat na lilang bituin."),
        ([group(2, "orange", "heart"), group(2, "red", "cross")], "Dalawang kahel na puso at dalawang pulang krus."),
        (
            [group(1, "red", "heart"), group(2, "blue", "square"), group(1, "green", "star")],
            "Isang pulang puso, dalawang asul na parisukat at isang berdeng bituin.",
        ),
        (
            [
                group(1, "purple", "cross"),
                group(1, "yellow", "star"),
                group(1, "orange", "triangle"),
                group(1, "green", "circle"),
            ],
            "Isang lilang krus, isang dilaw na bituin, isang kahel na tatsulok at isang berdeng bilog.",
        ),
    ],
)
def test_caption(groups, sentence):
    assert TAGALOG.caption(groups) == sentence


@pytest.mark.parametrize(
    ("shape", "color", "question"),
    [
        (None, None, "Ilan ang bagay?"),
        (None, "red", "Ilan ang pulang bagay?"),
        (None, "yellow", "Ilan ang dilaw na bagay?"),
        ("star", None, "Ilan ang bituin?"),
        ("heart", "green", "Ilan ang berdeng puso?"),
        ("cross", "blue", "Ilan ang asul na krus?"),
    ],
)
def test_count(shape, color, question):
    assert TAGALOG.ask_count(shape, color) == question
    answers = [TAGALOG.count(number, shape, color) for number in range(5)]
    assert answers == ["Wala.", "Isa.", "Dalawa.", "Tatlo.", "Apat."]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (TAGALOG.ask_caption(), "Ano ang nasa larawan?"),
        (TAGALOG.ask_color("star"), "Ano ang kulay ng bituin?"),
        (TAGALOG.ask_shape("purple"), "Ano ang hugis ng lilang bagay?"),
        (TAGALOG.ask_shape("orange"), "Ano ang hugis ng kahel na bagay?"),
        (TAGALOG.ask_existence(Thing("star", "red")), "Mayroon bang pulang bituin?"),
        (TAGALOG.ask_existence(Thing("cross", "yellow")), "Mayroon bang dilaw na krus?"),
        (TAGALOG.yes(), "Mayroon."),
        (TAGALOG.no(), "Wala."),
        (
            TAGALOG.ask_relation(Thing("star", "red"), Thing("circle", "blue")),
            "Nasaan ang pulang bituin mula sa asul na bilog?",
        ),
        (
            TAGALOG.ask_relation(Thing("heart", "orange"), Thing("triangle", "green")),
            "Nasaan ang kahel na puso mula sa berdeng tatsulok?",
        ),
        (TAGALOG.ask_translation("de", "Isang pulang bituin."), "Isalin sa Aleman: Isang pulang bituin."),
        (TAGALOG.ask_translation("vi", "Dalawa."), "Isalin sa Biyetnames: Dalawa."),
        (TAGALOG.note("K", "42"), "Ang numero ng K ay 42."),
        (TAGALOG.ask_note("K"), "Ano ang numero ng K?"),
    ],
)
def test_sentence(said, sentence):
    assert said == sentence


def test_short_answers_and_names():
    shapes = [TAGALOG.shape(shape) for shape in ("circle", "square", "triangle", "star", "heart", "cross")]
    assert shapes == ["Bilog.", "Parisukat.", "Tatsulok.", "Bituin.", "Puso.", "Krus."]
    colors = [TAGALOG.color(color, "star") for color in ("red", "orange", "yellow", "green", "blue", "purple")]
    assert colors == ["Pula.", "Kahel.", "Dilaw.", "Berde.", "Asul.", "Lila."]
    directions = [TAGALOG.relation(direction) for direction in ("left", "right", "above", "below")]
    assert directions == ["Nasa kaliwa.", "Nasa kanan.", "Nasa itaas.", "Nasa ibaba."]
    assert (TAGALOG.code, TAGALOG.name, sorted(TAGALOG.names)) == ("tl", "Tagalog", sorted(CODES))
