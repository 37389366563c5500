"""The explorer of routing in a real browser: every control answers to mouse and keyboard."""

import re

from playwright.sync_api import expect

from contrast import low_contrasts

from .hands import slide, tab_stops
from .routing_pages import chips, chosen, experts_shown, heading, layer_of, picture_of, scene, selected, strength


def layer_named(number: int) -> re.Pattern:
    """The name of a layer's button in the token's path."""
    return re.compile(f"^Layer {number}: ")


def test_layers_are_walked_through_by_keyboard(open_page):
    page = open_page(scene())
    slider = page.get_by_role("slider", name="Layer")
    slider.focus()
    for key, layer in (("ArrowRight", 5), ("End", 7), ("Home", 0)):
        slider.press(key)
        expect(layer_of(page)).to_have_text(str(layer))
        expect(page.locator("tr[aria-current=true] button")).to_have_text(str(layer))
        assert experts_shown(page) == chosen(scene())[layer].tolist()
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"Layer 0: 0\.\d\d for expert"))


def test_layers_are_chosen_by_mouse(open_page):
    page = open_page(scene())
    slide(page.get_by_role("slider", name="Layer"), 1)
    expect(layer_of(page)).to_have_text("7")
    page.get_by_role("button", name="Show layer 2").click()
    expect(layer_of(page)).to_have_text("2")
    page.get_by_role("button", name=layer_named(3)).locator("rect").first.click()
    expect(layer_of(page)).to_have_text("3")
    assert experts_shown(page) == chosen(scene())[3].tolist()


def test_the_path_is_walked_by_keyboard(open_page):
    page = open_page(scene())
    for key, layer in (("ArrowRight", 5), ("ArrowLeft", 4), ("Home", 0), ("End", 7)):
        page.get_by_role("button", name=re.compile("^Layer"), pressed=True).press(key)
        expect(layer_of(page)).to_have_text(str(layer))
        expect(page.get_by_role("button", name=layer_named(layer))).to_be_focused()
    for key, layer in (("Enter", 2), (" ", 6)):
        page.get_by_role("button", name=layer_named(layer)).press(key)
        expect(layer_of(page)).to_have_text(str(layer))
        expect(page.get_by_role("button", name=layer_named(layer))).to_be_focused()


def test_the_table_of_loads_is_walked_by_keyboard(open_page):
    page = open_page(scene())
    button = page.get_by_role("button", name="Show layer 4")
    for move, enter, layer in (("ArrowDown", "Enter", 5), ("ArrowUp", " ", 4), ("End", "Enter", 7), ("Home", " ", 0)):
        before = layer_of(page).text_content()
        button.press(move)
        button = page.get_by_role("button", name=f"Show layer {layer}")
        expect(button).to_be_focused()
        expect(layer_of(page)).to_have_text(before)  # to pass by is not to choose
        button.press(enter)
        expect(layer_of(page)).to_have_text(str(layer))
        expect(page.locator("tr[aria-current=true] button")).to_have_text(str(layer))


def test_trained_and_untrained_routers_are_compared(open_page):
    page = open_page(scene())
    page.get_by_role("radio", name="untrained").click()
    expect(page.get_by_text("The routers have random weights here")).to_be_visible()
    assert experts_shown(page) == chosen(scene(), router=1)[4].tolist()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="trained", exact=True)).to_be_checked()
    expect(page.get_by_role("radio", name="trained", exact=True)).to_be_focused()
    assert experts_shown(page) == chosen(scene())[4].tolist()


def test_sigmoid_and_softmax_choose_alike_with_other_strengths(open_page):
    page, explorer = open_page(scene()), scene()
    expert = chosen(explorer)[4, 6]
    score = f"expert {expert}: score {strength(explorer.scores, explorer, 0, 4, 6, expert)}, chosen"
    share = f"expert {expert}: share {strength(explorer.shares, explorer, 0, 4, 6, expert)}, chosen"
    readout = page.locator(".l4x-readout")
    expect(readout).to_contain_text(score)
    page.get_by_role("radio", name="sigmoid").press("ArrowRight")
    expect(readout).to_contain_text(share)
    expect(page.get_by_text("Softmax, which Llama 4 does not use")).to_be_visible()
    assert experts_shown(page) == chosen(explorer)[4].tolist()
    for name, words in (("sigmoid", score), ("softmax", share)):
        page.get_by_role("radio", name=name).click()
        expect(readout).to_contain_text(words)


def test_the_tokens_of_one_expert_stand_out(open_page):
    page, (expert, layer) = open_page(scene()), (4, 4)
    tiles = page.get_by_role("application", name="2 x 2 tiles")
    before = picture_of(tiles)
    page.get_by_role("radio", name=str(expert), exact=True).click()
    its = chosen(scene())[layer] == expert
    backgrounds = chips(page).evaluate_all("chips => chips.map((chip) => getComputedStyle(chip).backgroundColor)")
    assert [background != "rgba(0, 0, 0, 0)" for background in backgrounds] == its.tolist()
    images = sum(kind == "image" for kind, is_its in zip(scene().kinds, its, strict=True) if is_its)
    words = f"{its.sum()} of 103 tokens in layer 4, {images} of them image tokens"
    expect(page.get_by_text(words).first).to_be_visible()
    expect(page.get_by_role("status")).to_have_text(words)
    assert picture_of(tiles) != before
    assert not low_contrasts(page)
    page.keyboard.press("Home")
    expect(page.get_by_role("radio", name="all")).to_be_checked()
    assert picture_of(tiles) == before


