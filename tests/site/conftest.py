"""The built site on a server of this machine, in a browser that is shut off from every other host."""

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "build" / "docs" / "site"
# Whether as many widgets are drawn as the page has places for.
DRAWN = "count => document.querySelectorAll('.widget-subarea, .jupyter-widgets').length >= count"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the site is, with a slash at the end."""
    if not (SITE / "index.html").is_file():
        pytest.skip("the site is not built: `make docs` builds it")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser(address: str) -> Iterator[object]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """Opens pages, and remembers what went wrong: other hosts asked, files missing, complaints on the console."""

    def __init__(self, browser, address: str, **settings: object) -> None:
        self.address = address
        self.wrong: list[str] = []
        self.context = browser.new_context(**settings)
        self.context.set_default_timeout(20_000)
        self.context.route("**/*", self._only_this_host)
        self.page = self.context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("response", self._answered)

    def open(self, name: str) -> None:
        """Goes to a page and waits until its scripts are done."""
        self.page.goto(self.address + name, wait_until="load")
        views = self.page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count()
        if views:
            self.page.wait_for_function(DRAWN, arg=views)

    def _only_this_host(self, route) -> None:
        url = route.request.url
        if url.startswith((self.address, "data:", "blob:")):
            route.continue_()
        else:
            self.wrong.append(f"asked another host: {url[:200]}")
            route.abort()

    def _heard(self, message) -> None:
        if message.type == "error":
            self.wrong.append(f"console: {message.text}")

    def _answered(self, response) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status}: {response.url}")


@pytest.fixture
def visit(browser, address: str):
    """`visit(viewport=..., color_scheme=...)` gives a `Visit` with those settings."""
    made: list[Visit] = []

    def start(**settings: object) -> Visit:
        made.append(Visit(browser, address, **settings))
        return made[-1]

    yield start
    for each in made:
        each.context.close()
