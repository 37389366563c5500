"""The tile explorer in a browser: every control, by mouse and by keyboard, light and dark, wide and narrow."""

import re

import pytest
from PIL import Image

from contrast import low_contrasts
from llama4_explained import TINY
from llama4_explained.chat import image_tokens
from llama4_explained.images import choose_canvas
from llama4_explained.show.tile_explorer import TileExplorer

from .hands import slide, tab_stops

PHONE = {"width": 390, "height": 844}
PRESETS = {"photograph": (4000, 3000), "screenshot": (1920, 1080), "receipt": (600, 2400), "icon": (64, 48),
           "one tile": (336, 336), "the picture's own size": (500, 250)}  # fmt: skip


def summary(page):
    return page.locator(".l4x-tile-sum").inner_text()


def number_of_tokens(page):
    return int(re.search(r"= ([\d,]+) tokens?", summary(page))[1].replace(",", ""))


def token_string(page):
    """Names of all tokens as the page spells them out."""
    names = []
    for chip in page.locator(".l4x-tile-line > *").all_inner_texts():
        name, count = re.match(r"(<\|\w+\|>)(?: × (\d+), .*)?$", chip).groups()
        names += [name] * int(count or 1)
    return names


def test_the_tab_key_stops_at_every_control(open_page):
    """What is listed here, the other tests use, by mouse and by keyboard."""
    page = open_page(TileExplorer.of(height=600, width=900))
    page.locator("details").evaluate("details => { details.open = true; }")
    assert tab_stops(page) == [
        "range, Width (slider)",
        "number, Width in pixels",
        "range, Height (slider)",
        "number, Height in pixels",
        *(f"button, {name}, {width} × {height}" for name, (width, height) in list(PRESETS.items())[:5]),
        "radio, 2 rows × 3 columns: chosen",
        "summary, All 50 candidates as a table",
        "region, Table of candidates",
        "radio, tile 0",
        "application, Image tokens of the tile. Arrow keys choose one.",
        "radio, <|patch|> × 144, tile 0",
    ]


def test_it_draws_every_size_that_is_typed(open_page):
    page = open_page(TileExplorer.of(height=600, width=900))
    for height, width in [(600, 900), (1, 1), (336, 336), (5000, 30), (30, 100_000), (3000, 4000), (337, 336)]:
        page.get_by_label("Height in pixels").fill(str(height))
        page.get_by_label("Width in pixels").fill(str(width))
        rows, columns = choose_canvas(height, width)
        expected = image_tokens(rows, columns)
        assert token_string(page) == expected, (height, width)
        assert number_of_tokens(page) == len(expected)
        assert page.get_by_role("status").inner_text() == summary(page)  # readers of the screen hear the same
        tiles = page.get_by_role("radiogroup", name="Tiles").get_by_role("radio")
        assert tiles.count() == rows * columns + (rows * columns > 1)
        chosen = page.get_by_role("radio", name=re.compile(f"^{rows} rows? × {columns} columns?: chosen$"))
        assert chosen.get_attribute("aria-checked") == "true" and chosen.inner_text() == "✓"


def test_nonsense_in_a_field_changes_nothing(open_page):
    page = open_page(TileExplorer.of(height=600, width=900))
    before = summary(page)
    field = page.get_by_label("Width in pixels")
    for nonsense in ("", "0", "-5", "2.5"):
        field.fill(nonsense)
        assert summary(page) == before
    field.press("Tab")
    assert field.input_value() == "900"
    field.fill("999999999")
    field.press("Tab")
    assert field.input_value() == "100000"


def test_sliders_set_the_size(open_page):
    page = open_page(TileExplorer.of(Image.new("RGB", (500, 250), "teal")))
    for side, by_mouse, by_keyboard in (
        ("Width", "8192 × 250 pixels", "2 × 250 pixels"),
        ("Height", "2 × 8192 pixels", "2 × 2 pixels"),
    ):
        slider = page.get_by_label(f"{side} (slider)")
        slide(slider, 1)
        assert summary(page).startswith(by_mouse)
        slider.press("Home")
        assert page.get_by_label(f"{side} in pixels").input_value() == "1"
        for _ in range(60):  # the first steps do not change a whole number, and must not be lost
            slider.press("ArrowRight")
        assert round(8192**0.06) == 2 and summary(page).startswith(by_keyboard)


