"""What is in a picture: one to four coloured shapes, placed at random, and what can be said of them.

A scene is a function of its seed alone, bit for bit, on every machine and in every version of Python: all chance comes
from `random.Random.random()`, whose numbers Python guarantees, and all arithmetic is in whole numbers.

Units: pixels; rows and columns of tiles; positions count from the upper left corner.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from ..errors import UserError
from .languages.language import COLORS, MOST_OBJECTS, SHAPES, Group, Thing

TILE = 112  # pixels of one side
CANVASES = ((1, 1), (1, 2), (2, 1), (2, 2))  # rows and columns of tiles that pictures have
RADII = range(10, 31, 2)  # of an object; the larger ones in larger pictures only
TURNS = 8  # how many ways an object may lean
GAP = 4  # between two objects, at least
EVERYTHING = tuple(Thing(shape, color) for shape in SHAPES for color in COLORS)
# One shape of each colour that training never shows, so that what is said of it must have been understood.
UNSEEN = tuple(Thing(shape, COLORS[(number + 2) % len(COLORS)]) for number, shape in enumerate(SHAPES))
SEEN = tuple(thing for thing in EVERYTHING if thing not in UNSEEN)
# Of each shape and each colour, the one with which it makes an unseen pair.
UNSEEN_PARTNER = {thing.shape: thing.color for thing in UNSEEN} | {thing.color: thing.shape for thing in UNSEEN}

Value = TypeVar("Value")


class Draw:
    """Chance, the same from the same seed for ever."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def below(self, limit: int) -> int:
        """A whole number from 0 to limit - 1."""
        return int(self._random() * limit)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def choice(self, values: Sequence[Value]) -> Value:
        """One of the values."""
        return values[self.below(len(values))]

    def shuffled(self, values: Sequence[Value]) -> list[Value]:
        """All of the values, in any order."""
        rest, result = list(values), []
        while rest:
            result.append(rest.pop(self.below(len(rest))))
        return result


@dataclass(frozen=True)
class Item:
    """One object: what it is, where its middle lies, how large it is, how it leans, and its exact colour."""

    thing: Thing
    x: int
    y: int
    radius: int
    turn: int  # 0 to TURNS - 1
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn. The background runs from one colour to another, across or down."""

    rows: int
    columns: int
    items: tuple[Item, ...]
    background: tuple[tuple[int, int, int], tuple[int, int, int]]
    runs_down: bool

    @property
    def width(self) -> int:
        return self.columns * TILE

    @property
    def height(self) -> int:
        return self.rows * TILE

    @cached_property
    def things(self) -> list[Thing]:
        """What each object is."""
        return [item.thing for item in self.items]

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The shapes and the colours that objects have."""
        return frozenset[str]().union(*(thing.kinds for thing in self.things))

    def unseen_partners(self) -> frozenset[str]:
        """The shapes and colours that training must not ask for in this scene, so that it leaves unseen pairs open.

        Say that red hearts are unseen. Whenever something red is asked for beside a heart, that heart is not red. From
        many such a model learns that hearts never are, and passes red hearts over, although it sees them.
        """
        return frozenset(UNSEEN_PARTNER[kind] for kind in self.kinds)

    def count(self, shape: str | None = None, color: str | None = None) -> int:
        """How many objects have this shape and this colour; None is any."""
        return sum(shape in (None, thing.shape) and color in (None, thing.color) for thing in self.things)

    def groups(self) -> list[Group]:
        """Equal objects together, in the order of `SHAPES` and then of `COLORS`, as captions name them."""
        counts = Counter(self.things)
        return [Group(counts[thing], thing) for thing in EVERYTHING if thing in counts]

    def place(self, thing: Thing) -> tuple[float, float]:
        """Row and column of the middle of the only such object, from -1 to 1 over the picture."""
        (item,) = (item for item in self.items if item.thing == thing)
        return 2 * item.y / self.height - 1, 2 * item.x / self.width - 1

    def direction(self, thing: Thing, other: Thing) -> str | None:
        """Where `thing` lies, seen from `other`; None if one is not there exactly once, or it is hard to say.

        It is easy where one of the two distances, across and down, is at least 1.5 times the other.
        """
        first, second = ([item for item in self.items if item.thing == each] for each in (thing, other))
        if len(first) != 1 or len(second) != 1 or thing == other:
            return None
        across, down = first[0].x - second[0].x, first[0].y - second[0].y
        if 2 * abs(across) >= 3 * abs(down):
            return "left" if across < 0 else "right"
        if 2 * abs(down) >= 3 * abs(across):
            return "above" if down < 0 else "below"
        return None


