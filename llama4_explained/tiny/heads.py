"""Two heads that are thrown away after training: each asks the model on the way for what good answers need.

Without them, what lies where in a picture would have to be learnt through answers alone, which say little: one of four
directions, say, about two objects that were each to be found among sixteen image tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batches import MOST_NAMED, NO_OBJECT, NOWHERE
from .languages.language import COLORS
from .scenes import TILE

# What `CellHead` tells apart: shapes, colours and sizes, each with one more for nothing.
CELL_KINDS = (NO_OBJECT + 1, len(COLORS) + 1, 3)
PLACE_WEIGHT = 4.0  # a place counts so much more than its squared error, in halves of a side


class CellHead(nn.Module):
    """Says of every image token what lies there, and where in its tile.

    Places are two numbers, not classes: so that image tokens say them in a way in which they can be compared.

    Shapes: X tiles; image tokens [X, CELLS^2, D] and targets int64 [X, CELLS^2, 5], as `cell_targets` has them -> [].
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, sum(CELL_KINDS) + 2)

    def forward(self, image_tokens: Tensor, targets: Tensor) -> Tensor:
        *kinds, place = self.linear(image_tokens).float().split((*CELL_KINDS, 2), dim=-1)
        losses = [
            F.cross_entropy(logits.flatten(0, 1), truth.flatten().clamp(max=logits.shape[-1] - 1))
            for logits, truth in zip(kinds, targets[..., :3].unbind(-1), strict=True)
        ]
        losses.append(place_loss(place, targets[..., 3:] / (TILE / 2) - 1, targets[..., 3:] != NOWHERE))
        return torch.stack(losses).sum()


class NamedHead(nn.Module):
    """Says where the objects lie that a question names, at the token that the answer follows.

    Which of two lies to the left is then a difference of two numbers that are there.

    Shapes: hidden states [B, T, D] and targets float [B, T, MOST_NAMED, 2], as `named_targets` has them -> [].
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, MOST_NAMED * 2)

    def forward(self, hidden: Tensor, targets: Tensor) -> Tensor:
        places = self.linear(hidden).float().view_as(targets)
        return place_loss(places, targets, targets != NOWHERE)


def place_loss(places: Tensor, targets: Tensor, is_asked: Tensor) -> Tensor:
    """The squared error of row and column together, in halves of a side, mean over the places that are asked for.

    Shapes: [..., 2] each -> [].
    """
    error = ((places - targets).square() * is_asked).sum()
    return 2 * PLACE_WEIGHT * error / is_asked.sum().clamp(min=1)
