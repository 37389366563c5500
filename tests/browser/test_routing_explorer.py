"""The explorer of routing in a real browser: it shows Python's numbers, in every place where it may be opened."""

import numpy as np
import pytest
from playwright.sync_api import expect

from contrast import low_contrasts

from .routing_pages import chips, chosen, experts_shown, heading, large, layer_of, picture_of, scene, strength, text

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def test_every_token_has_its_expert(open_page):
    page, explorer = open_page(scene()), scene()
    expect(chips(page)).to_have_count(103)
    assert experts_shown(page) == chosen(explorer)[4].tolist()
    expect(chips(page).nth(93)).to_contain_text("·is")
    expect(chips(page).nth(0)).to_have_accessible_name(
        f"begin_of_text {chosen(explorer)[4, 0]}: control token 0, "
        f"{strength(explorer.scores, explorer, 0, 4, 0, chosen(explorer)[4, 0])} for expert {chosen(explorer)[4, 0]}"
    )
    expect(page.get_by_role("group", name="For each of 103 tokens")).to_be_visible()


def test_a_token_is_followed_through_the_layers(open_page):
    page, explorer = open_page(scene()), scene()
    chips(page).nth(96).click()
    expect(heading(page)).to_contain_text("Token 96, text “ picture”")
    for layer in range(8):
        expert = chosen(explorer)[layer, 96]
        words = f"Layer {layer}: {strength(explorer.scores, explorer, 0, layer, 96, expert)} for expert {expert}"
        expect(page.get_by_role("button", name=words)).to_have_count(1)
    assert page.locator(".l4x-line circle + text").all_text_contents() == [str(e) for e in chosen(explorer)[:, 96]]
    expect(page.get_by_role("status")).to_contain_text("Token 96, text “ picture”. Layer 4: 0.65 for expert 4")


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
