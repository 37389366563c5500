"""Thai sentences, compared with ones written out by hand."""

import pytest

from llama4_explained.tiny.languages.language import CODES, Group, Thing
from llama4_explained.tiny.languages.thai import Thai

thai = Thai()


@pytest.mark.parametrize(
    ("groups", "truth"),
    [
        ([(1, "circle", "red")], "วงกลมสีแดงหนึ่งวง"),
        ([(3, "square", "orange")], "สี่เหลี่ยมจัตุรัสสีส้มสามรูป"),
        ([(4, "star", "yellow")], "ดาวสีเหลืองสี่ดวง"),
        ([(2, "triangle", "blue"), (1, "heart", "purple")], "สามเหลี่ยมสีน้ำเงินสองรูปและหัวใจสีม่วงหนึ่งดวง"),
        ([(1, "cross", "green"), (3, "circle", "blue")], "กากบาทสีเขียวหนึ่งอันและวงกลมสีน้ำเงินสามวง"),
        (
            [(1, "square", "red"), (2, "cross", "purple"), (1, "triangle", "yellow")],
            "สี่เหลี่ยมจัตุรัสสีแดงหนึ่งรูป กากบาทสีม่วงสองอัน และสามเหลี่ยมสีเหลืองหนึ่งรูป",
        ),
        (
            [(1, "star", "green"), (1, "heart", "red"), (1, "circle", "orange"), (1, "square", "blue")],
            "ดาวสีเขียวหนึ่งดวง หัวใจสีแดงหนึ่งดวง วงกลมสีส้มหนึ่งวง และสี่เหลี่ยมจัตุรัสสีน้ำเงินหนึ่งรูป",
        ),
    ],
)
def test_caption(groups: list[tuple[int, str, str]], truth: str) -> None:
    assert thai.caption([Group(count, Thing(shape, color)) for count, shape, color in groups]) == truth


@pytest.mark.parametrize(
    ("shape", "answer", "which_color", "how_many"),
    [
        ("circle", "วงกลม", "วงกลมเป็นสีอะไร", "ในภาพมีวงกลมกี่วง"),
        ("square", "สี่เหลี่ยมจัตุรัส", "สี่เหลี่ยมจัตุรัสเป็นสีอะไร", "ในภาพมีสี่เหลี่ยมจัตุรัสกี่รูป"),
        ("triangle", "สามเหลี่ยม", "สามเหลี่ยมเป็นสีอะไร", "ในภาพมีสามเหลี่ยมกี่รูป"),
        ("star", "ดาว", "ดาวเป็นสีอะไร", "ในภาพมีดาวกี่ดวง"),
        ("heart", "หัวใจ", "หัวใจเป็นสีอะไร", "ในภาพมีหัวใจกี่ดวง"),
        ("cross", "กากบาท", "กากบาทเป็นสีอะไร", "ในภาพมีกากบาทกี่อัน"),
    ],
)
def test_shape(shape: str, answer: str, which_color: str, how_many: str) -> None:
    assert (thai.shape(shape), thai.ask_color(shape), thai.ask_count(shape)) == (answer, which_color, how_many)


@pytest.mark.parametrize(
    ("color", "answer", "which_shape", "objects", "stars"),
    [
        ("red", "สีแดง", "วัตถุสีแดงเป็นรูปอะไร", "ในภาพมีวัตถุสีแดงกี่ชิ้น", "ในภาพมีดาวสีแดงกี่ดวง"),
        ("orange", "สีส้ม", "วัตถุสีส้มเป็นรูปอะไร", "ในภาพมีวัตถุสีส้มกี่ชิ้น", "ในภาพมีดาวสีส้มกี่ดวง"),
        ("yellow", "สีเหลือง", "วัตถุสีเหลืองเป็นรูปอะไร", "ในภาพมีวัตถุสีเหลืองกี่ชิ้น", "ในภาพมีดาวสีเหลืองกี่ดวง"),
        ("green", "สีเขียว", "วัตถุสีเขียวเป็นรูปอะไร", "ในภาพมีวัตถุสีเขียวกี่ชิ้น", "ในภาพมีดาวสีเขียวกี่ดวง"),
        ("blue", "สีน้ำเงิน", "วัตถุสีน้ำเงินเป็นรูปอะไร", "ในภาพมีวัตถุสีน้ำเงินกี่ชิ้น", "ในภาพมีดาวสีน้ำเงินกี่ดวง"),
        ("purple", "สีม่วง", "วัตถุสีม่วงเป็นรูปอะไร", "ในภาพมีวัตถุสีม่วงกี่ชิ้น", "ในภาพมีดาวสีม่วงกี่ดวง"),
    ],
)
def test_color(color: str, answer: str, which_shape: str, objects: str, stars: str) -> None:
    assert (thai.color(color, "star"), thai.ask_shape(color)) == (answer, which_shape)
    assert (thai.ask_count(None, color), thai.ask_count("star", color)) == (objects, stars)


@pytest.mark.parametrize(
    ("shape", "truth"),
    [
        (None, "ไม่มี หนึ่งชิ้น สองชิ้น สามชิ้น สี่ชิ้น"),
        ("circle", "ไม่มี หนึ่งวง สองวง สามวง สี่วง"),
        ("square", "ไม่มี หนึ่งรูป สองรูป สามรูป สี่รูป"),
        ("heart", "ไม่มี หนึ่งดวง สองดวง สามดวง สี่ดวง"),
        ("cross", "ไม่มี หนึ่งอัน สองอัน สามอัน สี่อัน"),
    ],
)
def test_count(shape: str | None, truth: str) -> None:
    assert " ".join(thai.count(number, shape, "blue") for number in range(5)) == truth


@pytest.mark.parametrize(
    ("sentence", "truth"),
    [
        (thai.ask_caption(), "ในภาพมีอะไรบ้าง"),
        (thai.ask_count(), "ในภาพมีวัตถุกี่ชิ้น"),
        (thai.ask_existence(Thing("star", "red")), "ในภาพมีดาวสีแดงไหม"),
        (thai.yes(), "มี"),
        (thai.no(), "ไม่มี"),
        (thai.ask_relation(Thing("star", "red"), Thing("circle", "blue")), "ดาวสีแดงอยู่ด้านไหนของวงกลมสีน้ำเงิน"),
        (thai.relation("left"), "ด้านซ้าย"),
        (thai.relation("right"), "ด้านขวา"),
        (thai.relation("above"), "ด้านบน"),
        (thai.relation("below"), "ด้านล่าง"),
        (thai.ask_translation("de", "ดาวสีแดงหนึ่งดวง"), "แปลเป็นภาษาเยอรมัน: ดาวสีแดงหนึ่งดวง"),
        (thai.note("K", "42"), "หมายเลขของ K คือ 42"),
        (thai.ask_note("K"), "หมายเลขของ K คืออะไร"),
    ],
)
def test_other_sentences(sentence: str, truth: str) -> None:
    assert sentence == truth


def test_names() -> None:
    assert (thai.code, thai.name) == ("th", "ภาษาไทย")
    first = "ภาษาอาหรับ ภาษาเยอรมัน ภาษาอังกฤษ ภาษาสเปน ภาษาฝรั่งเศส ภาษาฮินดี ภาษาอินโดนีเซีย"
    last = "ภาษาอิตาลี ภาษาเกาหลี ภาษาโปรตุเกส ภาษาไทย ภาษาตากาล็อก ภาษาเวียดนาม"
    assert " ".join(thai.names[code] for code in CODES) == f"{first} {last}"
