"""Batches of conversations for training, all of the same shape, so that one recorded GPU graph runs them all.

A batch is a function of its number. Worker processes make what needs Python (scenes, sentences, token ids); the device
draws the pictures.

Shapes: B conversations, those with pictures first, T tokens, N pictures of one canvas, X tiles of all pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import UserError
from ..loss import IGNORED
from ..processor import Processor
from ..special_tokens import PATCH
from .dialogues import LATER_WEIGHTS, WEIGHTS, DialogueEncoder, picture_turns, text_turns
from .languages import BY_CODE
from .languages.language import CODES, MOST_OBJECTS, SHAPES
from .pictures import FIELDS, as_numbers, draw, stamps
from .scenes import CANVASES, RADII, SEEN, TILE, TURNS, Draw, Scene, make_scene, without_partners
from .tasks import ALWAYS_POSSIBLE, Turn

CELLS = 4  # image tokens per side of a tile
MOST_NAMED = 2  # objects in a question
MOST_TURNS = 8  # about one picture: more than fit
NOWHERE = -100  # of a cell without an object: not asked for
NO_OBJECT = len(SHAPES)


@dataclass(frozen=True)
class Layout:
    """How many conversations of each kind a batch has, and about what.

    Units:  `seeing` in batches, the first ones, from which only the vision tower learns: their pictures hold as many
        objects as may be; `pictures` in pictures of each canvas of `CANVASES`; `texts` in conversations without one;
        `length` in tokens; `most_notes` in notes of one key to look up; `tasks`, and from batch number `later` on
        `later_tasks`, in parts of all questions about pictures; `languages` are codes.
    Errors: UserError if the tasks are such that about some pictures nothing could be asked.
    """

    seeing: int = 2000
    pictures: tuple[int, ...] = (80, 12, 12, 12)
    texts: int = 52
    length: int = 160
    most_notes: int = 12
    tasks: dict[str, int] = field(default_factory=lambda: dict(WEIGHTS))
    later_tasks: dict[str, int] = field(default_factory=lambda: dict(LATER_WEIGHTS))
    later: int = 6000
    languages: tuple[str, ...] = CODES

    def __post_init__(self) -> None:
        for tasks in (self.tasks, self.later_tasks):
            if not any(tasks.get(task) for task in ALWAYS_POSSIBLE):
                raise UserError(f"tasks must have one of {', '.join(ALWAYS_POSSIBLE)}: some pictures allow no other")

    @property
    def size(self) -> int:
        """B."""
        return sum(self.pictures) + self.texts


Conversation = tuple[Scene | None, list[Turn]]


class Batches(Dataset):
    """The batches of a seed, by number: token ids, labels and the labels' weights [B, T], the places of image tokens
    among all of them [X * CELLS^2], where the objects lie that questions name, and scenes as numbers, for each canvas.

    Index 0 is batch number `first`.
    """

    def __init__(self, processor: Processor, layout: Layout, seed: int, first: int, last: int) -> None:
        self.layout, self.seed, self.first, self.last = layout, seed, first, last
        self._processor = processor
        self._encoder: DialogueEncoder | None = None  # made by the worker: it remembers sentences

    def __len__(self) -> int:
        return self.last - self.first

    def conversations(self, index: int) -> list[Conversation]:
        """What one batch is made of: scenes (None for a text alone) and more turns than fit."""
        layout, number = self.layout, (self.seed * 1_000_003 + self.first + index) * 1009
        kinds = [canvas for canvas, count in zip(CANVASES, layout.pictures, strict=True) for _ in range(count)]
        tasks = layout.tasks if self.first + index < layout.later else layout.later_tasks
        num_objects = MOST_OBJECTS if self.first + index < layout.seeing else None
        languages = [BY_CODE[code] for code in layout.languages]
        made: list[Conversation] = []
        for canvas in [*kinds, *[None] * layout.texts]:
            number += 1
            chance = Draw(2 * number)
            if canvas is None:
                made.append((None, text_turns(chance, layout.most_notes, languages)))
            else:
                # Half of the scenes are such that nothing in them is barred, or few would have relations to ask for.
                things = without_partners(chance) if chance.below(2) else SEEN
                scene = make_scene(2 * number + 1, canvas, num_objects, things)
                turns = picture_turns(scene, chance, MOST_TURNS, tasks, languages, barred=scene.unseen_partners())
                made.append((scene, turns))
        return made

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if self._encoder is None:
            self._encoder = DialogueEncoder(self._processor.chat_format(), self.layout.length)
        conversations = self.conversations(index)
        rows = [self._encoder.encode(turns, scene) for scene, turns in conversations]
        batch = {name: torch.tensor([row[i] for row in rows]) for i, name in enumerate(("input_ids", "labels"))}
        batch["weights"] = answer_weights(batch["labels"])
        fitting = [(scene, row[2]) for (scene, _), row in zip(conversations, rows, strict=True)]
        batch["named"] = named_targets(batch["labels"], fitting)
        patch = self._encoder.chat.tokenizer.token_id(PATCH)
        batch["places"] = (batch["input_ids"].flatten() == patch).nonzero()[:, 0]
        return batch | scenes_as_numbers([scene for scene, _ in conversations if scene is not None])


def answer_weights(labels: Tensor) -> Tensor:
    """How much each label counts: 1 / sqrt(tokens of its answer), so that long answers don't drown the short ones.

    Shapes: int64 [B, T] -> float32 [B, T], 0 where there is no label.
    """
    is_label = (labels != IGNORED).flatten()
    answer = _begins(labels).flatten().cumsum(0) * is_label
    return (is_label * answer.bincount()[answer].rsqrt()).view_as(labels)


def _begins(labels: Tensor) -> Tensor:
    """Where answers begin: bool [B, T]. Rows begin with what has no label."""
    is_label = labels != IGNORED
    return is_label & ~F.pad(is_label[:, :-1], (1, 0))


def named_targets(labels: Tensor, conversations: Sequence[Conversation]) -> Tensor:
    """Where the objects lie that a question names, at the token that the answer follows, for a throw-away head.

    Row and column of their middles, from -1 to 1 over the picture; `NOWHERE` at all other tokens.

    Shapes: labels [B, T], as conversations whose turns all fitted were encoded -> float32 [B, T, MOST_NAMED, 2].
    """
    targets = torch.full((*labels.shape, MOST_NAMED, 2), float(NOWHERE))
    for row, ((scene, turns), begins) in enumerate(zip(conversations, _begins(labels), strict=True)):
        if scene is None:
            continue
        for turn, begin in zip(turns, begins.nonzero()[:, 0].tolist(), strict=True):
            for number, thing in enumerate(turn.named):
                targets[row, begin - 1, number] = torch.tensor(scene.place(thing))
    return targets


def scenes_as_numbers(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """What `Painter` draws from: scenes of each canvas as numbers, which may be none, under a name each."""
    numbers = {}
    for canvas in CANVASES:
        alike = [scene for scene in scenes if (scene.rows, scene.columns) == canvas]
        numbers[f"items {canvas}"], numbers[f"backgrounds {canvas}"] = as_numbers(alike)
    return numbers


class Painter:
    """Draws a batch's pictures on a device and cuts them into tiles, as `images.py` does it one by one."""

    def __init__(self, device: torch.device) -> None:
        self._stamps = stamps().to(device)

    def tiles(self, batch: dict[str, Tensor]) -> Tensor:
        """All tiles, in the order of their places in the text: float32 [X, 3, TILE, TILE] in [-1, 1].

        Differs: the global tile is shrunk in float32 and rounded, which moves some bytes by 1.
        """
        made = []
        for rows, columns in CANVASES:
            items = batch[f"items {(rows, columns)}"]
            if not len(items):
                continue
            pictures = draw(items, batch[f"backgrounds {(rows, columns)}"], rows * TILE, columns * TILE, self._stamps)
            grid = pictures.unflatten(3, (-1, TILE)).unflatten(2, (-1, TILE))  # [N, 3, rows, size, columns, size]
            tiles = grid.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # [N, rows * columns, 3, size, size]
            if rows * columns > 1:
                whole = F.interpolate(pictures.float(), (TILE, TILE), mode="bilinear", antialias=True)
                tiles = torch.cat([tiles, whole.round().clamp(0, 255).to(torch.uint8)[:, None]], dim=1)
            made.append(tiles.flatten(0, 1))
        return torch.cat(made).float() / 127.5 - 1


