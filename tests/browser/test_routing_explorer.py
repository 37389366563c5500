"""The explorer of routing in a real browser: controls answer to mouse and keyboard, and show Python's numbers."""

import re
from functools import cache

import numpy as np
import pytest
from playwright.sync_api import expect

from contrast import low_contrasts
from llama4_explained import load
from llama4_explained.show.routing_explorer import RoutingExplorer
from llama4_explained.tiny.gallery import ask_about, scene_to_show
from llama4_explained.tiny.pictures import draw_scene

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def of(messages) -> RoutingExplorer:
    return RoutingExplorer.of(*load("tiny"), messages)


@cache
def scene() -> RoutingExplorer:
    """103 tokens, five tiles; the first image token is the sixth."""
    return of(ask_about(draw_scene(scene_to_show(295)), "What is in the picture?"))


@cache
def text() -> RoutingExplorer:
    return of([{"role": "user", "content": "Hello\n there"}])


@cache
def large() -> RoutingExplorer:
    """As large as Maverick in all its layers, with random scores."""
    numbers = np.random.default_rng(0)
    scores = numbers.integers(0, 255, (1, 48, 200, 128), dtype=np.uint8)
    return RoutingExplorer(
        tokens=[f" {i}" for i in range(200)], kinds=["text"] * 200, layers=list(range(48)), num_experts=128,
        experts_per_token=1, routers=["trained"], scores=scores.tobytes(), shares=scores.tobytes(),
        chosen=scores.argmax(-1).astype("<u2").tobytes(), alt="Random numbers",
    )  # fmt: skip


def chosen(explorer: RoutingExplorer, router: int = 0) -> np.ndarray:
    """[L, T], the first expert."""
    shape = (len(explorer.routers), len(explorer.layers), len(explorer.tokens), -1)
    return np.frombuffer(explorer.chosen, "<u2").reshape(shape)[router, ..., 0]


def strength(data: bytes, explorer: RoutingExplorer, *place: int) -> str:
    shape = (len(explorer.routers), len(explorer.layers), len(explorer.tokens), -1)
    return f"{np.frombuffer(data, np.uint8).reshape(shape)[place] / 255:.2f}"


def chips(page):
    return page.get_by_role("listbox", name="Tokens").get_by_role("option")


def experts_shown(page) -> list[int]:
    return [int(number) for number in chips(page).locator("b").all_text_contents()]


def heading(page):
    return page.get_by_role("region", name="The token's path").locator(".l4x-note")


def selected(page):
    return page.get_by_role("option", selected=True)


def layer_of(page):
    return page.locator(".l4x-value")


def picture_of(canvas) -> str:
    return canvas.evaluate("canvas => canvas.toDataURL()")


def test_every_token_has_its_expert(open_page):
    page, explorer = open_page(scene()), scene()
    expect(chips(page)).to_have_count(103)
    assert experts_shown(page) == chosen(explorer)[4].tolist()
    expect(chips(page).nth(93)).to_contain_text("·is")
    expect(chips(page).nth(0)).to_have_accessible_name(
        f"Token 0, control token begin_of_text: expert {chosen(explorer)[4, 0]} "
        f"({strength(explorer.scores, explorer, 0, 4, 0, chosen(explorer)[4, 0])})"
    )
    expect(page.get_by_role("group", name="For each of 103 tokens")).to_be_visible()


def test_layers_are_walked_through_by_keyboard(open_page):
    page = open_page(scene())
    slider = page.get_by_role("slider", name="Layer")
    slider.focus()
    for key, layer in (("ArrowRight", 5), ("End", 7), ("Home", 0)):
        slider.press(key)
        expect(layer_of(page)).to_have_text(str(layer))
        expect(page.locator("tr[aria-current=true] button")).to_have_text(str(layer))
        assert experts_shown(page) == chosen(scene())[layer].tolist()
    expect(page.get_by_role("status")).to_contain_text("Layer 0: expert")


def test_layers_are_chosen_by_mouse(open_page):
    page = open_page(scene())
    box = page.get_by_role("slider", name="Layer").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    expect(layer_of(page)).to_have_text("7")
    page.get_by_role("button", name="Show layer 2").click()
    expect(layer_of(page)).to_have_text("2")
    page.get_by_role("button", name=re.compile("^Layer 3: expert")).locator("rect").first.click()
    expect(layer_of(page)).to_have_text("3")
    assert experts_shown(page) == chosen(scene())[3].tolist()


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
    readout = page.locator(".l4x-readout")
    expect(readout).to_contain_text(
        f"expert {expert}: score {strength(explorer.scores, explorer, 0, 4, 6, expert)}, chosen"
    )
    page.get_by_role("radio", name="sigmoid").focus()
    page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text(
        f"expert {expert}: share {strength(explorer.shares, explorer, 0, 4, 6, expert)}, chosen"
    )
    expect(page.get_by_text("Softmax, which Llama 4 does not use")).to_be_visible()
    assert experts_shown(page) == chosen(explorer)[4].tolist()


def test_a_token_is_followed_through_the_layers(open_page):
    page, explorer = open_page(scene()), scene()
    chips(page).nth(96).click()
    expect(heading(page)).to_contain_text("Token 96, text “ picture”")
    for layer in range(8):
        expert = chosen(explorer)[layer, 96]
        words = f"Layer {layer}: expert {expert} ({strength(explorer.scores, explorer, 0, layer, 96, expert)})"
        expect(page.get_by_role("button", name=words)).to_have_count(1)
    assert page.locator(".l4x-line circle + text").all_text_contents() == [str(e) for e in chosen(explorer)[:, 96]]
    expect(page.get_by_role("status")).to_contain_text("Token 96, text “ picture”. Layer 4: expert")


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
    whole.press("ArrowRight")
    expect(heading(page)).to_contain_text(f"Token {scene().surfaces[1]['first_tokens'][0] + 1}, image token")


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


