"""Explorers of routing to open, and what can be read off the page and off the numbers behind it."""

from functools import cache

import numpy as np

from llama4_explained import load
from llama4_explained.show.routing_explorer import RoutingExplorer
from llama4_explained.tiny.gallery import ask_about, scene_to_show
from llama4_explained.tiny.pictures import draw_scene


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
