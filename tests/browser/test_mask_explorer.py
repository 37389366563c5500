"""The mask explorer in a browser: every control, by mouse and by keyboard, light and dark, wide and narrow."""

import pytest

from contrast import low_contrasts
from llama4_explained import SCOUT, TINY, TextConfig
from llama4_explained.show.mask_explorer import MaskExplorer

from .hands import slide, tab_stops

PHONE = {"width": 390, "height": 844}


def explorer(**settings):
    return MaskExplorer.of(SCOUT.text, **{"num_tokens": 24, "chunk_size": 8, **settings})


def said(page):
    """What the page says of the token looked at: its title, then a name and a text for each line."""
    part = page.locator(".l4x-mask-said")
    names, texts = part.locator("dt").all_inner_texts(), part.locator("dd").all_inner_texts()
    return {"title": part.locator("strong").inner_text(), **dict(zip(names, texts, strict=True))}


def cell(page, query, key, num_tokens=24):
    """Where a cell of the grid is on the page; 34 and 22 pixels are its margins."""
    box = page.get_by_role("application").bounding_box()
    side = (box["width"] - 36) / num_tokens
    return box["x"] + 34 + (key + 0.5) * side, box["y"] + 22 + (query + 0.5) * side


def test_the_tab_key_stops_at_every_control(open_page):
    """What is listed here, the other tests use, by mouse and by keyboard."""
    assert tab_stops(open_page(explorer())) == [
        "range, Tokens",
        "range, Chunk (the model's: 8,192)",
        "range, Padding on the left",
        "range, Chosen token",
        "range, Layer, of 48 (high bars: NoPE)",
        "radio, Chunked RoPE layers",
        "application, Mask. Up and down choose the token that looks, left and right the key that it looks at.",
        "range, Position",
    ]


def test_sliders_answer_to_mouse_and_keyboard(open_page):
    page = open_page(explorer(query=20))
    for label, share, by_mouse, key, by_keyboard in (
        ("Padding on the left", 1, ("nobody", "nobody"), "Home", ("16 to 20 (5)", "20 to 23 (4)")),
        (
            "Layer, of 48 (high bars: NoPE)",
            1,
            ("0 to 20 (21)", "20 to 23 (4)"),
            "Home",
            ("16 to 20 (5)", "20 to 23 (4)"),
        ),
        ("Chosen token", 0, ("0 (1)", "0 to 7 (8)"), "End", ("16 to 23 (8)", "23 (1)")),
        ("Tokens", 0, ("0 (1)", "0 (1)"), "End", ("0 (1)", "0 to 7 (8)")),
        ("Chunk (the model's: 8,192)", 1, ("0 (1)", "0 to 63 (64)"), "Home", ("0 (1)", "0 (1)")),
    ):
        slider = page.get_by_label(label, exact=True)
        slide(slider, share)
        assert (said(page)["sees"], said(page)["is seen by"]) == by_mouse, label
        slider.press(key)
        assert (said(page)["sees"], said(page)["is seen by"]) == by_keyboard, label


def test_the_pointer_asks_and_a_click_chooses(open_page):
    page = open_page(explorer(query=20))
    assert said(page) == {
        "title": "Token 20: position 20, chunk 2", "sees": "16 to 20 (5)", "is seen by": "20 to 23 (4)",
        "causal": "would see 0 to 20 (21)", "sliding window": "would see 13 to 20 (8)",
    }  # fmt: skip
    page.mouse.move(*cell(page, 8, 3))
    assert said(page)["title"] == "Token 8: position 8, chunk 1"
    assert said(page)["sees"] == "8 (1)"
    part = page.locator(".l4x-mask-said")
    assert "Query 8, key 3: not seen, it is in another chunk." in part.inner_text()
    assert "The first of its chunk: with chunks it sees only itself." in part.inner_text()
    assert "A sliding window would show it 8 tokens." in part.inner_text()
    page.mouse.move(*cell(page, 8, 12))
    assert "Query 8, key 12: not seen, it comes later." in part.inner_text()
    assert page.get_by_label("Chosen token").input_value() == "20"  # pointing alone chooses nothing
    page.mouse.click(*cell(page, 11, 9))
    page.mouse.move(0, 0)
    assert said(page)["title"] == "Token 11: position 11, chunk 1"
    assert page.get_by_label("Chosen token").input_value() == "11"
    assert "Query 11, key 9: seen." in part.inner_text()


def test_arrow_keys_walk_the_grid_and_readers_hear_it(open_page):
    page = open_page(explorer(query=15))
    grid = page.get_by_role("application")
    grid.focus()
    page.keyboard.press("ArrowDown")
    assert said(page)["sees"] == "16 (1)"
    page.keyboard.press("Home")
    heard = page.get_by_role("status").inner_text()
    assert heard.startswith("Token 16: position 16, chunk 2. sees 16 (1). is seen by 16 to 23 (8).")
    assert "Query 16, key 0: not seen, it is in another chunk." in heard
    page.keyboard.press("PageUp")
    assert said(page)["title"] == "Token 0: position 0, chunk 0"
    page.keyboard.press("ArrowUp")
    assert said(page)["title"] == "Token 0: position 0, chunk 0"


