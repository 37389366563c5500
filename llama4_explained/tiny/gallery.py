"""Scenes to show: a small number names each, and neither training nor the exam has any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from ..errors import UserError
from .languages.language import Language
from .scenes import CANVASES, Draw, Scene, make_scene
from .tasks import Turn, ask

LIMIT = 10**9  # how many there are
FIRST_SEED = 2**61  # training and the exam stay below


def scene_to_show(number: int) -> Scene:
    """The scene of a number; four in a row have four sizes: 1 x 1, 1 x 2, 2 x 1 and 2 x 2 tiles.

    Errors: UserError if there is no scene of that number.
    """
    if not 0 <= number < LIMIT:
        raise UserError(f"scenes have the numbers 0 to {LIMIT - 1}, got {number}")
    return make_scene(FIRST_SEED + number, CANVASES[number % len(CANVASES)])


def questions_about(scene: Scene, languages: Sequence[Language]) -> list[Turn]:
    """Two questions in each language: what is in the picture, and in turns how many of a shape, and which colour."""
    turns: list[Turn | None] = []
    for number, language in enumerate(languages):
        draw = Draw(number)
        second = ask(("count_shape", "color")[number % 2], scene, language, draw)
        turns += [ask("caption", scene, language, draw), second or ask("count", scene, language, draw)]
    return [turn for turn in turns if turn is not None]


def ask_about(picture: Image.Image, question: str) -> list[dict[str, Any]]:
    """A conversation that begins with a question about a picture, as a processor takes it."""
    content = [{"type": "image", "image": picture}, {"type": "text", "text": question}]
    return [{"role": "user", "content": content}]
