"""Hindi sentences, compared with ones written out by hand."""

import pytest

from llama4_explained.tiny.languages.hindi import Hindi
from llama4_explained.tiny.languages.language import CODES, Group, Thing

hindi = Hindi()


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        ([(1, "circle", "red")], "एक लाल वृत्त।"),
        ([(1, "star", "blue")], "एक नीला तारा।"),
        ([(2, "star", "blue")], "दो नीले तारे।"),
        ([(3, "star", "orange")], "तीन नारंगी तारे।"),
        ([(4, "square", "green")], "चार हरे वर्ग।"),
        ([(1, "triangle", "yellow"), (3, "triangle", "purple")], "एक पीला त्रिभुज और तीन बैंगनी त्रिभुज।"),
        ([(2, "heart", "red"), (2, "cross", "yellow")], "दो लाल दिल और दो पीले क्रॉस।"),
        (
            [(1, "cross", "green"), (2, "circle", "blue"), (1, "heart", "purple")],
            "एक हरा क्रॉस, दो नीले वृत्त और एक बैंगनी दिल।",
        ),
        (
            [(1, "square", "blue"), (1, "star", "red"), (1, "triangle", "green"), (1, "circle", "orange")],
            "एक नीला वर्ग, एक लाल तारा, एक हरा त्रिभुज और एक नारंगी वृत्त।",
        ),
    ],
)
def test_caption(groups: list[tuple[int, str, str]], truth: str) -> None:
    assert hindi.caption([Group(count, Thing(shape, color)) for count, shape, color in groups]) == truth


@pytest.mark.parametrize(
    ("shape", "answer", "which_color", "how_many"),
    [
        ("circle", "वृत्त।", "वृत्त का रंग क्या है?", "चित्र में कितने वृत्त हैं?"),
        ("square", "वर्ग।", "वर्ग का रंग क्या है?", "चित्र में कितने वर्ग हैं?"),
        ("triangle", "त्रिभुज।", "त्रिभुज का रंग क्या है?", "चित्र में कितने त्रिभुज हैं?"),
        ("star", "तारा।", "तारे का रंग क्या है?", "चित्र में कितने तारे हैं?"),
        ("heart", "दिल।", "दिल का रंग क्या है?", "चित्र में कितने दिल हैं?"),
        ("cross", "क्रॉस।", "क्रॉस का रंग क्या है?", "चित्र में कितने क्रॉस हैं?"),
    ],
)
def test_shape(shape: str, answer: str, which_color: str, how_many: str) -> None:
    assert (hindi.shape(shape), hindi.ask_color(shape), hindi.ask_count(shape)) == (answer, which_color, how_many)


@pytest.mark.parametrize(
    ("color", "answer", "which_shape", "objects", "stars"),
    [
        ("red", "लाल।", "लाल आकृति कौन-सी है?", "कितनी लाल आकृतियाँ", "कितने लाल तारे"),
        ("orange", "नारंगी।", "नारंगी आकृति कौन-सी है?", "कितनी नारंगी आकृतियाँ", "कितने नारंगी तारे"),
        ("yellow", "पीला।", "पीली आकृति कौन-सी है?", "कितनी पीली आकृतियाँ", "कितने पीले तारे"),
        ("green", "हरा।", "हरी आकृति कौन-सी है?", "कितनी हरी आकृतियाँ", "कितने हरे तारे"),
        ("blue", "नीला।", "नीली आकृति कौन-सी है?", "कितनी नीली आकृतियाँ", "कितने नीले तारे"),
        ("purple", "बैंगनी।", "बैंगनी आकृति कौन-सी है?", "कितनी बैंगनी आकृतियाँ", "कितने बैंगनी तारे"),
    ],
)
def test_color(color: str, answer: str, which_shape: str, objects: str, stars: str) -> None:
    assert (hindi.color(color, "star"), hindi.ask_shape(color)) == (answer, which_shape)
    assert hindi.ask_count(None, color) == f"चित्र में {objects} हैं?"
    assert hindi.ask_count("star", color) == f"चित्र में {stars} हैं?"


@pytest.mark.parametrize("shape", [None, "star"])
def test_count(shape: str | None) -> None:
    answers = [hindi.count(number, shape, "blue") for number in range(5)]
    assert answers == ["एक भी नहीं।", "एक।", "दो।", "तीन।", "चार।"]


@pytest.mark.parametrize(
    ("sentence", "truth"),
    [
        (hindi.ask_caption(), "चित्र में क्या है?"),
        (hindi.ask_count(), "चित्र में कितनी आकृतियाँ हैं?"),
        (hindi.ask_existence(Thing("star", "red")), "क्या चित्र में कोई लाल तारा है?"),
        (hindi.ask_existence(Thing("heart", "yellow")), "क्या चित्र में कोई पीला दिल है?"),
        (hindi.yes(), "हाँ।"),
        (hindi.no(), "नहीं।"),
        (hindi.ask_relation(Thing("star", "red"), Thing("circle", "blue")), "नीले वृत्त से लाल तारा किस ओर है?"),
        (hindi.ask_relation(Thing("square", "green"), Thing("star", "yellow")), "पीले तारे से हरा वर्ग किस ओर है?"),
        (hindi.ask_relation(Thing("cross", "blue"), Thing("star", "purple")), "बैंगनी तारे से नीला क्रॉस किस ओर है?"),
        (hindi.relation("left"), "बाईं ओर।"),
        (hindi.relation("right"), "दाईं ओर।"),
        (hindi.relation("above"), "ऊपर।"),
        (hindi.relation("below"), "नीचे।"),
        (hindi.ask_translation("de", "एक लाल तारा।"), "जर्मन में अनुवाद करें: एक लाल तारा।"),
        (hindi.note("K", "42"), "K का नंबर 42 है।"),
        (hindi.ask_note("K"), "K का नंबर क्या है?"),
    ],
)
def test_other_sentences(sentence: str, truth: str) -> None:
    assert sentence == truth


def test_names() -> None:
    assert (hindi.code, hindi.name) == ("hi", "हिन्दी")
    first = "अरबी जर्मन अंग्रेज़ी स्पेनिश फ़्रेंच हिन्दी इंडोनेशियाई"
    last = "इतालवी कोरियाई पुर्तगाली थाई टैगलॉग वियतनामी"
    assert " ".join(hindi.names[code] for code in CODES) == f"{first} {last}"