@pytest.mark.parametrize("router", [0, 1])
def test_loads_are_counted(open_page, router):
    page = open_page(scene())
    page.get_by_role("radio", name=("trained", "untrained")[router], exact=True).click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(8)
    for layer in range(8):
        counts = np.bincount(chosen(scene(), router)[layer], minlength=8)
        share = counts[counts > 0] / counts.sum()
        row = rows.nth(layer)
        expect(row.get_by_role("img")).to_have_accessible_name(f"Tokens of each expert: {', '.join(map(str, counts))}")
        shown = row.locator("td").all_text_contents()[1:]
        assert shown == [
            f"{counts.max() / counts.mean():.2f}", f"{-(share * np.log2(share)).sum():.2f}", str((counts == 0).sum()),
        ]  # fmt: skip


def test_all_is_reached_and_used_by_keyboard_alone(open_page):
    page = open_page(scene())
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            "() => { const node = document.activeElement; const style = getComputedStyle(node);"
            " return [node.tagName, node.getAttribute('role') ?? node.type ?? '', parseFloat(style.outlineWidth)]; }"
        )
        if focus[0] == "BODY":
            break
        stops.append(focus)
    assert [role for _, role, _ in stops if role] == [
        "range", "radio", "radio", "radio", "option", "application", "application", "button", "application", "button",
    ]  # fmt: skip
    assert all(outline >= 1 for _, _, outline in stops), "the focus can be seen"


def test_keys_that_move_do_not_move_the_page_around(open_page):
    page = open_page(scene())
    page.evaluate("window.heard = []; document.addEventListener('keydown', (event) => window.heard.push(event.key))")
    for key in ("ArrowRight", "ArrowDown", "Home", "Enter", "Control+s", "b"):
        selected(page).press(key)
    assert page.evaluate("window.heard") == ["Control", "s", "b"], "JupyterLab would select another cell"


def test_two_on_a_page_do_not_disturb_each_other(open_page):
    page = open_page(scene(), text())
    first, second = page.locator("main").nth(0), page.locator("main").nth(1)
    unchanged = second.inner_html()
    first.get_by_role("radio", name="untrained").click()
    first.get_by_role("option").nth(80).click()
    expect(first.get_by_role("status")).to_contain_text("Token 80")
    assert second.inner_html() == unchanged
    page.evaluate("window.explorers[1].model.set('layer', 0)")  # as if from Python
    expect(layer_of(second)).to_have_text("0")
    expect(layer_of(first)).to_have_text("4")
    page.evaluate("window.explorers[1].close()")
    expect(second.locator(".l4x")).to_have_count(0)
    page.evaluate("window.explorers[1].model.set('layer', 3)")  # nobody listens any more
    first.get_by_role("slider", name="Layer").press("Home")
    expect(layer_of(first)).to_have_text("0")


def test_without_a_picture_there_is_no_place_for_one(open_page):
    page = open_page(text())
    expect(page.get_by_role("region", name="Image tokens on the picture")).to_have_count(0)
    expect(chips(page).filter(has_text="·there")).to_have_count(1)
    expect(chips(page).filter(has_text="↵").first).to_be_visible()


def test_many_layers_and_experts_stay_usable(open_page):
    page = open_page(large())
    expect(chips(page)).to_have_count(200)
    page.get_by_role("slider", name="Layer").press("End")
    expect(layer_of(page)).to_have_text("47")
    assert experts_shown(page) == chosen(large())[47].tolist()
    assert_fits(page)
    page.set_viewport_size(PHONE["viewport"])
    page.get_by_role("button", name="Show layer 30").click()
    expect(layer_of(page)).to_have_text("30")
    assert_fits(page)


@pytest.mark.parametrize("explorer", [scene, text])
def test_it_fits_a_phone(open_page, explorer):
    page = open_page(explorer(), **PHONE)
    assert_fits(page)
    chips(page).nth(3).tap()
    expect(heading(page)).to_contain_text("Token 3,")
    assert_fits(page)


def assert_fits(page):
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [page.viewport_size["width"]] * 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(open_page, scheme):
    page = open_page(scene(), color_scheme=scheme)
    expect(chips(page)).to_have_count(103)
    background = page.locator(".l4x").evaluate("node => getComputedStyle(node).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert not low_contrasts(page)


def test_it_follows_the_page_from_light_to_dark(open_page):
    page = open_page(scene())
    grid = page.get_by_role("application", name="Scores")
    light = picture_of(grid)
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".l4x")).to_have_css("background-color", "rgb(24, 28, 32)")
    assert picture_of(grid) != light
    assert not low_contrasts(page)


def test_colours_come_from_jupyterlab_and_from_sites(open_page):
    page = open_page(scene())
    for name, text_name in (
        ("--pst-color-background", "--pst-color-text-base"),
        ("--jp-layout-color1", "--jp-ui-font-color1"),
    ):
        page.evaluate(
            "([ground, ink]) => { const style = document.documentElement.style;"
            " style.setProperty(ground, 'rgb(17, 17, 17)'); style.setProperty(ink, 'rgb(255, 255, 255)'); }",
            [name, text_name],
        )
        expect(page.locator(".l4x")).to_have_css("background-color", "rgb(17, 17, 17)")
        assert not low_contrasts(page)
        page.evaluate("document.documentElement.removeAttribute('style')")
        expect(page.locator(".l4x")).to_have_css("background-color", "rgb(255, 255, 255)")


def test_without_scripts_the_still_is_shown(open_page):
    page = open_page(scene(), java_script_enabled=False)
    expect(page.get_by_role("img", name="For each of 103 tokens")).to_be_visible()
