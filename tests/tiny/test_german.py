import pytest

from llama4_explained.tiny.languages.german import German
from llama4_explained.tiny.languages.language import CODES, Group, Thing

GERMAN = German()


def group(count, color, shape):
    return Group(count, Thing(shape, color))


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([group(1, "red", "circle")], "Ein roter Kreis."),
        ([group(2, "orange", "circle")], "Zwei orange Kreise."),
        ([group(1, "yellow", "square"), group(3, "purple", "square")], "Ein gelbes Quadrat und drei lila Quadrate."),
        ([group(2, "green", "triangle"), group(2, "blue", "star")], "Zwei grüne Dreiecke und zwei blaue Sterne."),
        ([group(4, "red", "heart")], "Vier rote Herzen."),
        ([group(3, "blue", "cross"), group(1, "orange", "star")], "Drei blaue Kreuze und ein orange Stern."),
        (
            [group(1, "purple", "heart"), group(2, "yellow", "cross"), group(1, "green", "star")],
            "Ein lila Herz, zwei gelbe Kreuze und ein grüner Stern.",
        ),
        (
            [
                group(1, "blue", "triangle"),
                group(1, "red", "cross"),
                group(1, "green", "heart"),
                group(1, "yellow", "circle"),
            ],
            "Ein blaues Dreieck, ein rotes Kreuz, ein grünes Herz und ein gelber Kreis.",
        ),
    ],
)
def test_caption(groups, sentence):
    assert GERMAN.caption(groups) == sentence


@pytest.mark.parametrize(
    ("shape", "color", "question", "one"),
    [
        (None, None, "Wie viele Objekte gibt es?", "Eins."),
        (None, "red", "Wie viele rote Objekte gibt es?", "Eins."),
        ("circle", None, "Wie viele Kreise gibt es?", "Einen."),
        ("square", None, "Wie viele Quadrate gibt es?", "Eins."),
        ("triangle", None, "Wie viele Dreiecke gibt es?", "Eins."),
        ("star", "purple", "Wie viele lila Sterne gibt es?", "Einen."),
        ("heart", "green", "Wie viele grüne Herzen gibt es?", "Eins."),
        ("cross", None, "Wie viele Kreuze gibt es?", "Eins."),
    ],
)
def test_count(shape, color, question, one):
    assert GERMAN.ask_count(shape, color) == question
    answers = [GERMAN.count(number, shape, color) for number in range(5)]
    assert answers == ["Keine.", one, "Zwei.", "Drei.", "Vier."]


@pytest.mark.parametrize(
    ("thing", "question"),
    [
        (Thing("star", "red"), "Gibt es einen roten Stern?"),
        (Thing("circle", "orange"), "Gibt es einen orange Kreis?"),
        (Thing("square", "green"), "Gibt es ein grünes Quadrat?"),
        (Thing("cross", "purple"), "Gibt es ein lila Kreuz?"),
    ],
)
def test_existence_is_accusative(thing, question):
    assert GERMAN.ask_existence(thing) == question


@pytest.mark.parametrize(
    ("thing", "other", "question"),
    [
        (Thing("star", "red"), Thing("circle", "blue"), "Wo ist der rote Stern vom blauen Kreis aus gesehen?"),
        (Thing("cross", "blue"), Thing("heart", "yellow"), "Wo ist das blaue Kreuz vom gelben Herzen aus gesehen?"),
        (Thing("circle", "purple"), Thing("square", "orange"), "Wo ist der lila Kreis vom orange Quadrat aus gesehen?"),
        (Thing("heart", "green"), Thing("triangle", "red"), "Wo ist das grüne Herz vom roten Dreieck aus gesehen?"),
    ],
)
def test_relation_is_dative(thing, other, question):
    assert GERMAN.ask_relation(thing, other) == question


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (GERMAN.ask_caption(), "Was ist auf dem Bild?"),
        (GERMAN.ask_color("star"), "Welche Farbe hat der Stern?"),
        (GERMAN.ask_color("heart"), "Welche Farbe hat das Herz?"),
        (GERMAN.ask_shape("yellow"), "Was ist das gelbe Objekt?"),
        (GERMAN.ask_shape("orange"), "Was ist das orange Objekt?"),
        (GERMAN.shape("circle"), "Ein Kreis."),
        (GERMAN.shape("heart"), "Ein Herz."),
        (GERMAN.yes(), "Ja."),
        (GERMAN.no(), "Nein."),
        (GERMAN.ask_translation("en", "Ein roter Stern."), "Übersetze ins Englische: Ein roter Stern."),
        (GERMAN.ask_translation("hi", "Zwei."), "Übersetze ins Hindi: Zwei."),
        (GERMAN.note("K", "42"), "Die Nummer von K ist 42."),
        (GERMAN.ask_note("K"), "Wie lautet die Nummer von K?"),
    ],
)
def test_sentence(said, sentence):
    assert said == sentence


def test_colors_directions_and_names():
    colors = [GERMAN.color(color, "star") for color in ("red", "orange", "yellow", "green", "blue", "purple")]
    assert colors == ["Rot.", "Orange.", "Gelb.", "Grün.", "Blau.", "Lila."]
    directions = [GERMAN.relation(direction) for direction in ("left", "right", "above", "below")]
    assert directions == ["Links.", "Rechts.", "Darüber.", "Darunter."]
    assert (GERMAN.code, GERMAN.name, sorted(GERMAN.names)) == ("de", "Deutsch", sorted(CODES))
