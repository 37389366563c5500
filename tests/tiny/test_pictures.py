import hashlib

import numpy as np
import pytest
import torch

from llama4_explained.tiny.languages.language import SHAPES, Thing
from llama4_explained.tiny.pictures import SIDE, as_numbers, draw, draw_scene, inside, stamps
from llama4_explained.tiny.scenes import CANVASES, RADII, TURNS, Item, Scene, make_scene

MIDDLE = SIDE // 2


def stamp(shape: str, radius: int, turn: int = 0) -> torch.Tensor:
    return stamps()[(SHAPES.index(shape) * len(RADII) + RADII.index(radius)) * TURNS + turn]


def test_pictures_are_the_same_for_ever():
    """Recorded once, and the same with every version and on every processor: all of it is integer arithmetic."""
    pixels = b"".join(draw_scene(make_scene(seed, canvas)).tobytes() for seed in range(10) for canvas in CANVASES)
    assert hashlib.sha256(pixels).hexdigest()[:16] == "482605f441ecd2c2"


@pytest.mark.parametrize("shape", SHAPES)
def test_stamps_cover_what_the_shape_covers(shape):
    """Against 400 points a pixel; soft edges come in sixteenths."""
    points = (np.arange(2000) + 0.5) / 1000 - 1
    exact = inside(shape, *np.meshgrid(points * 1.2, points * 1.2)).mean() * 2.4**2  # in squared radii
    for radius in (10, 20, 30):
        covered = stamp(shape, radius).sum() / 255 / radius**2
        assert covered == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_keep_within_their_radius(shape):
    """So that a stamp cuts nothing off, and what scenes keep inside the picture and apart is so."""
    x, y = np.meshgrid(np.linspace(-1.5, 1.5, 1001), np.linspace(-1.5, 1.5, 1001))
    distance = np.sqrt(x * x + y * y)[inside(shape, x, y)]
    assert 0.9 < distance.max() <= 1


def test_stamps_lean_to_both_sides():
    """The first and the last leaning of a square are each other's mirror image, and no two are alike."""
    leanings = [stamp("square", 20, turn) for turn in range(TURNS)]
    assert torch.equal(leanings[0], leanings[-1].flip(1))
    assert len({leaning.numpy().tobytes() for leaning in leanings}) == TURNS


def test_shapes_are_told_apart():
    """Any two differ in a fifth of what the smaller one covers, whatever their leanings."""
    for first, second in ((a, b) for a in SHAPES for b in SHAPES if a < b):
        apart = min(
            (stamp(first, 20, i).float() - stamp(second, 20, j).float()).abs().sum()
            for i in range(TURNS) for j in range(TURNS)
        )  # fmt: skip
        smaller = min(stamp(first, 20).sum(), stamp(second, 20).sum())
        assert apart > smaller / 5


def test_a_scene_by_hand():
    square = Item(Thing("square", "red"), 30, 70, 20, 3, (200, 30, 40))
    pixels = np.asarray(draw_scene(Scene(1, 1, (square,), ((0, 10, 20), (111, 121, 131)), runs_down=False)))
    assert pixels.shape == (112, 112, 3)
    assert pixels[0, 0].tolist() == [0, 10, 20] and pixels[111, 111].tolist() == [111, 121, 131]
    assert pixels[5, 60].tolist() == [60, 70, 80]  # across, one step a pixel
    assert pixels[70, 30].tolist() == [200, 30, 40] and pixels[58, 30].tolist() == [200, 30, 40]
    assert pixels[40, 30].tolist() == [30, 40, 50]  # above the square
    down = np.asarray(draw_scene(Scene(1, 1, (), ((0, 10, 20), (111, 121, 131)), runs_down=True)))
    assert down[60, 5].tolist() == [60, 70, 80]


def test_edges_are_soft():
    circle = Item(Thing("circle", "blue"), 56, 56, 20, 0, (255, 255, 255))
    pixels = np.asarray(draw_scene(Scene(1, 1, (circle,), ((0, 0, 0), (0, 0, 0)), runs_down=False)))
    assert len(np.unique(pixels)) > 8  # not black and white alone


@pytest.mark.parametrize("canvas", CANVASES)
def test_many_at_once_are_the_same_as_one_by_one(canvas):
    scenes = [make_scene(seed, canvas) for seed in range(6)]
    together = draw(*as_numbers(scenes), scenes[0].height, scenes[0].width, stamps())
    for scene, pixels in zip(scenes, together, strict=True):
        assert np.array_equal(np.asarray(draw_scene(scene)), pixels.permute(1, 2, 0).numpy())