def test_fields_set_the_size(open_page):
    page = open_page(TileExplorer.of(height=600, width=900))
    for side, by_mouse, by_keyboard in (
        ("Width", "901 × 600 pixels", "1199 × 600 pixels"),
        ("Height", "1199 × 601 pixels", "1199 × 1199 pixels"),
    ):
        field = page.get_by_label(f"{side} in pixels")
        box = field.bounding_box()
        field.click(position={"x": box["width"] - 9, "y": box["height"] * 0.3})  # the upper one of its two arrows
        assert summary(page).startswith(by_mouse)
        field.press("ControlOrMeta+a")
        page.keyboard.type("1200")
        field.press("ArrowDown")
        assert summary(page).startswith(by_keyboard)


def test_buttons_set_the_size(open_page):
    page = open_page(TileExplorer.of(Image.new("RGB", (500, 250), "teal")))
    buttons = page.get_by_role("group", name="Sizes to try").get_by_role("button")
    assert buttons.count() == len(PRESETS)
    for name, (width, height) in PRESETS.items():
        buttons.filter(has_text=name).click()
        assert summary(page).startswith(f"{width} × {height} pixels")
    for key in ("Enter", " "):
        for name, (width, height) in PRESETS.items():
            buttons.filter(has_text=name).press(key)
            assert summary(page).startswith(f"{width} × {height} pixels")


def test_a_candidate_can_be_looked_at(open_page):
    page = open_page(TileExplorer.of(height=600, width=900))
    said = page.locator(".l4x-tile-said .l4x-tile-said")
    assert "2 rows × 3 columns: 1008 × 672 pixels" in said.inner_text() and "Chosen" in said.inner_text()
    page.get_by_role("radio", name="1 row × 1 column:").click()
    assert "shrink to 37.3 %" in said.inner_text()
    page.keyboard.press("ArrowDown")
    assert "2 rows × 1 column:" in said.inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert "on 8 tiles instead of 6" in said.inner_text()
    assert "on 8 tiles instead of 6" in page.get_by_role("status").inner_text()


def test_candidates_are_listed_in_a_table(open_page):
    page = open_page(TileExplorer.of(height=600, width=900))
    title, table = page.get_by_text("All 50 candidates as a table"), page.get_by_role("region", name="Table")
    for is_open in (True, False):
        title.click()
        assert table.is_visible() == is_open
    for key, is_open in (("Enter", True), (" ", False), ("Enter", True)):
        title.press(key)
        assert table.is_visible() == is_open
    rows = page.get_by_role("row").all_inner_texts()
    assert len(rows) == 51 and rows[1].split("\t") == ["2 × 3", "1008 × 672", "1.120", "chosen"]
    is_scrolled = "([node, far]) => node.scrollTop > 0 === far"
    table.hover()
    page.mouse.wheel(0, 300)
    page.wait_for_function(is_scrolled, arg=[table.element_handle(), True])
    table.press("Home")
    page.wait_for_function(is_scrolled, arg=[table.element_handle(), False])
    table.press("PageDown")
    page.wait_for_function(is_scrolled, arg=[table.element_handle(), True])


