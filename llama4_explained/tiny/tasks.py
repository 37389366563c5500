"""Questions about a scene, and about texts, with the one right answer to each.

Every task is asked in every language. What training may not show, the shapes of colours in `scenes.UNSEEN`, is never
drawn there, nor asked of a picture; texts do name it. `things` says what may be. What is `barred` may be drawn, but not
be asked for: see `Scene.unseen_partners`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UserError
from .languages.language import COLORS, MOST_OBJECTS, SHAPES, Group, Language, Thing
from .scenes import EVERYTHING, SEEN, Draw, Scene, make_scene

PICTURE_TASKS = ("caption", "count", "count_shape", "count_color", "color", "shape", "existence", "relation")
ALWAYS_POSSIBLE = ("count", "count_shape", "count_color")  # whatever the picture shows, and whatever is barred
TEXT_TASKS = ("translation", "reading", "lookup")
READING_TASKS = ("count", "count_shape", "count_color", "color", "shape", "existence")
# Single letters, each of which is a token.
KEYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Barred = frozenset[str]  # shapes and colours


@dataclass(frozen=True)
class Turn:
    """One question and its answer."""

    task: str
    language: str  # its code
    question: str
    answer: str
    named: tuple[Thing, ...] = ()  # the single objects of a picture that the question speaks of, in its order


def ask(
    task: str,
    scene: Scene,
    language: Language,
    draw: Draw,
    things: Sequence[Thing] = SEEN,
    barred: Barred = frozenset(),
) -> Turn | None:
    """A question of one of `PICTURE_TASKS`; None if the scene does not allow it, as with the colour of two stars.

    `barred` are shapes and colours that the question may not name. A caption says all that there is.
    """
    said = _SAY[task](scene, language, draw, things, barred)
    return None if said is None else Turn(task, language.code, *said)


def translate(source: Language, target: Language, draw: Draw, things: Sequence[Thing] = EVERYTHING) -> Turn:
    """A caption of a scene that nobody drew, from one language into another."""
    groups = _any_groups(draw, things)
    question = source.ask_translation(target.code, source.caption(groups))
    return Turn("translation", source.code, question, target.caption(groups))


def read(language: Language, draw: Draw, things: Sequence[Thing] = EVERYTHING) -> Turn:
    """A question about a scene that is described, not shown: one of `READING_TASKS`."""
    scene = make_scene(draw.below(2**30), things=things)
    while (turn := ask(draw.choice(READING_TASKS), scene, language, draw, things)) is None:
        pass
    return Turn("reading", language.code, f"{language.caption(scene.groups())}\n{turn.question}", turn.answer)


def look_up(language: Language, draw: Draw, num_notes: int, num_questions: int = 1) -> list[Turn]:
    """Many notes of a number each, and the question for one of them: the longer, the further back it may lie.

    More questions follow in turns of their own, for other notes where there are that many.

    Errors: UserError if there are not keys for so many notes.
    """
    if not 1 <= num_notes <= len(KEYS):
        raise UserError(f"there can be 1 to {len(KEYS)} notes, each with a key of its own; got {num_notes}")
    keys = draw.shuffled(KEYS)[:num_notes]
    values = [str(draw.between(10, 99)) for _ in keys]
    notes = [language.note(key, value) for key, value in zip(keys, values, strict=True)]
    turns = []
    for asked in draw.shuffled(range(num_notes))[:num_questions]:
        question = "\n".join([*notes, language.ask_note(keys[asked])])
        turns.append(Turn("lookup", language.code, question, f"{values[asked]}."))
        notes = []
    return turns


Said = tuple[str, str, tuple[Thing, ...]] | None  # question, answer and what is named, as `Turn` has them


def _caption(scene: Scene, language: Language, draw: Draw, things: Sequence[Thing], barred: Barred) -> Said:
    return language.ask_caption(), language.caption(scene.groups()), ()


def _count(scene: Scene, language: Language, draw: Draw, things: Sequence[Thing], barred: Barred) -> Said:
    return language.ask_count(), language.count(scene.count()), ()


def _count_shape(scene: Scene, language: Language, draw: Draw, things: Sequence[Thing], barred: Barred) -> Said:
    shape = draw.choice(scene.things).shape if draw.below(4) else draw.choice(SHAPES)
    if shape in barred:
        return None
    return language.ask_count(shape=shape), language.count(scene.count(shape=shape), shape=shape), ()


def _count_color(scene: Scene, language: Language, draw: Draw, things: Sequence[Thing], barred: Barred) -> Said:
    color = draw.choice(scene.things).color if draw.below(4) else draw.choice(COLORS)
    if color in barred:
        return None
    return language.ask_count(color=color), language.count(scene.count(color=color), color=color), ()


def _color(scene: Scene, language: Language, draw: Draw, things: Sequence[Thing], barred: Barred) -> Said:
    single = [thing for thing in scene.things if scene.count(shape=thing.shape) == 1 and thing.shape not in barred]
    if not single:
        return None
    thing = draw.choice(single)
    return language.ask_color(thing.shape), language.color(thing.color, thing.shape), (thing,)


def _shape(scene: Scene, language: Language, draw: Draw, things: Sequence[Thing], barred: Barred) -> Said:
    single = [thing for thing in scene.things if scene.count(color=thing.color) == 1 and thing.color not in barred]
    if not single:
        return None
    thing = draw.choice(single)
    return language.ask_shape(thing.color), language.shape(thing.shape), (thing,)


def _existence(scene: Scene, language: Language, draw: Draw, things: Sequence[Thing], barred: Barred) -> Said:
    """Half of what is asked for is there. Of the rest, half has the shape or the colour of something that is there."""
    there = [thing for thing in scene.things if barred.isdisjoint(thing.kinds)]
    if not there:
        return None
    if draw.below(2):
        return language.ask_existence(draw.choice(there)), language.yes(), ()
    absent = [thing for thing in things if thing not in scene.things and barred.isdisjoint(thing.kinds)]
    alike = [thing for thing in absent if thing.kinds & scene.kinds]
    return language.ask_existence(draw.choice(alike if alike and draw.below(2) else absent)), language.no(), ()


def _relation(scene: Scene, language: Language, draw: Draw, things: Sequence[Thing], barred: Barred) -> Said:
    clear = [
        (thing, other, direction)
        for thing in scene.things
        for other in scene.things
        if barred.isdisjoint(thing.kinds | other.kinds) and (direction := scene.direction(thing, other)) is not None
    ]
    if not clear:
        return None
    thing, other, direction = draw.choice(clear)
    return language.ask_relation(thing, other), language.relation(direction), (thing, other)


_SAY = {
    "caption": _caption, "count": _count, "count_shape": _count_shape, "count_color": _count_color, "color": _color,
    "shape": _shape, "existence": _existence, "relation": _relation,
}  # fmt: skip


def _any_groups(draw: Draw, things: Sequence[Thing]) -> list[Group]:
    """One to four objects, equal ones together, in any order."""
    left, groups = draw.between(1, MOST_OBJECTS), []
    while left:
        count = draw.between(1, left) if draw.below(2) else 1
        thing = draw.choice(things)
        if thing not in [group.thing for group in groups]:
            groups.append(Group(count, thing))
            left -= count
    return groups
