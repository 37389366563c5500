"""Training on a GPU: recorded, compiled and grouped, its steps are those of a CPU, within bfloat16's rounding."""

import dataclasses

import pytest
import torch

from llama4_explained import TINY
from llama4_explained.tiny.batches import Batches, Layout, Painter, cell_targets
from llama4_explained.tiny.trainer import Recipe, Trainer
from tiny_world import processor

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")

SMALL = dataclasses.replace(
    TINY,
    text=dataclasses.replace(TINY.text, num_layers=4, num_experts=4),
    vision=dataclasses.replace(TINY.vision, num_layers=2),
)
LAYOUT = Layout(seeing=5, pictures=(4, 1, 1, 1), texts=2, most_notes=6)
RECIPE = Recipe(steps=100, warmup=10, layout=LAYOUT)


def losses(trainer: Trainer, numbers: range) -> list[dict[str, float]]:
    batches = Batches(processor(), LAYOUT, 0, 0, 100)
    return [
        {name: float(loss) for name, loss in trainer.train_on(batches[number]).items()} for number in numbers
    ]  # fmt: skip


@pytest.fixture(scope="module")
def on_gpu() -> tuple[Trainer, list[dict[str, float]]]:
    trainer = Trainer(RECIPE, torch.device("cuda"), SMALL)
    return trainer, losses(trainer, range(12))


def test_steps_are_those_of_a_cpu(on_gpu):
    """Of seeing, three eager steps and two replays of the recorded one; of the rest, three and four."""
    expected = losses(Trainer(RECIPE, torch.device("cpu"), SMALL), range(12))
    for step, (ours, exact) in enumerate(zip(on_gpu[1], expected, strict=True)):
        assert ours == pytest.approx(exact, rel=0.01 if step < 4 else 0.04), step


def test_the_plain_model_learns_with_its_twin(on_gpu):
    trainer, _ = on_gpu
    start = Trainer(RECIPE, torch.device("cpu"), SMALL).model.state_dict()
    moved = [name for name, tensor in trainer.model.state_dict().items() if not torch.equal(tensor.cpu(), start[name])]
    assert len(moved) == len(start)


def test_a_stopped_training_goes_on(on_gpu):
    """The recorded step of the second trainer reads its own rates and weights."""
    first = Trainer(RECIPE, torch.device("cuda"), SMALL)
    losses(first, range(6))
    second = Trainer(RECIPE, torch.device("cuda"), SMALL)
    second.resume(first.state())
    for ours, whole in zip(losses(second, range(6, 12)), on_gpu[1][6:], strict=True):
        assert ours == pytest.approx(whole, rel=0.02)


def test_pictures_are_the_same_to_the_byte():
    """But for the global tiles, which are shrunk in floating point: there, one step of 255."""
    batch = Batches(processor(), LAYOUT, 0, 0, 1)[0]
    moved = {name: tensor.cuda() for name, tensor in batch.items()}
    assert torch.equal(cell_targets(moved).cpu(), cell_targets(batch))
    off_by = as_bytes(Painter(torch.device("cuda")).tiles(moved)) - as_bytes(Painter(torch.device("cpu")).tiles(batch))
    is_whole = torch.tensor([False] * 4 + [False, False, True] * 2 + [False] * 4 + [True])
    assert off_by[~is_whole].abs().max() == 0 and off_by[is_whole].abs().max() <= 1


def as_bytes(tiles: torch.Tensor) -> torch.Tensor:
    """The pixels before they were divided, which a GPU does not round as a CPU does."""
    pixels = (tiles.cpu() + 1) * 127.5
    torch.testing.assert_close(pixels, pixels.round(), atol=1e-4, rtol=0)
    return pixels.round()