BASE_RGB = {
    "red": (205, 35, 40), "orange": (245, 140, 25), "yellow": (240, 220, 50), "green": (40, 150, 60),
    "blue": (40, 80, 205), "purple": (130, 50, 150),
}  # fmt: skip
# How far an object's colour may differ from its name's, so that names are ranges of colours: in percent of the way to a
# neighbouring colour, to black and to white, and in each channel. Two names never meet.
TO_NEIGHBOUR, TO_BLACK, TO_WHITE, SHADE = 18, 25, 25, 6


def make_scene(
    seed: int, canvas: tuple[int, int] = (1, 1), num_objects: int | None = None, things: Sequence[Thing] = SEEN
) -> Scene:
    """The scene of a seed.

    `num_objects` None: 1 to 4. Some objects repeat an earlier one, so that there is something to count. `things`: what
    the objects are drawn from.

    Errors: UserError for more objects than a picture has room for.
    """
    draw = Draw(seed)
    rows, columns = canvas
    wanted = draw.between(1, MOST_OBJECTS) if num_objects is None else num_objects
    if not 1 <= wanted <= MOST_OBJECTS:
        raise UserError(f"a picture has 1 to {MOST_OBJECTS} objects, got {wanted}")
    largest = len(RADII) if rows * columns > 1 else RADII.index(20) + 1
    items: list[Item] = []
    while len(items) < wanted:
        item = _draw_item(draw, rows, columns, RADII[:largest], things, items)
        if all(_apart(item, other) for other in items):
            items.append(item)
    grey = draw.between(25, 230)
    background = (_shade(draw, (grey, grey, grey), 25), _shade(draw, (grey, grey, grey), 25))
    return Scene(rows, columns, tuple(items), background, bool(draw.below(2)))


def without_partners(draw: Draw) -> list[Thing]:
    """Some of what is seen: of the shape and the colour of each unseen pair only one, so that all may be asked for."""
    while True:
        kinds = {draw.choice((thing.shape, thing.color)) for thing in UNSEEN}
        if some := [thing for thing in SEEN if thing.kinds <= kinds]:
            return some


def _color(draw: Draw, name: str) -> tuple[int, int, int]:
    """One of the many colours that have this name."""
    number, step = COLORS.index(name), draw.choice((-1, 1))
    neighbour = BASE_RGB[COLORS[(number + step) % len(COLORS)]]
    rgb = _mixed(BASE_RGB[name], neighbour, draw.below(TO_NEIGHBOUR + 1))
    rgb = _mixed(rgb, (0, 0, 0), draw.below(TO_BLACK + 1))
    rgb = _mixed(rgb, (255, 255, 255), draw.below(TO_WHITE + 1))
    return _shade(draw, rgb, SHADE)


def _mixed(rgb: tuple[int, int, int], other: tuple[int, int, int], percent: int) -> tuple[int, int, int]:
    red, green, blue = (((100 - percent) * a + percent * b) // 100 for a, b in zip(rgb, other, strict=True))
    return red, green, blue


def _shade(draw: Draw, rgb: tuple[int, int, int], most: int) -> tuple[int, int, int]:
    """A colour each of whose channels differs by `most` at most."""
    red, green, blue = (min(255, max(0, value + draw.between(-most, most))) for value in rgb)
    return red, green, blue


def _draw_item(
    draw: Draw, rows: int, columns: int, radii: Sequence[int], things: Sequence[Thing], earlier: Sequence[Item]
) -> Item:
    repeats = earlier and draw.below(4) == 0
    thing = draw.choice(earlier).thing if repeats else draw.choice(things)
    radius = draw.choice(radii)
    x, y = (draw.between(radius + 1, size * TILE - radius - 2) for size in (columns, rows))
    return Item(thing, x, y, radius, draw.below(TURNS), _color(draw, thing.color))


def _apart(item: Item, other: Item) -> bool:
    distance = item.radius + other.radius + GAP
    return (item.x - other.x) ** 2 + (item.y - other.y) ** 2 >= distance**2
