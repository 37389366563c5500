"""French sentences, compared with ones written out by hand."""

import pytest

from llama4_explained.tiny.languages.french import French
from llama4_explained.tiny.languages.language import CODES, Group, Thing

french = French()


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        ([(1, "circle", "red")], "Un cercle rouge."),
        ([(1, "star", "orange")], "Une étoile orange."),
        ([(4, "cross", "purple")], "Quatre croix violettes."),
        ([(2, "heart", "orange"), (2, "star", "green")], "Deux cœurs orange et deux étoiles vertes."),
        ([(1, "square", "yellow"), (3, "triangle", "blue")], "Un carré jaune et trois triangles bleus."),
        (
            [(1, "triangle", "purple"), (2, "circle", "yellow"), (1, "cross", "blue")],
            "Un triangle violet, deux cercles jaunes et une croix bleue.",
        ),
        (
            [(1, "circle", "blue"), (1, "heart", "red"), (1, "cross", "yellow"), (1, "square", "orange")],
            "Un cercle bleu, un cœur rouge, une croix jaune et un carré orange.",
        ),
    ],
)
def test_caption(groups: list[tuple[int, str, str]], truth: str) -> None:
    assert french.caption([Group(count, Thing(shape, color)) for count, shape, color in groups]) == truth


@pytest.mark.parametrize(
    ("shape", "answer", "which_color", "how_many"),
    [
        ("circle", "Un cercle.", "De quelle couleur est le cercle ?", "Combien de cercles y a-t-il ?"),
        ("square", "Un carré.", "De quelle couleur est le carré ?", "Combien de carrés y a-t-il ?"),
        ("triangle", "Un triangle.", "De quelle couleur est le triangle ?", "Combien de triangles y a-t-il ?"),
        ("star", "Une étoile.", "De quelle couleur est l'étoile ?", "Combien d'étoiles y a-t-il ?"),
        ("heart", "Un cœur.", "De quelle couleur est le cœur ?", "Combien de cœurs y a-t-il ?"),
        ("cross", "Une croix.", "De quelle couleur est la croix ?", "Combien de croix y a-t-il ?"),
    ],
)
def test_shape(shape: str, answer: str, which_color: str, how_many: str) -> None:
    assert (french.shape(shape), french.ask_color(shape), french.ask_count(shape)) == (answer, which_color, how_many)


@pytest.mark.parametrize(
    ("color", "answers", "objects", "stars"),
    [
        ("red", "Rouge. Rouge.", "Combien d'objets rouges y a-t-il ?", "Combien d'étoiles rouges y a-t-il ?"),
        ("orange", "Orange. Orange.", "Combien d'objets orange y a-t-il ?", "Combien d'étoiles orange y a-t-il ?"),
        ("yellow", "Jaune. Jaune.", "Combien d'objets jaunes y a-t-il ?", "Combien d'étoiles jaunes y a-t-il ?"),
        ("green", "Vert. Verte.", "Combien d'objets verts y a-t-il ?", "Combien d'étoiles vertes y a-t-il ?"),
        ("blue", "Bleu. Bleue.", "Combien d'objets bleus y a-t-il ?", "Combien d'étoiles bleues y a-t-il ?"),
        (
            "purple",
            "Violet. Violette.",
            "Combien d'objets violets y a-t-il ?",
            "Combien d'étoiles violettes y a-t-il ?",
        ),
    ],
)
def test_color(color: str, answers: str, objects: str, stars: str) -> None:
    assert " ".join(french.color(color, shape) for shape in ("circle", "star")) == answers
    assert (french.ask_count(None, color), french.ask_count("star", color)) == (objects, stars)


@pytest.mark.parametrize(
    ("shape", "truth"),
    [
        (None, "Aucun. Un. Deux. Trois. Quatre."),
        ("cross", "Aucune. Une. Deux. Trois. Quatre."),
    ],
)
def test_count(shape: str | None, truth: str) -> None:
    assert " ".join(french.count(number, shape, "blue") for number in range(5)) == truth


@pytest.mark.parametrize(
    ("thing", "other", "truth"),
    [
        (Thing("star", "red"), Thing("circle", "blue"), "Où est l'étoile rouge par rapport au cercle bleu ?"),
        (Thing("square", "orange"), Thing("star", "green"), "Où est le carré orange par rapport à l'étoile verte ?"),
        (Thing("cross", "purple"), Thing("heart", "yellow"), "Où est la croix violette par rapport au cœur jaune ?"),
        (Thing("triangle", "blue"), Thing("cross", "red"), "Où est le triangle bleu par rapport à la croix rouge ?"),
    ],
)
def test_ask_relation(thing: Thing, other: Thing, truth: str) -> None:
    assert french.ask_relation(thing, other) == truth


@pytest.mark.parametrize(
    ("sentence", "truth"),
    [
        (french.ask_count(), "Combien d'objets y a-t-il ?"),
        (french.ask_caption(), "Qu'y a-t-il sur l'image ?"),
        (french.ask_shape("orange"), "Quelle est la forme de l'objet orange ?"),
        (french.ask_existence(Thing("star", "orange")), "Y a-t-il une étoile orange ?"),
        (french.ask_existence(Thing("square", "purple")), "Y a-t-il un carré violet ?"),
        (french.yes(), "Oui."),
        (french.no(), "Non."),
        (french.relation("left"), "À gauche."),
        (french.relation("right"), "À droite."),
        (french.relation("above"), "Au-dessus."),
        (french.relation("below"), "En dessous."),
        (french.ask_translation("ko", "Une étoile rouge."), "Traduis en coréen : Une étoile rouge."),
        (french.note("A", "07"), "Le nombre associé à A est 07."),
        (french.ask_note("AE"), "Quel est le nombre associé à AE ?"),
    ],
)
def test_other_sentences(sentence: str, truth: str) -> None:
    assert sentence == truth


def test_names() -> None:
    assert (french.code, french.name) == ("fr", "français")
    first = "arabe allemand anglais espagnol français hindi indonésien"
    last = "italien coréen portugais thaï tagalog vietnamien"
    assert " ".join(french.names[code] for code in CODES) == f"{first} {last}"
