import pytest

from llama4_explained.tiny.languages.indonesian import Indonesian
from llama4_explained.tiny.languages.language import CODES, Group, Thing

INDONESIAN = Indonesian()


def group(count, color, shape):
    return Group(count, Thing(shape, color))


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([group(1, "red", "circle")], "Sebuah lingkaran merah."),
        ([group(4, "orange", "circle")], "Empat lingkaran oranye."),
        ([group(1, "yellow", "square"), group(3, "blue", "square")], "Sebuah persegi kuning dan tiga persegi biru."),
        ([group(2, "green", "triangle"), group(1, "blue", "triangle")], "Dua segitiga hijau dan sebuah segitiga biru."),
        ([group(3, "purple", "star")], "Tiga bintang ungu."),
        ([group(2, "orange", "heart"), group(2, "red", "cross")], "Dua hati oranye dan dua salib merah."),
        (
            [group(1, "red", "heart"), group(2, "blue", "square"), group(1, "green", "star")],
            "Sebuah hati merah, dua persegi biru, dan sebuah bintang hijau.",
        ),
        (
            [
                group(1, "purple", "cross"),
                group(1, "yellow", "star"),
                group(1, "orange", "triangle"),
                group(1, "green", "circle"),
            ],
            "Sebuah salib ungu, sebuah bintang kuning, sebuah segitiga oranye, dan sebuah lingkaran hijau.",
        ),
    ],
)
def test_caption(groups, sentence):
    assert INDONESIAN.caption(groups) == sentence


@pytest.mark.parametrize(
    ("shape", "color", "question"),
    [
        (None, None, "Ada berapa benda?"),
        (None, "red", "Ada berapa benda merah?"),
        ("star", None, "Ada berapa bintang?"),
        ("heart", "green", "Ada berapa hati hijau?"),
    ],
)
def test_count(shape, color, question):
    assert INDONESIAN.ask_count(shape, color) == question
    answers = [INDONESIAN.count(number, shape, color) for number in range(5)]
    assert answers == ["Tidak ada.", "Satu.", "Dua.", "Tiga.", "Empat."]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (INDONESIAN.ask_caption(), "Apa yang ada di gambar?"),
        (INDONESIAN.ask_color("star"), "Apa warna bintang itu?"),
        (INDONESIAN.ask_shape("purple"), "Apa bentuk benda ungu itu?"),
        (INDONESIAN.ask_existence(Thing("star", "red")), "Apakah ada bintang merah?"),
        (INDONESIAN.yes(), "Ya."),
        (INDONESIAN.no(), "Tidak."),
        (
            INDONESIAN.ask_relation(Thing("star", "red"), Thing("circle", "blue")),
            "Di mana bintang merah itu jika dilihat dari lingkaran biru itu?",
        ),
        (
            INDONESIAN.ask_translation("de", "Sebuah bintang merah."),
            "Terjemahkan ke bahasa Jerman: Sebuah bintang merah.",
        ),
        (INDONESIAN.note("K", "42"), "Nomor K adalah 42."),
        (INDONESIAN.ask_note("K"), "Berapa nomor K?"),
    ],
)
def test_sentence(said, sentence):
    assert said == sentence


def test_short_answers_and_names():
    shapes = [INDONESIAN.shape(shape) for shape in ("circle", "square", "triangle", "star", "heart", "cross")]
    assert shapes == ["Lingkaran.", "Persegi.", "Segitiga.", "Bintang.", "Hati.", "Salib."]
    colors = [INDONESIAN.color(color, "star") for color in ("red", "orange", "yellow", "green", "blue", "purple")]
    assert colors == ["Merah.", "Oranye.", "Kuning.", "Hijau.", "Biru.", "Ungu."]
    directions = [INDONESIAN.relation(direction) for direction in ("left", "right", "above", "below")]
    assert directions == ["Di kiri.", "Di kanan.", "Di atas.", "Di bawah."]
    assert (INDONESIAN.code, INDONESIAN.name, sorted(INDONESIAN.names)) == ("id", "Bahasa Indonesia", sorted(CODES))
