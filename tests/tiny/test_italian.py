"""Italian sentences, compared with ones written out by hand."""

import pytest

from llama4_explained.tiny.languages.italian import Italian
from llama4_explained.tiny.languages.language import CODES, Group, Thing

italian = Italian()


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        ([(1, "circle", "red")], "Un cerchio rosso."),
        ([(1, "star", "orange")], "Una stella arancione."),
        ([(4, "cross", "purple")], "Quattro croci viola."),
        ([(2, "heart", "orange"), (2, "star", "green")], "Due cuori arancioni e due stelle verdi."),
        ([(1, "square", "yellow"), (3, "triangle", "blue")], "Un quadrato giallo e tre triangoli blu."),
        (
            [(1, "triangle", "purple"), (2, "circle", "yellow"), (1, "cross", "blue")],
            "Un triangolo viola, due cerchi gialli e una croce blu.",
        ),
        (
            [(1, "circle", "blue"), (1, "heart", "red"), (1, "cross", "yellow"), (1, "square", "orange")],
            "Un cerchio blu, un cuore rosso, una croce gialla e un quadrato arancione.",
        ),
    ],
)
def test_caption(groups: list[tuple[int, str, str]], truth: str) -> None:
    assert italian.caption([Group(count, Thing(shape, color)) for count, shape, color in groups]) == truth


@pytest.mark.parametrize(
    ("shape", "answer", "which_color", "how_many"),
    [
        ("circle", "Un cerchio.", "Di che colore è il cerchio?", "Quanti cerchi ci sono?"),
        ("square", "Un quadrato.", "Di che colore è il quadrato?", "Quanti quadrati ci sono?"),
        ("triangle", "Un triangolo.", "Di che colore è il triangolo?", "Quanti triangoli ci sono?"),
        ("star", "Una stella.", "Di che colore è la stella?", "Quante stelle ci sono?"),
        ("heart", "Un cuore.", "Di che colore è il cuore?", "Quanti cuori ci sono?"),
        ("cross", "Una croce.", "Di che colore è la croce?", "Quante croci ci sono?"),
    ],
)
def test_shape(shape: str, answer: str, which_color: str, how_many: str) -> None:
    assert (italian.shape(shape), italian.ask_color(shape), italian.ask_count(shape)) == (answer, which_color, how_many)


@pytest.mark.parametrize(
    ("color", "answers", "objects", "stars"),
    [
        ("red", "Rosso. Rossa.", "Quanti oggetti rossi ci sono?", "Quante stelle rosse ci sono?"),
        ("orange", "Arancione. Arancione.", "Quanti oggetti arancioni ci sono?", "Quante stelle arancioni ci sono?"),
        ("yellow", "Giallo. Gialla.", "Quanti oggetti gialli ci sono?", "Quante stelle gialle ci sono?"),
        ("green", "Verde. Verde.", "Quanti oggetti verdi ci sono?", "Quante stelle verdi ci sono?"),
        ("blue", "Blu. Blu.", "Quanti oggetti blu ci sono?", "Quante stelle blu ci sono?"),
        ("purple", "Viola. Viola.", "Quanti oggetti viola ci sono?", "Quante stelle viola ci sono?"),
    ],
)
def test_color(color: str, answers: str, objects: str, stars: str) -> None:
    assert " ".join(italian.color(color, shape) for shape in ("circle", "star")) == answers
    assert (italian.ask_count(None, color), italian.ask_count("star", color)) == (objects, stars)


@pytest.mark.parametrize(
    ("shape", "truth"),
    [
        (None, "Nessuno. Uno. Due. Tre. Quattro."),
        ("cross", "Nessuna. Una. Due. Tre. Quattro."),
    ],
)
def test_count(shape: str | None, truth: str) -> None:
    assert " ".join(italian.count(number, shape, "blue") for number in range(5)) == truth


@pytest.mark.parametrize(
    ("thing", "other", "truth"),
    [
        (Thing("star", "red"), Thing("circle", "blue"), "Dov'è la stella rossa rispetto al cerchio blu?"),
        (Thing("square", "orange"), Thing("star", "green"), "Dov'è il quadrato arancione rispetto alla stella verde?"),
        (Thing("cross", "purple"), Thing("heart", "yellow"), "Dov'è la croce viola rispetto al cuore giallo?"),
        (Thing("triangle", "blue"), Thing("cross", "red"), "Dov'è il triangolo blu rispetto alla croce rossa?"),
    ],
)
def test_ask_relation(thing: Thing, other: Thing, truth: str) -> None:
    assert italian.ask_relation(thing, other) == truth


@pytest.mark.parametrize(
    ("sentence", "truth"),
    [
        (italian.ask_count(), "Quanti oggetti ci sono?"),
        (italian.ask_caption(), "Che cosa c'è nell'immagine?"),
        (italian.ask_shape("orange"), "Che figura è l'oggetto arancione?"),
        (italian.ask_existence(Thing("star", "orange")), "C'è una stella arancione?"),
        (italian.ask_existence(Thing("square", "purple")), "C'è un quadrato viola?"),
        (italian.yes(), "Sì."),
        (italian.no(), "No."),
        (italian.relation("left"), "A sinistra."),
        (italian.relation("right"), "A destra."),
        (italian.relation("above"), "Sopra."),
        (italian.relation("below"), "Sotto."),
        (italian.ask_translation("ko", "Una stella rossa."), "Traduci in coreano: Una stella rossa."),
        (italian.note("A", "07"), "Il numero di A è 07."),
        (italian.ask_note("AE"), "Qual è il numero di AE?"),
    ],
)
def test_other_sentences(sentence: str, truth: str) -> None:
    assert sentence == truth


def test_names() -> None:
    assert (italian.code, italian.name) == ("it", "italiano")
    first = "arabo tedesco inglese spagnolo francese hindi indonesiano"
    last = "italiano coreano portoghese thailandese tagalog vietnamita"
    assert " ".join(italian.names[code] for code in CODES) == f"{first} {last}"
