"""Portuguese sentences, compared with ones written out by hand."""

import pytest

from llama4_explained.tiny.languages.language import CODES, Group, Thing
from llama4_explained.tiny.languages.portuguese import Portuguese

portuguese = Portuguese()


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        ([(1, "circle", "red")], "Um círculo vermelho."),
        ([(1, "star", "orange")], "Uma estrela laranja."),
        ([(4, "cross", "purple")], "Quatro cruzes roxas."),
        ([(2, "heart", "orange"), (2, "star", "green")], "Dois corações laranja e duas estrelas verdes."),
        ([(1, "square", "yellow"), (3, "triangle", "blue")], "Um quadrado amarelo e três triângulos azuis."),
        (
            [(1, "triangle", "purple"), (2, "circle", "yellow"), (1, "cross", "blue")],
            "Um triângulo roxo, dois círculos amarelos e uma cruz azul.",
        ),
        (
            [(1, "circle", "blue"), (1, "heart", "red"), (1, "cross", "yellow"), (1, "square", "orange")],
            "Um círculo azul, um coração vermelho, uma cruz amarela e um quadrado laranja.",
        ),
    ],
)
def test_caption(groups: list[tuple[int, str, str]], truth: str) -> None:
    assert portuguese.caption([Group(count, Thing(shape, color)) for count, shape, color in groups]) == truth


@pytest.mark.parametrize(
    ("shape", "answer", "which_color", "how_many"),
    [
        ("circle", "Um círculo.", "De que cor é o círculo?", "Quantos círculos há?"),
        ("square", "Um quadrado.", "De que cor é o quadrado?", "Quantos quadrados há?"),
        ("triangle", "Um triângulo.", "De que cor é o triângulo?", "Quantos triângulos há?"),
        ("star", "Uma estrela.", "De que cor é a estrela?", "Quantas estrelas há?"),
        ("heart", "Um coração.", "De que cor é o coração?", "Quantos corações há?"),
        ("cross", "Uma cruz.", "De que cor é a cruz?", "Quantas cruzes há?"),
    ],
)
def test_shape(shape: str, answer: str, which_color: str, how_many: str) -> None:
    assert (portuguese.shape(shape), portuguese.ask_color(shape)) == (answer, which_color)
    assert portuguese.ask_count(shape) == how_many


@pytest.mark.parametrize(
    ("color", "answers", "objects", "stars"),
    [
        ("red", "Vermelho. Vermelha.", "Quantos objetos vermelhos há?", "Quantas estrelas vermelhas há?"),
        ("orange", "Laranja. Laranja.", "Quantos objetos laranja há?", "Quantas estrelas laranja há?"),
        ("yellow", "Amarelo. Amarela.", "Quantos objetos amarelos há?", "Quantas estrelas amarelas há?"),
        ("green", "Verde. Verde.", "Quantos objetos verdes há?", "Quantas estrelas verdes há?"),
        ("blue", "Azul. Azul.", "Quantos objetos azuis há?", "Quantas estrelas azuis há?"),
        ("purple", "Roxo. Roxa.", "Quantos objetos roxos há?", "Quantas estrelas roxas há?"),
    ],
)
def test_color(color: str, answers: str, objects: str, stars: str) -> None:
    assert " ".join(portuguese.color(color, shape) for shape in ("circle", "star")) == answers
    assert (portuguese.ask_count(None, color), portuguese.ask_count("star", color)) == (objects, stars)


@pytest.mark.parametrize(
    ("shape", "truth"),
    [
        (None, "Nenhum. Um. Dois. Três. Quatro."),
        ("cross", "Nenhuma. Uma. Duas. Três. Quatro."),
    ],
)
def test_count(shape: str | None, truth: str) -> None:
    assert " ".join(portuguese.count(number, shape, "blue") for number in range(5)) == truth


@pytest.mark.parametrize(
    ("thing", "other", "truth"),
    [
        (Thing("star", "red"), Thing("circle", "blue"), "Onde está a estrela vermelha em relação ao círculo azul?"),
        (Thing("square", "orange"), Thing("star", "green"), "Onde está o quadrado laranja em relação à estrela verde?"),
        (Thing("cross", "purple"), Thing("heart", "yellow"), "Onde está a cruz roxa em relação ao coração amarelo?"),
        (Thing("triangle", "blue"), Thing("cross", "red"), "Onde está o triângulo azul em relação à cruz vermelha?"),
    ],
)
def test_ask_relation(thing: Thing, other: Thing, truth: str) -> None:
    assert portuguese.ask_relation(thing, other) == truth


@pytest.mark.parametrize(
    ("sentence", "truth"),
    [
        (portuguese.ask_count(), "Quantos objetos há?"),
        (portuguese.ask_caption(), "O que há na imagem?"),
        (portuguese.ask_shape("orange"), "Que figura é o objeto laranja?"),
        (portuguese.ask_existence(Thing("star", "orange")), "Há uma estrela laranja?"),
        (portuguese.ask_existence(Thing("square", "purple")), "Há um quadrado roxo?"),
        (portuguese.yes(), "Sim."),
        (portuguese.no(), "Não."),
        (portuguese.relation("left"), "À esquerda."),
        (portuguese.relation("right"), "À direita."),
        (portuguese.relation("above"), "Acima."),
        (portuguese.relation("below"), "Abaixo."),
        (portuguese.ask_translation("ko", "Uma estrela vermelha."), "Traduza para o coreano: Uma estrela vermelha."),
        (portuguese.note("A", "07"), "O número de A é 07."),
        (portuguese.ask_note("AE"), "Qual é o número de AE?"),
    ],
)
def test_other_sentences(sentence: str, truth: str) -> None:
    assert sentence == truth


def test_names() -> None:
    assert (portuguese.code, portuguese.name) == ("pt", "português")
    first = "árabe alemão inglês espanhol francês hindi indonésio"
    last = "italiano coreano português tailandês tagalo vietnamita"
    assert " ".join(portuguese.names[code] for code in CODES) == f"{first} {last}"
