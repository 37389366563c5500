"""The checkers of lesson 09 accept what is right, however it is written, and see through every mistake."""

import math
from itertools import groupby
from types import SimpleNamespace

import pytest
import torch

from exercise_checks import assert_accepts, assert_tells_apart, exercises_of
from llama4_explained import chat, images
from llama4_explained.chat import ChatFormat
from llama4_explained.check.mutants import MUTANTS
from llama4_explained.exercises import tiles_and_patches as lesson
from llama4_explained.images import TiledImage
from llama4_explained.messages import Message
from llama4_explained.vision import patches as vision_patches
from tiny_world import processor

EXERCISES = exercises_of(lesson)


def package_padding(height, width):
    rows, columns = canvas = images.choose_canvas(height, width)
    return 1 - math.prod(images.fit_inside(height, width, canvas)) / (rows * columns * 336**2)


def counted_padding(height, width):
    """Counts what stays black of a white picture."""
    canvas = images.choose_canvas(height, width)
    white = torch.full((3, 1, 1), 255, dtype=torch.uint8).expand(3, height, width)
    return images.resize_and_pad(white, canvas)[0].eq(0).float().mean()


def package_cost(height, width):
    return len(chat.image_tokens(*images.choose_canvas(height, width)))


def formula_cost(height, width):
    tiles = math.prod(images.choose_canvas(height, width))
    return 145 * tiles + 147 if tiles > 1 else 147


def package_together(patches, patch_size, rows, columns, height, width):
    """Cuts up a canvas of numbers, to see where each pixel goes."""
    size = math.isqrt(patches.shape[1]) * patch_size
    numbers = torch.arange(3 * rows * columns * size**2).view(3, rows * size, columns * size)
    places = vision_patches.cut_into_patches(images.split_into_tiles(numbers, size), patch_size)
    canvas = torch.empty(numbers.numel())
    canvas[places.flatten()] = patches[: rows * columns].flatten()
    return canvas.view(numbers.shape)[:, :height, :width]


def loop_together(patches, patch_size, rows, columns, height, width):
    side = math.isqrt(patches.shape[1])
    squares = patches.view(len(patches), side, side, 3, patch_size, patch_size)
    lines = []
    for row in range(rows):
        for line in range(side):
            tiles = range(row * columns, (row + 1) * columns)
            lines.append(torch.cat([squares[tile, line, place] for tile in tiles for place in range(side)], dim=-1))
    return torch.cat(lines, dim=-2)[:, :height, :width]


def package_message(rows, columns, tokens_per_tile, question):
    """Through the chat format to ids, and back to names."""
    tokenizer = processor().tokenizer
    image = TiledImage(torch.empty(0), rows, columns)
    ids = ChatFormat(tokenizer, tokens_per_tile).message(Message("user", (image, question)))
    control = {number: name for name, number in tokenizer.special_ids.items()}
    pieces = []
    for is_control, run in groupby(ids, lambda token: token in control):
        tokens = list(run)
        pieces += [control[token] for token in tokens] if is_control else [tokenizer.decode(tokens)]
    return pieces


def joined_message(rows, columns, tokens_per_tile, question):
    tile = "P" * tokens_per_tile
    row = "X".join([tile] * columns) + "Y"
    picture = f"S{row * rows if rows * columns > 1 else ''}I{tile}E"
    names = {
        "P": "patch",
        "X": "tile_x_separator",
        "Y": "tile_y_separator",
        "S": "image_start",
        "I": "image",
        "E": "image_end",
    }
    header = ["<|header_start|>", "user", "<|header_end|>", "\n\n"]
    return [*header, *(f"<|{names[letter]}|>" for letter in picture), question, "<|eot|>"]


def sorted_canvas(height, width, tile_size, max_tiles):
    canvases = [(r, c) for r in range(1, max_tiles + 1) for c in range(1, max_tiles // r + 1)]
    least = min(abs(width / height - c / r) for r, c in canvases)
    closest = sorted((r * c, r, c) for r, c in canvases if abs(width / height - c / r) == least)
    enough = [found for found in closest if 2 * height * width > found[0] * tile_size**2]
    return (enough or closest[:1])[-1][1:]


def loop_canvas(height, width, tile_size, max_tiles):
    best, best_off = (1, 1), abs(width / height - 1)
    for count in range(1, max_tiles + 1):
        for rows in range(1, count + 1):
            if count % rows:
                continue
            off = abs(width / height - count / rows / rows)
            if off < best_off or (off == best_off and height * width > count * tile_size**2 / 2):
                best, best_off = (rows, count // rows), off
    return list(best)


RIGHT = {
    "padding share": (package_padding, counted_padding),
    "picture cost": (package_cost, formula_cost),
    "put together": (package_together, loop_together),
    "user message": (package_message, joined_message),
    "canvas by shape": (sorted_canvas, loop_canvas),
}
CAUGHT = [
    (lesson.padding_share, package_padding, "the canvas is always the largest"),
    (lesson.padding_share, package_padding, "small pictures are enlarged to fill their canvas"),
    (lesson.picture_cost, package_cost, "the canvas is always the largest"),
    (lesson.picture_cost, package_cost, "tile separators are missing"),
    (lesson.picture_cost, package_cost, "the global tile has no place in the text"),
    (lesson.picture_cost, package_cost, "a tile has a place for every patch"),
    (lesson.put_together, package_together, "tiles are cut column by column"),
    (lesson.put_together, package_together, "patches go column by column"),
    (lesson.put_together, package_together, "a patch's colours come last"),
    (lesson.user_message, package_message, "tile separators are missing"),
    (lesson.user_message, package_message, "tile separators are exchanged"),
    (lesson.user_message, package_message, "rows and columns of tiles are exchanged"),
    (lesson.user_message, package_message, "the global tile has no place in the text"),
    (lesson.user_message, package_message, "a tile has a place for every patch"),
    (lesson.user_message, package_message, "headers end in one line end"),
]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_written_differently(exercise):
    assert_accepts(exercise, RIGHT[exercise.name])


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_misconceptions_are_told_apart(exercise):
    assert_tells_apart(exercise)


@pytest.mark.parametrize(
    ("exercise", "answer", "mutant"),
    CAUGHT,
    ids=lambda value: getattr(value, "name", getattr(value, "__name__", value)),
)
def test_mutants_are_rejected(exercise, answer, mutant):
    def mutated(*inputs):
        # The mistakes in patches ask a model for its sizes; here every input has its own.
        side = math.isqrt(inputs[0].shape[1]) if exercise is lesson.put_together else 0
        vision = SimpleNamespace(config=SimpleNamespace(patches_per_side=side, num_channels=3))
        with MUTANTS[mutant].applied_to(SimpleNamespace(vision_model=vision)):
            return answer(*inputs)

    verdict = exercise.check(mutated)
    assert not verdict.is_right and "raises" not in verdict.text
