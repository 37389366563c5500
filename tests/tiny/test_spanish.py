"""Spanish sentences, compared with ones written out by hand."""

import pytest

from llama4_explained.tiny.languages.language import CODES, Group, Thing
from llama4_explained.tiny.languages.spanish import Spanish

spanish = Spanish()


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        ([(1, "circle", "red")], "Un círculo rojo."),
        ([(1, "star", "orange")], "Una estrella naranja."),
        ([(4, "cross", "purple")], "Cuatro cruces moradas."),
        ([(2, "heart", "orange"), (2, "star", "green")], "Dos corazones naranjas y dos estrellas verdes."),
        ([(1, "square", "yellow"), (3, "triangle", "blue")], "Un cuadrado amarillo y tres triángulos azules."),
        (
            [(1, "triangle", "purple"), (2, "circle", "yellow"), (1, "cross", "blue")],
            "Un triángulo morado, dos círculos amarillos y una cruz azul.",
        ),
        (
            [(1, "circle", "blue"), (1, "heart", "red"), (1, "cross", "yellow"), (1, "square", "orange")],
            "Un círculo azul, un corazón rojo, una cruz amarilla y un cuadrado naranja.",
        ),
    ],
)
def test_caption(groups: list[tuple[int, str, str]], truth: str) -> None:
    assert spanish.caption([Group(count, Thing(shape, color)) for count, shape, color in groups]) == truth


@pytest.mark.parametrize(
    ("shape", "answer", "which_color", "how_many"),
    [
        ("circle", "Un círculo.", "¿De qué color es el círculo?", "¿Cuántos círculos hay?"),
        ("square", "Un cuadrado.", "¿De qué color es el cuadrado?", "¿Cuántos cuadrados hay?"),
        ("triangle", "Un triángulo.", "¿De qué color es el triángulo?", "¿Cuántos triángulos hay?"),
        ("star", "Una estrella.", "¿De qué color es la estrella?", "¿Cuántas estrellas hay?"),
        ("heart", "Un corazón.", "¿De qué color es el corazón?", "¿Cuántos corazones hay?"),
        ("cross", "Una cruz.", "¿De qué color es la cruz?", "¿Cuántas cruces hay?"),
    ],
)
def test_shape(shape: str, answer: str, which_color: str, how_many: str) -> None:
    assert (spanish.shape(shape), spanish.ask_color(shape), spanish.ask_count(shape)) == (answer, which_color, how_many)


@pytest.mark.parametrize(
    ("color", "answers", "objects", "stars"),
    [
        ("red", "Rojo. Roja.", "¿Cuántos objetos rojos hay?", "¿Cuántas estrellas rojas hay?"),
        ("orange", "Naranja. Naranja.", "¿Cuántos objetos naranjas hay?", "¿Cuántas estrellas naranjas hay?"),
        ("yellow", "Amarillo. Amarilla.", "¿Cuántos objetos amarillos hay?", "¿Cuántas estrellas amarillas hay?"),
        ("green", "Verde. Verde.", "¿Cuántos objetos verdes hay?", "¿Cuántas estrellas verdes hay?"),
        ("blue", "Azul. Azul.", "¿Cuántos objetos azules hay?", "¿Cuántas estrellas azules hay?"),
        ("purple", "Morado. Morada.", "¿Cuántos objetos morados hay?", "¿Cuántas estrellas moradas hay?"),
    ],
)
def test_color(color: str, answers: str, objects: str, stars: str) -> None:
    assert " ".join(spanish.color(color, shape) for shape in ("circle", "star")) == answers
    assert (spanish.ask_count(None, color), spanish.ask_count("star", color)) == (objects, stars)


@pytest.mark.parametrize(
    ("shape", "truth"),
    [
        (None, "Ninguno. Uno. Dos. Tres. Cuatro."),
        ("cross", "Ninguna. Una. Dos. Tres. Cuatro."),
    ],
)
def test_count(shape: str | None, truth: str) -> None:
    assert " ".join(spanish.count(number, shape, "blue") for number in range(5)) == truth


@pytest.mark.parametrize(
    ("thing", "other", "truth"),
    [
        (Thing("star", "red"), Thing("circle", "blue"), "¿Dónde está la estrella roja respecto al círculo azul?"),
        (Thing("square", "blue"), Thing("star", "green"), "¿Dónde está el cuadrado azul respecto a la estrella verde?"),
        (Thing("cross", "purple"), Thing("heart", "red"), "¿Dónde está la cruz morada respecto al corazón rojo?"),
        (Thing("triangle", "blue"), Thing("cross", "red"), "¿Dónde está el triángulo azul respecto a la cruz roja?"),
    ],
)
def test_ask_relation(thing: Thing, other: Thing, truth: str) -> None:
    assert spanish.ask_relation(thing, other) == truth


@pytest.mark.parametrize(
    ("sentence", "truth"),
    [
        (spanish.ask_count(), "¿Cuántos objetos hay?"),
        (spanish.ask_caption(), "¿Qué hay en la imagen?"),
        (spanish.ask_shape("orange"), "¿Qué figura es el objeto naranja?"),
        (spanish.ask_existence(Thing("star", "orange")), "¿Hay una estrella naranja?"),
        (spanish.ask_existence(Thing("square", "purple")), "¿Hay un cuadrado morado?"),
        (spanish.yes(), "Sí."),
        (spanish.no(), "No."),
        (spanish.relation("left"), "A la izquierda."),
        (spanish.relation("right"), "A la derecha."),
        (spanish.relation("above"), "Arriba."),
        (spanish.relation("below"), "Abajo."),
        (spanish.ask_translation("ko", "Una estrella roja."), "Traduce al coreano: Una estrella roja."),
        (spanish.note("A", "07"), "El número de A es 07."),
        (spanish.ask_note("AE"), "¿Cuál es el número de AE?"),
    ],
)
def test_other_sentences(sentence: str, truth: str) -> None:
    assert sentence == truth


def test_names() -> None:
    assert (spanish.code, spanish.name) == ("es", "español")
    first = "árabe alemán inglés español francés hindi indonesio"
    last = "italiano coreano portugués tailandés tagalo vietnamita"
    assert " ".join(spanish.names[code] for code in CODES) == f"{first} {last}"
