"""Batches of conversations for training, all of the same shape, so that one recorded GPU graph runs them all.

A batch is a function of its number. Worker processes make what needs Python (scenes, sentences, token ids); the device
draws the pictures.

Shapes: B conversations, those with pictures first, T tokens, N pictures of one canvas, X tiles of all pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from ..processor import Processor
from .dialogues import DialogueEncoder, picture_turns, text_turns
from .languages.language import SHAPES
from .pictures import FIELDS, as_numbers, draw, stamps
from .scenes import CANVASES, RADII, TILE, TURNS, Draw, Scene, make_scene
from .tasks import Turn

CELLS = 4  # image tokens per side of a tile
NO_OBJECT = len(SHAPES)


@dataclass(frozen=True)
class Layout:
    """How many conversations of each kind a batch has.

    Units:  `pictures` in pictures of each canvas of `CANVASES`; `texts` in conversations without one; `length` in
        tokens; `most_notes` in notes of one key to look up.
    """

    pictures: tuple[int, ...] = (176, 28, 28, 24)
    texts: int = 64
    length: int = 192
    most_notes: int = 14

    @property
    def size(self) -> int:
        """B."""
        return sum(self.pictures) + self.texts


Conversation = tuple[Scene | None, list[Turn]]


class Batches(Dataset):
    """The batches of a seed, by number: token ids and labels [B, T], and scenes as numbers, for each canvas.

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
        made: list[Conversation] = []
        for canvas in [*kinds, *[None] * layout.texts]:
            number += 1
            chance = Draw(2 * number)
            if canvas is None:
                made.append((None, text_turns(chance, layout.most_notes)))
            else:
                scene = make_scene(2 * number + 1, canvas)
                made.append((scene, picture_turns(scene, chance, 12)))
        return made

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if self._encoder is None:
            self._encoder = DialogueEncoder(self._processor.chat_format(), self.layout.length)
        conversations = self.conversations(index)
        rows = [self._encoder.encode(turns, scene) for scene, turns in conversations]
        batch = {name: torch.tensor([row[i] for row in rows]) for i, name in enumerate(("input_ids", "labels"))}
        for canvas in CANVASES:
            scenes = [scene for scene, _ in conversations if scene and (scene.rows, scene.columns) == canvas]
            batch[f"items {canvas}"], batch[f"backgrounds {canvas}"] = as_numbers(scenes)
        return batch


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
    """What lies at each image token, for the throw-away head: its shape, colour and size, and the token's own place.

    The object whose middle is nearest to the cell's, if that is inside it or nearly so; else `NO_OBJECT`. The place is
    the cell's row and column in its tile: what is asked for is kept, and relations need it.

    Shapes: returns int64 [X, CELLS^2, 5].
    """
    made = []
    for canvas in CANVASES:
        items = batch[f"items {canvas}"].long()
        for top, left, height, width in views(*canvas):
            step_y, step_x = height / CELLS, width / CELLS
            y = top + step_y * (torch.arange(CELLS, device=items.device) + 0.5)
            x = left + step_x * (torch.arange(CELLS, device=items.device) + 0.5)
            made.append(_nearest(items, y.repeat_interleave(CELLS), x.repeat(CELLS)))
    # Tiles of one picture lie together, so the views of one canvas are interleaved.
    result, position = [], 0
    for canvas in CANVASES:
        count = len(views(*canvas))
        result.append(torch.stack(made[position : position + count], dim=1).flatten(0, 1))
        position += count
    what = torch.cat(result)  # [X, CELLS^2, 3]
    cell = torch.arange(CELLS**2, device=what.device).expand(len(what), -1)
    return torch.cat([what, torch.stack([cell // CELLS, cell % CELLS], dim=-1)], dim=-1)


def views(rows: int, columns: int) -> list[tuple[int, int, int, int]]:
    """What each tile of a canvas shows, in pixels of the picture: top, left, height, width; the global tile last."""
    tiles = [(row * TILE, column * TILE, TILE, TILE) for row in range(rows) for column in range(columns)]
    return tiles if len(tiles) == 1 else [*tiles, (0, 0, rows * TILE, columns * TILE)]


def _nearest(items: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """items [N, M, FIELDS], y and x [cells] -> int64 [N, cells, 3]."""
    stamp, color, there = items[:, :, 0], items[:, :, FIELDS - 1], items[:, :, 6] == 1
    radius = torch.tensor(RADII, device=items.device)[stamp // TURNS % len(RADII)]
    middle_y, middle_x = items[:, :, 1] + RADII[-1], items[:, :, 2] + RADII[-1]
    distance = ((middle_y[:, None] - y[:, None]) ** 2 + (middle_x[:, None] - x[:, None]) ** 2).sqrt()  # [N, cells, M]
    distance = distance.masked_fill(~there[:, None], float("inf"))
    nearest = distance.min(-1)
    is_there = nearest.values <= (radius + 10).gather(1, nearest.indices)
    kinds = torch.stack([stamp // (TURNS * len(RADII)), color, (radius > 16).long()], dim=-1)  # [N, M, 3]
    found = kinds.gather(1, nearest.indices[..., None].expand(-1, -1, 3))
    return torch.where(is_there[..., None], found, NO_OBJECT)
