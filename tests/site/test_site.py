"""The site as a reader has it: every page works, on a phone too, without any other host, for everybody."""

from html.parser import HTMLParser
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from axe import COLORS_ALONE, barred_faults

from .conftest import SITE

PHONE = {"width": 390, "height": 844}
LIMIT = 40e6  # bytes of the whole site
SCHEMES = {"light": {}, "dark": COLORS_ALONE}


def pages() -> list[str]:
    return sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "_static" not in path.parts)


def kinds_of_pages() -> list[str]:
    """Of those that a program fills from the package, some: one is built like another."""
    alike = [name for name in pages() if name.startswith(("_modules/", "api/"))]
    return [name for name in pages() if name not in alike] + alike[::10]


class Links(HTMLParser):
    """The ids of a page, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {value for name in ("id", "name") if (value := given.get(name))}
        if tag in ("a", "link", "img", "script"):
            self.targets += [value for name in ("href", "src") if (value := given.get(name))]


@pytest.mark.slow
def test_every_page_opens_without_a_complaint_and_fits_a_phone(visit):
    phone = visit(viewport=PHONE)
    too_wide = []
    for name in pages():
        phone.open(name)
        if phone.page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
            too_wide.append(name)
    assert not phone.wrong
    assert not too_wide


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_page_shuts_anybody_out(visit, scheme: str):
    reader = visit(viewport={"width": 1280, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    found: dict[str, tuple[str, list[str]]] = {}
    for name in kinds_of_pages():
        reader.open(name)
        for fault in barred_faults(reader.page, **SCHEMES[scheme]):
            found.setdefault(f"{fault['rule']}: {fault['html']}", (fault["why"], []))[1].append(name)
    assert not found
    assert not reader.wrong


def test_search_finds_what_is_written(visit):
    reader = visit()
    reader.open("search.html?q=chunked+attention")
    results = reader.page.locator("#search-results li a")
    results.first.wait_for()
    assert results.count() > 3
    assert not reader.wrong


def test_the_explorer_on_the_front_page_answers(visit):
    reader = visit(viewport={"width": 1280, "height": 900})
    reader.open("index.html")
    slider = reader.page.locator("main input[type=range]").first
    slider.wait_for()
    before = reader.page.locator(".jupyter-widgets, .widget-subarea").first.inner_text()
    slider.focus()
    reader.page.keyboard.press("ArrowLeft")
    assert reader.page.locator(".jupyter-widgets, .widget-subarea").first.inner_text() != before
    assert not reader.wrong


def test_every_link_leads_somewhere(address: str):
    files = {path.relative_to(SITE).as_posix() for path in SITE.rglob("*") if path.is_file()}
    parsed = {name: Links((SITE / name).read_text(encoding="utf-8")) for name in pages()}
    broken = []
    for name, links in parsed.items():
        for target in set(links.targets):
            path, fragment = urldefrag(target)
            if urlsplit(path).scheme:
                continue
            file = normpath(join(dirname(name), unquote(urlsplit(path).path))) if path else name
            if file not in files or (fragment and file in parsed and unquote(fragment) not in parsed[file].ids):
                broken.append(f"{name}: {target}")
    assert not broken


def test_the_site_is_small_enough_to_carry_about(address: str):
    assert sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file()) < LIMIT


def test_the_map_has_every_piece(address: str):
    from llama4_explained.check.pieces import PIECES

    page = (SITE / "map.html").read_text(encoding="utf-8")
    assert page.count('class="map-box"') == len(PIECES)