def test_arrows_move_along_the_text_and_between_its_lines(open_page):
    page = open_page(scene())
    selected(page).focus()
    for key, token in (("ArrowRight", 7), ("ArrowLeft", 6), ("End", 102), ("ArrowRight", 102), ("Home", 0)):
        page.keyboard.press(key)
        expect(heading(page)).to_contain_text(f"Token {token},")
        expect(chips(page).nth(token)).to_be_focused()
    above = chips(page).nth(0).bounding_box()
    page.keyboard.press("ArrowDown")
    expect(chips(page).nth(0)).not_to_be_focused()
    below = selected(page).bounding_box()
    assert 0 < below["y"] - above["y"] < 60 and abs(below["x"] - above["x"]) < 80
    expect(page.locator("[role=option][tabindex='0']")).to_have_count(1)


def test_tokens_are_found_on_the_picture(open_page):
    page = open_page(scene())
    tiles = page.get_by_role("application", name="2 x 2 tiles")
    before = picture_of(tiles)
    side = tiles.bounding_box()["width"] / 8
    tiles.click(position={"x": 4.5 * side, "y": 0.5 * side})  # the first token of the second tile
    second = scene().surfaces[0]["first_tokens"][1]
    expect(heading(page)).to_contain_text(f"Token {second}, image token")
    assert picture_of(tiles) != before
    last = scene().surfaces[0]["first_tokens"][3]
    steps = (("ArrowDown", second + 4), ("ArrowLeft", second - 10), ("PageDown", last - 2), ("End", last + 15))
    for key, token in steps:
        tiles.press(key)
        expect(heading(page)).to_contain_text(f"Token {token}, image token")
    whole = page.get_by_role("application", name="the global tile")
    first = scene().surfaces[1]["first_tokens"][0]
    whole.press("ArrowRight")
    expect(heading(page)).to_contain_text(f"Token {first + 1}, image token")
    side = whole.bounding_box()["width"] / 4
    whole.click(position={"x": 2.5 * side, "y": 3.5 * side})
    expect(heading(page)).to_contain_text(f"Token {first + 14}, image token")


def test_scores_are_read_off_by_mouse_and_keyboard(open_page):
    page, explorer = open_page(scene()), scene()
    grid, readout = page.get_by_role("application", name="Scores"), page.locator(".l4x-readout")
    cell = grid.bounding_box()["width"] / 103
    grid.hover(position={"x": 50.5 * cell, "y": 2.5 * 18})
    expect(readout).to_have_text(
        f"Token 50, image token, expert 2: score {strength(explorer.scores, explorer, 0, 4, 50, 2)}, not chosen."
    )
    expect(heading(page)).to_contain_text("Token 6,")
    grid.click(position={"x": 50.5 * cell, "y": 2.5 * 18})
    expect(heading(page)).to_contain_text("Token 50,")
    page.mouse.move(0, 0)
    for key, token, expert in (("ArrowDown", 50, 3), ("ArrowRight", 51, 3), ("PageUp", 51, 0), ("End", 102, 0)):
        before = picture_of(grid)
        grid.press(key)
        expect(readout).to_contain_text(f"Token {token},")
        expect(readout).to_contain_text(
            f"expert {expert}: score {strength(explorer.scores, explorer, 0, 4, token, expert)}"
        )
        assert picture_of(grid) != before
        expect(page.get_by_role("status")).to_have_text(readout.text_content())


def test_the_tab_key_stops_at_every_control(open_page):
    """What is listed here, the other tests use, by mouse and by keyboard."""
    chip = f"6: image token 6, {strength(scene().scores, scene(), 0, 4, 6, 6)} for expert 6"
    assert tab_stops(open_page(scene())) == [
        "range, Layer",
        "radio, trained",
        "radio, sigmoid",
        "radio, all",
        f"option, {chip}",
        "application, 2 x 2 tiles: arrow keys choose an image token",
        "application, the global tile: arrow keys choose an image token",
        f"button, Layer 4: {chip.partition(', ')[2]}",
        "application, Scores: left and right choose a token, up and down an expert",
        "button, Show layer 4",
    ]


def test_keys_that_move_do_not_move_the_page_around(open_page):
    page = open_page(scene())
    page.evaluate("window.heard = []; document.addEventListener('keydown', (event) => window.heard.push(event.key))")
    for key in ("ArrowRight", "ArrowDown", "Home", "Enter", "Control+s", "b"):
        selected(page).press(key)
    assert page.evaluate("window.heard") == ["Control", "s", "b"], "JupyterLab would select another cell"