def test_a_layer_brings_its_rule_and_cards_show_others(open_page):
    page = open_page(explorer(query=20))
    cards = page.get_by_role("radiogroup", name="Rule").get_by_role("radio")
    layer = page.get_by_label("Layer, of 48")
    layer.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert layer.get_attribute("aria-valuetext") == "3: NoPE, sees everything"
    assert cards.nth(1).get_attribute("aria-checked") == "true" and said(page)["sees"] == "0 to 20 (21)"
    cards.nth(2).click()
    assert said(page)["sees"] == "13 to 20 (8)" and said(page)["chunked"] == "would see 16 to 20 (5)"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert cards.nth(0).get_attribute("aria-checked") == "true" and said(page)["sees"] == "16 to 20 (5)"
    assert cards.nth(0).evaluate("node => node === document.activeElement")


def test_sliders_keep_to_what_is_possible(open_page):
    page = open_page(explorer(query=20))
    for label, key in (("Padding on the left", "End"), ("Tokens", "Home")):
        page.get_by_label(label, exact=True).press(key)
    assert said(page) | {"title": ""} == said(page) | {"title": "", "sees": "0 (1)", "is seen by": "0 (1)"}
    page.get_by_label("Tokens", exact=True).press("End")
    assert page.get_by_label("Padding on the left").get_attribute("max") == "63"
    page.get_by_label("Padding on the left").fill("5")
    page.get_by_label("Chosen token").fill("3")
    assert said(page)["title"] == "Token 3: padding" and said(page)["sees"] == "nobody"
    page.get_by_label("Chosen token").fill("13")
    assert said(page)["title"] == "Token 13: position 8, chunk 1" and said(page)["sees"] == "13 (1)"
    page.get_by_label("Chunk (the model's: 8,192)").fill("64")
    assert said(page)["sees"] == "5 to 13 (9)"


def test_the_cache_and_the_stack_follow_the_chosen_token(open_page):
    page = open_page(explorer(query=20))
    words = page.locator(".l4x-mask-pair p")
    assert words.all_inner_texts() == [
        "Holds 4 of 20 earlier slots. Token 20 sees 5. Then it holds 5.",
        "Holds 20 of 20 earlier slots. Token 20 sees 21. Then it holds 21.",
        "After layer 0, chunked: 5 of 24", "After layer 1, chunked: 5 of 24", "After layer 2, chunked: 5 of 24",
        "After layer 3, causal: 21 of 24",
        "After layer 0, sliding window: 8 of 24", "After layer 1, sliding window: 15 of 24",
        "After layer 2, sliding window: 21 of 24", "After layer 3, causal: 21 of 24",
    ]  # fmt: skip
    page.get_by_label("Chosen token").press("End")
    assert words.first.inner_text() == "Holds 7 of 23 earlier slots. Token 23 sees 8. Then it holds 0."


def test_the_temperature_is_read_at_any_position(open_page):
    page = open_page(explorer())
    slider = page.get_by_label("Position", exact=True)
    assert slider.get_attribute("aria-valuetext") == "100,000: queries times 1.256"
    slider.press("End")
    assert slider.get_attribute("aria-valuetext") == "10,485,759: queries times 1.716"
    slide(slider, 0)
    assert slider.get_attribute("aria-valuetext") == "0: queries times 1.000"


@pytest.mark.parametrize("config", [TINY.text, TextConfig(chunk_size=None, temperature_tuning=False)])
def test_other_models_are_drawn_too(open_page, config):
    page = open_page(MaskExplorer.of(config, num_tokens=10, query=9))
    if config.chunk_size is None:
        assert said(page)["title"] == "Token 9: position 9" and said(page)["sees"] == "0 to 9 (10)"
        assert "the factor is 1 everywhere" in page.locator(".l4x").inner_text()
    else:
        assert said(page)["sees"] == "9 (1)"
        assert "one step every 64 tokens" in page.locator(".l4x").inner_text()


def test_nothing_is_wider_than_a_phone_and_all_text_can_be_read(open_page):
    page = open_page(explorer(num_tokens=64, query=40), viewport=PHONE)
    for color_scheme in ("light", "dark"):
        page.emulate_media(color_scheme=color_scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        assert not low_contrasts(page)


def test_the_grid_changes_its_colours_with_the_page(open_page):
    page = open_page(explorer())
    grid = page.get_by_role("application")
    light = grid.evaluate("canvas => canvas.toDataURL()")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("([canvas, before]) => canvas.toDataURL() !== before", arg=[grid.element_handle(), light])


def test_two_on_a_page_do_not_know_of_each_other(open_page):
    page = open_page(explorer(query=20), MaskExplorer.of(TINY.text, num_tokens=10, query=9))
    first, second = page.locator(".l4x").all()
    first.get_by_label("Chosen token").fill("3")
    assert said(first)["title"].startswith("Token 3") and said(second)["title"].startswith("Token 9")
    assert page.evaluate("document.querySelectorAll('.l4x [id]').length") == 0
