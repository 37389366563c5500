import hashlib
from collections import Counter

import pytest
import torch

from llama4_explained import UserError
from llama4_explained.tiny.languages.language import COLORS, SHAPES, Group, Thing
from llama4_explained.tiny.scenes import (
    CANVASES,
    GAP,
    RADII,
    SEEN,
    UNSEEN,
    Draw,
    Item,
    Scene,
    make_scene,
    without_partners,
)
from llama4_explained.tiny.scenes import _color as color_of

RED_STAR, BLUE_STAR, BLUE_HEART = Thing("star", "red"), Thing("star", "blue"), Thing("heart", "blue")


def scene_of(*placed: tuple[Thing, int, int]) -> Scene:
    items = tuple(Item(thing, x, y, 10, 0, (0, 0, 0)) for thing, x, y in placed)
    return Scene(1, 1, items, ((0, 0, 0), (0, 0, 0)), runs_down=False)


def test_scenes_are_the_same_for_ever():
    """Recorded once: what was trained on can be made again."""
    written = "".join(repr(make_scene(seed, canvas)) for seed in range(100) for canvas in CANVASES)
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == "eb1d27f65e27a2b9"


@pytest.mark.parametrize("canvas", CANVASES)
def test_objects_are_inside_and_apart(canvas):
    for seed in range(300):
        scene = make_scene(seed, canvas)
        for i, item in enumerate(scene.items):
            assert item.radius in RADII
            assert (
                item.radius < item.x < scene.width - item.radius and item.radius < item.y < scene.height - item.radius
            )
            for other in scene.items[:i]:
                distance = ((item.x - other.x) ** 2 + (item.y - other.y) ** 2) ** 0.5
                assert distance >= item.radius + other.radius + GAP


def test_numbers_of_objects_and_repetitions():
    scenes = [make_scene(seed) for seed in range(2000)]
    counts = Counter(len(scene.items) for scene in scenes)
    assert set(counts) == {1, 2, 3, 4} and min(counts.values()) > 400
    assert sum(group.count > 1 for scene in scenes for group in scene.groups()) > 500
    assert {len(make_scene(seed, num_objects=3).items) for seed in range(50)} == {3}


def test_some_pairs_are_never_drawn_unless_asked_for():
    assert len(UNSEEN) == 6 and len(SEEN) == 30
    assert sorted(thing.shape for thing in UNSEEN) == sorted(SHAPES)
    assert sorted(thing.color for thing in UNSEEN) == sorted(COLORS)
    drawn = {thing for seed in range(2000) for thing in make_scene(seed).things}
    assert drawn == set(SEEN)
    assert set(make_scene(3, things=UNSEEN).things) <= set(UNSEEN)


def test_counts_and_groups():
    scene = scene_of((BLUE_HEART, 20, 20), (RED_STAR, 60, 20), (BLUE_STAR, 20, 60), (RED_STAR, 60, 60))
    assert (scene.count(), scene.count("star"), scene.count(color="blue"), scene.count("star", "red")) == (4, 3, 2, 2)
    assert scene.groups() == [Group(2, RED_STAR), Group(1, BLUE_STAR), Group(1, BLUE_HEART)]


def test_places_are_rows_and_columns_over_the_picture():
    scene = scene_of((BLUE_HEART, 28, 84), (RED_STAR, 56, 0))
    assert scene.place(BLUE_HEART) == (0.5, -0.5) and scene.place(RED_STAR) == (-1.0, 0.0)
    wide = Scene(1, 2, scene.items, scene.background, runs_down=False)
    assert wide.place(BLUE_HEART) == (0.5, -0.75)
    with pytest.raises(ValueError, match="not enough values"):
        scene.place(BLUE_STAR)


def test_names_are_ranges_of_colours_that_never_meet():
    """No colour of one name is nearer to any of another name than two steps of each channel."""
    ranges = {name: torch.tensor([color_of(Draw(seed), name) for seed in range(1500)]) for name in COLORS}
    for name, drawn in ranges.items():
        assert len(drawn.unique(dim=0)) > 1000
        for other in COLORS[: COLORS.index(name)]:
            assert torch.cdist(drawn.float(), ranges[other].float(), p=float("inf")).min() > 2, (name, other)


@pytest.mark.parametrize(
    ("across", "down", "expected"),
    [(-30, 0, "left"), (30, 20, "right"), (20, -30, "above"), (0, 30, "below"), (30, 21, None), (-25, 25, None)],
)
def test_directions(across, down, expected):
    scene = scene_of((RED_STAR, 50 + across, 50 + down), (BLUE_HEART, 50, 50))
    assert scene.direction(RED_STAR, BLUE_HEART) == expected


def test_no_direction_between_what_is_not_there_exactly_once():
    scene = scene_of((RED_STAR, 20, 20), (RED_STAR, 80, 20), (BLUE_HEART, 50, 80))
    assert scene.direction(RED_STAR, BLUE_HEART) is None
    assert scene.direction(BLUE_HEART, BLUE_STAR) is None
    assert scene.direction(BLUE_HEART, BLUE_HEART) is None


@pytest.mark.parametrize("number", [0, 5])
def test_as_many_objects_as_there_is_room_for(number):
    with pytest.raises(UserError, match="1 to 4 objects"):
        make_scene(0, num_objects=number)


def test_chance():
    draw = Draw(5)
    assert Counter(draw.below(3) for _ in range(3000)).keys() == {0, 1, 2}
    assert {draw.between(4, 6) for _ in range(100)} == {4, 5, 6}
    orders = Counter(tuple(draw.shuffled("abc")) for _ in range(6000))
    assert len(orders) == 6 and min(orders.values()) > 850  # 1000 of each are expected; 5 deviations are 145


def test_what_is_left_open():
    """Of each of the four, the one with which it makes an unseen pair."""
    scene = scene_of((BLUE_HEART, 20, 20), (RED_STAR, 60, 20))
    unseen = {frozenset((thing.shape, thing.color)) for thing in UNSEEN}
    assert len(scene.unseen_partners()) == 4 and scene.kinds == {"blue", "heart", "red", "star"}
    assert all(any({kind, partner} in unseen for kind in scene.kinds) for partner in scene.unseen_partners())


def test_things_without_partners():
    """Scenes of them bar nothing that is there; over many of them, all that is seen comes up."""
    drawn = Counter()
    for seed in range(300):
        things = without_partners(Draw(seed))
        scene = make_scene(seed, things=things)
        assert scene.kinds.isdisjoint(scene.unseen_partners())
        drawn.update(things)
    assert set(drawn) == set(SEEN) and max(drawn.values()) < 2 * min(drawn.values())
    assert sum(not make_scene(seed).kinds.isdisjoint(make_scene(seed).unseen_partners()) for seed in range(300)) > 60
