"""The explorers in JupyterLab itself: the page hears Python, Python hears the page, and nobody else is asked."""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

from .conftest import PATIENCE
from .hands import slide

pytestmark = pytest.mark.slow

# JupyterLab draws only cells that are in sight: here all of them are.
TALL = {"width": 1300, "height": 5000}
# `heard` is a line that Python writes under an explorer: what it takes the traits to be.
SETUP = """
import ipywidgets
from llama4_explained import SCOUT, load
from llama4_explained.show.mask_explorer import MaskExplorer
from llama4_explained.show.routing_explorer import RoutingExplorer
from llama4_explained.show.tile_explorer import TileExplorer

def heard(explorer, *names):
    line = ipywidgets.Label()
    def write(change=None):
        line.value = ", ".join(f"{name} {getattr(explorer, name)}" for name in names)
    explorer.observe(write, names)
    write()
    return line

mask = MaskExplorer.of(SCOUT.text, num_tokens=24, chunk_size=8, query=20)
tiles = TileExplorer.of(height=600, width=900)
routing = RoutingExplorer.of(*load("tiny"), [{"role": "user", "content": "Hello there"}])
"""
CELLS = [
    SETUP,
    "",  # in which a reader writes
    'display(mask, heard(mask, "query", "rule"))',
    'display(tiles, heard(tiles, "tile", "width"))',
    'display(routing, heard(routing, "token", "layer"))',
]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """A JupyterLab that knows nothing of the user's: its address with a slash at the end, and its token."""
    home = tmp_path_factory.mktemp("jupyter")
    news = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}  # they come from elsewhere
    (home / "config" / "labconfig").mkdir(parents=True)
    (home / "config" / "labconfig" / "page_config.json").write_text(json.dumps(news))
    (home / "work").mkdir()
    notebook = new_notebook(cells=[new_code_cell(text) for text in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, home / "work" / "explorers.ipynb")

    token = secrets.token_hex()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    own = {f"JUPYTER_{name.upper()}_DIR": str(home / name) for name in ("config", "data", "runtime")}
    process = subprocess.Popen(
        [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
            f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={home / 'work'}",
        ],
        env=settings | own | {"IPYTHONDIR": str(home / "ipython")},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield address_of(process), token
    finally:
        process.terminate()  # it ends its kernels first
        try:
            process.wait(PATIENCE / 1000)
        finally:
            process.kill()


def address_of(process: subprocess.Popen) -> str:
    """Where the server says it is, as soon as it says so; what it says later is thrown away.

    Errors: AssertionError with all it said, if it ends or is silent for too long.
    """
    assert process.stderr
    said, found = [], None
    impatience = threading.Timer(PATIENCE / 1000, process.kill)
    impatience.start()
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
            break
    impatience.cancel()
    assert found, f"JupyterLab has not started:\n{''.join(said)}"
    threading.Thread(target=process.stderr.read, daemon=True).start()  # a pipe that is full would stop it
    return found[0]


@pytest.fixture(scope="module")
def notebook(browser, server: tuple[str, str]) -> Iterator[object]:
    """The page with the notebook, all of whose cells have run. Nothing is asked of others, nothing complains."""
    address, token = server
    wrong: list[str] = []

    def only_the_server(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            wrong.append(f"asked for {route.request.url[:200]}")
            route.abort()

    context = browser.new_context(viewport=TALL, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    context.route("**/*", only_the_server)
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("websocket", lambda one: wrong.append(one.url) if not one.url.startswith(f"ws{address[4:]}") else None)
    page.goto(f"{address}lab/tree/explorers.ipynb?token={token}")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # before that it would ask which kernel to take
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(page.locator(".l4x")).to_have_count(3, timeout=2 * PATIENCE)
    yield page
    context.close()
    assert not wrong, wrong


class Shown:
    """A cell with its explorer, and the line of what Python has heard of it."""

    def __init__(self, page, number: int) -> None:
        self.page = page
        self.cell = page.locator(".jp-CodeCell").nth(number)
        self.explorer = self.cell.locator(".l4x")
        self.heard = self.cell.locator(".widget-label")

    def press(self, control, *keys: str) -> None:
        """Press keys on a control. JupyterLab, for which most of them have a meaning, does nothing with them."""
        control.focus()
        for key in keys:
            self.page.keyboard.press(key)
        expect(self.page.locator(".jp-Cell.jp-mod-active")).to_have_count(1)
        expect(self.cell).to_have_class(re.compile("jp-mod-active"))
        expect(self.page.locator(".jp-Cell")).to_have_count(len(CELLS))

    def run(self, code: str) -> None:
        """Write something into the empty cell, and run it."""
        self.page.locator(".jp-CodeCell").nth(1).locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("ControlOrMeta+Enter")


def test_the_mask_explorer_and_python_hear_each_other(notebook):
    shown = Shown(notebook, 2)
    title = shown.explorer.locator(".l4x-mask-said strong")
    expect(shown.heard).to_have_text("query 20, rule chunked")
    shown.explorer.get_by_role("radio", name="Causal").click()
    expect(shown.heard).to_have_text("query 20, rule causal")
    slide(shown.explorer.get_by_label("Chosen token"), 0)
    expect(shown.heard).to_have_text("query 0, rule causal")
    shown.press(
        shown.explorer.get_by_role("application"), "ArrowDown", "ArrowDown", "ArrowRight", "PageDown", "ArrowUp"
    )
    expect(shown.heard).to_have_text("query 22, rule causal")
    shown.press(shown.explorer.get_by_label("Layer, of 48"), "Home", "ArrowRight")
    expect(shown.heard).to_have_text("query 22, rule chunked")
    shown.run("mask.query, mask.rule = 9, 'sliding'")
    expect(title).to_have_text("Token 9: position 9, chunk 1")
    expect(shown.explorer.get_by_role("radio", name="Sliding window")).to_be_checked()
    expect(shown.heard).to_have_text("query 9, rule sliding")


def test_the_tile_explorer_and_python_hear_each_other(notebook):
    shown = Shown(notebook, 3)
    tiles = shown.explorer.get_by_role("radiogroup", name="Tiles").get_by_role("radio")
    expect(tiles).to_have_count(7)
    tiles.nth(3).click()
    expect(shown.heard).to_have_text("tile 3, width 900")
    shown.press(tiles.nth(3), "ArrowRight", "End")
    expect(shown.heard).to_have_text("tile 6, width 900")
    shown.press(shown.explorer.get_by_label("Width in pixels"), "ControlOrMeta+a", *"1120", "Backspace")
    expect(shown.heard).to_have_text("tile 6, width 112")
    shown.explorer.get_by_role("button", name="photograph").click()
    expect(shown.heard).to_have_text("tile 6, width 4000")
    shown.run("tiles.width = tiles.height = 336")
    expect(shown.explorer.locator(".l4x-tile-sum")).to_contain_text("336 × 336 pixels: a canvas of 1 row × 1 column")
    expect(tiles).to_have_count(1)


def test_the_routing_explorer_and_python_hear_each_other(notebook):
    shown = Shown(notebook, 4)
    chips = shown.explorer.get_by_role("listbox", name="Tokens").get_by_role("option")
    chips.nth(2).click()
    expect(shown.heard).to_have_text("token 2, layer 4")
    shown.press(chips.nth(2), "ArrowRight", "ArrowRight")
    expect(shown.heard).to_have_text("token 4, layer 4")
    shown.explorer.get_by_role("button", name="Show layer 1").click()
    expect(shown.heard).to_have_text("token 4, layer 1")
    shown.press(shown.explorer.get_by_role("button", name="Show layer 1"), "ArrowDown", "ArrowDown", "Enter")
    expect(shown.heard).to_have_text("token 4, layer 3")
    shown.run("routing.layer = 7; routing.token = 0")
    expect(shown.explorer.locator(".l4x-value")).to_have_text("7")
    expect(chips.nth(0)).to_have_attribute("aria-selected", "true")
    expect(shown.explorer.get_by_role("status")).to_contain_text("Token 0, control token begin_of_text. Layer 7:")
