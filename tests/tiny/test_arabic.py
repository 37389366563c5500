"""Arabic sentences, compared with ones written out by hand."""

import pytest

from llama4_explained.tiny.languages.arabic import Arabic
from llama4_explained.tiny.languages.language import CODES, Group, Thing

arabic = Arabic()


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        ([(1, "circle", "red")], "دائرة حمراء."),
        ([(1, "square", "red")], "مربع أحمر."),
        ([(1, "triangle", "orange")], "مثلث برتقالي."),
        ([(1, "star", "orange")], "نجمة برتقالية."),
        ([(1, "heart", "yellow")], "قلب أصفر."),
        ([(1, "cross", "green")], "صليب أخضر."),
        ([(2, "circle", "yellow")], "دائرتان صفراوان."),
        ([(2, "square", "blue")], "مربعان أزرقان."),
        ([(2, "triangle", "red")], "مثلثان أحمران."),
        ([(2, "star", "purple")], "نجمتان بنفسجيتان."),
        ([(2, "heart", "purple")], "قلبان بنفسجيان."),
        ([(2, "cross", "orange")], "صليبان برتقاليان."),
        ([(3, "circle", "blue")], "ثلاث دوائر زرقاء."),
        ([(4, "circle", "purple")], "أربع دوائر بنفسجية."),
        ([(3, "square", "green")], "ثلاثة مربعات خضراء."),
        ([(4, "triangle", "yellow")], "أربعة مثلثات صفراء."),
        ([(4, "star", "red")], "أربع نجوم حمراء."),
        ([(3, "heart", "orange")], "ثلاثة قلوب برتقالية."),
        ([(4, "cross", "blue")], "أربعة صلبان زرقاء."),
        ([(2, "star", "green"), (2, "heart", "yellow")], "نجمتان خضراوان وقلبان أصفران."),
        ([(1, "cross", "purple"), (3, "star", "blue")], "صليب بنفسجي وثلاث نجوم زرقاء."),
        (
            [(1, "circle", "green"), (2, "square", "green"), (1, "star", "yellow")],
            "دائرة خضراء ومربعان أخضران ونجمة صفراء.",
        ),
        (
            [(1, "heart", "blue"), (1, "star", "blue"), (1, "square", "orange"), (1, "circle", "purple")],
            "قلب أزرق ونجمة زرقاء ومربع برتقالي ودائرة بنفسجية.",
        ),
    ],
)
def test_caption(groups: list[tuple[int, str, str]], truth: str) -> None:
    assert arabic.caption([Group(count, Thing(shape, color)) for count, shape, color in groups]) == truth


@pytest.mark.parametrize(
    ("shape", "answer", "which_color", "how_many"),
    [
        ("circle", "دائرة.", "ما لون الدائرة؟", "كم دائرة في الصورة؟"),
        ("square", "مربع.", "ما لون المربع؟", "كم مربعا في الصورة؟"),
        ("triangle", "مثلث.", "ما لون المثلث؟", "كم مثلثا في الصورة؟"),
        ("star", "نجمة.", "ما لون النجمة؟", "كم نجمة في الصورة؟"),
        ("heart", "قلب.", "ما لون القلب؟", "كم قلبا في الصورة؟"),
        ("cross", "صليب.", "ما لون الصليب؟", "كم صليبا في الصورة؟"),
    ],
)
def test_shape(shape: str, answer: str, which_color: str, how_many: str) -> None:
    assert (arabic.shape(shape), arabic.ask_color(shape), arabic.ask_count(shape)) == (answer, which_color, how_many)


@pytest.mark.parametrize(
    ("color", "answer", "which_shape", "objects", "stars"),
    [
        ("red", "أحمر.", "ما الشكل الأحمر؟", "كم شكلا أحمر في الصورة؟", "كم نجمة حمراء في الصورة؟"),
        ("orange", "برتقالي.", "ما الشكل البرتقالي؟", "كم شكلا برتقاليا في الصورة؟", "كم نجمة برتقالية في الصورة؟"),
        ("yellow", "أصفر.", "ما الشكل الأصفر؟", "كم شكلا أصفر في الصورة؟", "كم نجمة صفراء في الصورة؟"),
        ("green", "أخضر.", "ما الشكل الأخضر؟", "كم شكلا أخضر في الصورة؟", "كم نجمة خضراء في الصورة؟"),
        ("blue", "أزرق.", "ما الشكل الأزرق؟", "كم شكلا أزرق في الصورة؟", "كم نجمة زرقاء في الصورة؟"),
        ("purple", "بنفسجي.", "ما الشكل البنفسجي؟", "كم شكلا بنفسجيا في الصورة؟", "كم نجمة بنفسجية في الصورة؟"),
    ],
)
def test_color(color: str, answer: str, which_shape: str, objects: str, stars: str) -> None:
    assert (arabic.color(color, "heart"), arabic.color(color, "star")) == (answer, answer)
    assert (arabic.ask_shape(color), arabic.ask_count(None, color)) == (which_shape, objects)
    assert arabic.ask_count("star", color) == stars


@pytest.mark.parametrize(
    ("shape", "truth"),
    [
        (None, "صفر. واحد. اثنان. ثلاثة. أربعة."),
        ("cross", "صفر. واحد. اثنان. ثلاثة. أربعة."),
        ("circle", "صفر. واحدة. اثنتان. ثلاث. أربع."),
        ("star", "صفر. واحدة. اثنتان. ثلاث. أربع."),
    ],
)
def test_count(shape: str | None, truth: str) -> None:
    assert " ".join(arabic.count(number, shape, "blue") for number in range(5)) == truth


@pytest.mark.parametrize(
    ("sentence", "truth"),
    [
        (arabic.ask_caption(), "ماذا في الصورة؟"),
        (arabic.ask_count(), "كم شكلا في الصورة؟"),
        (arabic.ask_count("square", "orange"), "كم مربعا برتقاليا في الصورة؟"),
        (arabic.ask_existence(Thing("star", "red")), "هل في الصورة نجمة حمراء؟"),
        (arabic.ask_existence(Thing("heart", "green")), "هل في الصورة قلب أخضر؟"),
        (arabic.yes(), "نعم."),
        (arabic.no(), "لا."),
        (
            arabic.ask_relation(Thing("star", "red"), Thing("square", "blue")),
            "أين النجمة الحمراء بالنسبة إلى المربع الأزرق؟",
        ),
        (
            arabic.ask_relation(Thing("cross", "purple"), Thing("circle", "orange")),
            "أين الصليب البنفسجي بالنسبة إلى الدائرة البرتقالية؟",
        ),
        (arabic.relation("left"), "إلى اليسار."),
        (arabic.relation("right"), "إلى اليمين."),
        (arabic.relation("above"), "في الأعلى."),
        (arabic.relation("below"), "في الأسفل."),
        (arabic.ask_translation("de", "نجمة حمراء."), "ترجم إلى الألمانية: نجمة حمراء."),
        (arabic.note("K", "42"), "رقم K هو 42."),
        (arabic.ask_note("K"), "ما رقم K؟"),
    ],
)
def test_other_sentences(sentence: str, truth: str) -> None:
    assert sentence == truth


def test_names() -> None:
    assert (arabic.code, arabic.name) == ("ar", "العربية")
    first = "العربية الألمانية الإنجليزية الإسبانية الفرنسية الهندية الإندونيسية"
    last = "الإيطالية الكورية البرتغالية التايلاندية التاغالوغية الفيتنامية"
    assert " ".join(arabic.names[code] for code in CODES) == f"{first} {last}"
