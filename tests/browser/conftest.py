"""A real browser, shut off from every host, in which explorers are opened, touched and looked at."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from llama4_explained.show.explorer import Explorer, source

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDE = {"width": 1100, "height": 900}
PATIENCE = 30_000  # milliseconds, for machines that do much else; nothing waits that is there already


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, tmp_path: Path) -> Iterator[Callable[..., object]]:
    """`open_page(explorer, color_scheme="dark")` gives the page; `open_page(one, another)` has both on one page.

    Further settings are those of a browser context. After the test: nobody asked for another file or host, and nothing
    complained on the console. Of one explorer the page is made once, because its still takes a second.
    """
    contexts, wrong = [], []

    def open_one(*explorers: Explorer, **settings: object) -> object:
        context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **settings})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        file = tmp_path / f"{len(contexts)}.html"
        file.write_text(page_of(explorers[0]) if len(explorers) == 1 else side_by_side(explorers), encoding="utf-8")
        page = context.new_page()

        def only_this(route):
            if route.request.url == file.as_uri():
                route.continue_()
            else:
                wrong.append(f"asked for {route.request.url[:200]}")
                route.abort()

        page.route("**/*", only_this)
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(file.as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not wrong, wrong


@cache
def page_of(explorer: Explorer) -> str:
    return explorer.to_html()


def side_by_side(explorers: tuple[Explorer, ...]) -> str:
    """Several explorers on one page, as on a site. `explorers[i].model` stands for Python; `.close()` removes one."""
    pages = [page_of(explorer) for explorer in explorers]
    head = pages[0].partition("<main>")[0]
    bodies = ["<main>" + page.partition("<main>")[2].partition("</main>")[0] + "</main>" for page in pages]
    stand_in = source("standalone.js")
    scripts = [
        f'<script type="module">{explorer._esm}\n'
        f"const show = (given) => ((window.explorers ??= [])[{i}] = {{ ...given, close: render(given) }});\n"
        + stand_in.replace('querySelector("main")', f'querySelectorAll("main")[{i}]').replace("render({", "show({")
        + "</script>"
        for i, explorer in enumerate(explorers)
    ]
    return "\n".join([head, *bodies, *scripts, "</body></html>"])
