"""What the two throw-away heads lose, by hand."""

import math

import pytest
import torch

from llama4_explained.tiny.batches import NO_OBJECT, NOWHERE
from llama4_explained.tiny.heads import CELL_KINDS, CellHead, NamedHead, place_loss

NOTHING = [NO_OBJECT, NO_OBJECT, NO_OBJECT, NOWHERE, NOWHERE]  # as `cell_targets` has it


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def saying_nothing(head):
    """All classes equally likely, all places in the middle."""
    head.linear.weight.zero_()
    head.linear.bias.zero_()
    return head


def test_cells_of_a_head_that_knows_nothing():
    """Chance for each kind, and 4 times the squared distance of the one object, half a tile up and left."""
    targets = torch.tensor([[NOTHING] * 15 + [[1, 2, 0, 28, 28]]])
    loss = saying_nothing(CellHead(8))(torch.randn(1, 16, 8), targets)
    assert float(loss) == pytest.approx(sum(math.log(number) for number in CELL_KINDS) + 4 * (0.25 + 0.25))


def test_every_kind_has_a_class_for_nothing():
    """The last of each; sizes have 0 and 1 before it."""
    head, start = saying_nothing(CellHead(8)), 0
    for number in CELL_KINDS:
        head.linear.bias[start + number - 1] = 50.0
        start += number
    assert float(head(torch.randn(2, 16, 8), torch.tensor([[NOTHING] * 16] * 2))) == pytest.approx(0, abs=1e-6)
    wrong = torch.tensor([[NOTHING] * 15 + [[0, NO_OBJECT, NO_OBJECT, NOWHERE, NOWHERE]], [NOTHING] * 16])
    assert float(head(torch.randn(2, 16, 8), wrong)) == pytest.approx(50 / 32)


def test_named_objects_are_told_apart_and_the_rest_is_not_asked():
    targets = torch.full((1, 3, 2, 2), float(NOWHERE))
    targets[0, 1] = torch.tensor([[0.5, -0.5], [-1.0, 0.25]])
    targets[0, 2, 0] = torch.tensor([0.0, 1.0])
    head = saying_nothing(NamedHead(8))
    squares = [0.25, 0.25, 1.0, 0.0625, 0.0, 1.0]
    assert float(head(torch.randn(1, 3, 8), targets)) == pytest.approx(2 * 4 * sum(squares) / 6)
    head.linear.bias.copy_(targets[0, 1].flatten())
    assert float(head(torch.randn(1, 2, 8), targets[:, :2])) == pytest.approx(0, abs=1e-12)


def test_nothing_asked_costs_nothing():
    targets = torch.full((1, 3, 2, 2), float(NOWHERE))
    assert float(place_loss(torch.randn(1, 3, 2, 2), targets, targets != NOWHERE)) == 0