def test_tiles_and_their_tokens_go_together(open_page):
    page = open_page(TileExplorer.of(Image.effect_noise((300, 200), 90).convert("RGB"), TINY.vision))
    tiles = page.get_by_role("radiogroup", name="Tiles").get_by_role("radio")
    words = page.locator(".l4x-panel").get_by_text(re.compile("^Token "))
    tiles.nth(4).click()
    assert words.inner_text() == "Token 0 of tile 4: patches 0, 1, 8, 9. It is number 69 of the image's 121 tokens."
    page.keyboard.press("End")
    assert "Token 0 of the global tile" in words.inner_text()
    assert tiles.last.evaluate("node => node === document.activeElement")
    string = page.get_by_role("radiogroup", name="The image's tokens")
    assert string.get_by_role("radio", checked=True).inner_text() == "<|patch|> × 16, global tile"
    string.get_by_role("radio", name="tile 1").click()
    page.keyboard.press("ArrowRight")
    assert tiles.nth(2).get_attribute("aria-checked") == "true"

    grid = page.get_by_role("application")
    grid.focus()
    grid.press("ArrowRight")
    grid.press("ArrowDown")
    assert words.inner_text().startswith("Token 5 of tile 2: patches 18, 19, 26, 27.")
    assert "patches 18, 19" in page.get_by_role("status").inner_text()
    box = grid.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] - 3)
    assert words.inner_text().startswith("Token 15 of tile 2")
    page.mouse.move(0, 0)
    assert words.inner_text().startswith("Token 5 of tile 2")
    grid.click(position={"x": box["width"] - 3, "y": 3})
    page.mouse.move(0, 0)
    assert words.inner_text().startswith("Token 3 of tile 2")
    patches = page.get_by_role("region", name="Patches").locator("canvas").first
    patches.click(position={"x": 3, "y": box["height"] - 3})
    assert words.inner_text().startswith("Token 12 of tile 2")
    assert "Token 12 of tile 2" in page.get_by_role("status").inner_text()


def test_a_picture_is_drawn_upright_on_its_canvas(open_page):
    picture = Image.new("RGB", (600, 300), "blue")
    picture.paste("red", (0, 0, 300, 300))
    page = open_page(TileExplorer.of(picture))
    canvas = page.get_by_role("radiogroup", name="Tiles").locator("canvas").first
    pixel = """(canvas, [x, y]) => {
        const copy = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
        const brush = copy.getContext("2d", { willReadFrequently: true });
        brush.drawImage(canvas, -Math.round(canvas.width * x), -Math.round(canvas.height * y));
        return [...brush.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    }"""
    page.wait_for_function(f"canvas => ({pixel})(canvas, [0.2, 0.5])[0] > 230", arg=canvas.element_handle())  # decoded
    red, green, blue = canvas.evaluate(pixel, [0.7, 0.5])
    assert blue > 230 and red < 30 and green < 30
    assert canvas.evaluate(pixel, [0.97, 0.5]) == canvas.evaluate(pixel, [0.2, 0.97]) == [0, 0, 0]  # padding


@pytest.mark.parametrize("size", [(600, 900), (200, 40_000), (4000, 200)])
def test_nothing_is_wider_than_a_phone_and_all_text_can_be_read(open_page, size):
    page = open_page(TileExplorer.of(height=size[0], width=size[1]), viewport=PHONE)
    page.get_by_text("candidates as a table").click()
    for color_scheme in ("light", "dark"):
        page.emulate_media(color_scheme=color_scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        assert not low_contrasts(page)


@pytest.mark.parametrize("max_tiles", [1, 5, 30])
def test_other_numbers_of_tiles_are_drawn_too(open_page, max_tiles):
    page = open_page(TileExplorer.of(height=700, width=900, max_tiles=max_tiles))
    rows, columns = choose_canvas(700, 900, max_tiles=max_tiles)
    assert token_string(page) == image_tokens(rows, columns)


def test_two_on_a_page_do_not_know_of_each_other(open_page):
    page = open_page(TileExplorer.of(height=600, width=900), TileExplorer.of(height=100, width=100, config=TINY.vision))
    first, second = page.locator(".l4x").all()
    first.get_by_label("Height in pixels").fill("2000")
    assert "900 × 2000" in first.inner_text() and "100 × 100 pixels: a canvas of 1 row" in second.inner_text()
    assert page.evaluate("document.querySelectorAll('.l4x [id]').length") == 0