def cell_targets(batch: dict[str, Tensor]) -> Tensor:
    """What lies at each image token, for the throw-away head: its shape, colour and size, and the row and column of its
    middle in pixels of the tile.

    The object whose middle is nearest to the cell's, if that is inside it or nearly so; else `NO_OBJECT`, `NOWHERE`.

    Shapes: returns int64 [X, CELLS^2, 5].
    """
    made = []
    for canvas in CANVASES:
        items = batch[f"items {canvas}"].long()
        # Tiles of one picture lie together.
        made.append(torch.stack([_seen(items, *view) for view in views(*canvas)], dim=1).flatten(0, 1))
    return torch.cat(made)


def views(rows: int, columns: int) -> list[tuple[int, int, int, int]]:
    """What each tile of a canvas shows, in pixels of the picture: top, left, height, width; the global tile last."""
    tiles = [(row * TILE, column * TILE, TILE, TILE) for row in range(rows) for column in range(columns)]
    return tiles if len(tiles) == 1 else [*tiles, (0, 0, rows * TILE, columns * TILE)]


def _seen(items: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """What `cell_targets` says of one tile: items [N, M, FIELDS] -> int64 [N, CELLS^2, 5]."""
    stamp, color, is_there = items[:, :, 0], items[:, :, FIELDS - 1], items[:, :, 6] == 1
    radius = RADII.start + RADII.step * (stamp // TURNS % len(RADII))  # [N, M]
    middle_y, middle_x = items[:, :, 1] + RADII[-1] - top, items[:, :, 2] + RADII[-1] - left
    steps = torch.arange(CELLS, device=items.device) + 0.5
    y, x = (height / CELLS * steps).repeat_interleave(CELLS), (width / CELLS * steps).repeat(CELLS)  # [CELLS^2]
    distance = ((middle_y[:, None] - y[:, None]) ** 2 + (middle_x[:, None] - x[:, None]) ** 2).sqrt()
    distance = distance.masked_fill(~is_there[:, None], float("inf"))  # [N, CELLS^2, M]
    nearest = distance.min(-1)
    is_near = nearest.values <= (radius + 10).gather(1, nearest.indices)  # [N, CELLS^2]

    def of_nearest(values: Tensor, otherwise: int) -> Tensor:
        return torch.where(is_near, values.gather(1, nearest.indices), otherwise)

    row, column = (middle_y * TILE // height).clamp(0, TILE - 1), (middle_x * TILE // width).clamp(0, TILE - 1)
    kinds = (stamp // (TURNS * len(RADII)), color, (radius > 16).long())
    return torch.stack(
        [*(of_nearest(kind, NO_OBJECT) for kind in kinds), of_nearest(row, NOWHERE), of_nearest(column, NOWHERE)], -1
    )
