import pytest

from llama4_explained.show.journey import drawable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" two", "' two'"), ("¿Qué\n", "'¿Qué\\n'"), (" नीला", "(DEVANAGARI: 4 characters)"),
        ("สี่", "(THAI: 3 characters)"), ("اثنان", "(ARABIC: 5 characters)"),
        ("\ue000", "'\\ue000'"), ("😀😀", "'\\U0001f600\\U0001f600'"),
    ],
)  # fmt: skip
def test_what_a_font_cannot_draw_is_named(text, expected):
    assert drawable(text) == expected
