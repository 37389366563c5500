"""What training sees is what the processor makes of the same pictures and sentences."""

import pytest
import torch

from llama4_explained import TINY
from llama4_explained.tiny.batches import NO_OBJECT, Batches, Layout, Painter, cell_targets, views
from llama4_explained.tiny.dialogues import DialogueEncoder, picture_turns, text_turns
from llama4_explained.tiny.languages.language import COLORS, SHAPES, Thing
from llama4_explained.tiny.pictures import as_numbers, draw_scene
from llama4_explained.tiny.scenes import CANVASES, Draw, Item, Scene, make_scene
from llama4_explained.tiny.tasks import Turn
from tiny_world import processor, tokenizer

LAYOUT = Layout(pictures=(3, 2, 2, 2), texts=3)


def encoder(length: int = 192) -> DialogueEncoder:
    return DialogueEncoder(processor().chat_format(), length)


def as_messages(turns: list[Turn], scene: Scene | None) -> list[dict]:
    messages = []
    for turn in turns:
        image = [{"type": "image", "image": draw_scene(scene)}] if scene and not messages else []
        messages.append({"role": "user", "content": [*image, {"type": "text", "text": turn.question}]})
        messages.append({"role": "assistant", "content": turn.answer})
    return messages


@pytest.mark.parametrize("canvas", [None, *CANVASES])
def test_conversations_are_encoded_as_the_processor_does(canvas):
    for seed in range(5):
        scene = None if canvas is None else make_scene(seed, canvas)
        turns = text_turns(Draw(seed), 8) if scene is None else picture_turns(scene, Draw(seed), 12)
        ids, labels, fitting = encoder().encode(turns, scene)
        expected = processor()(as_messages(turns[:fitting], scene), add_generation_prompt=False)["input_ids"][
            0
        ].tolist()
        assert len(ids) == len(labels) == 192 and fitting > 0
        assert ids[: len(expected)] == expected and set(ids[len(expected) :]) <= {TINY.text.pad_id}
        answers = [label for label in labels if label >= 0]
        assert tokenizer().decode(answers) == "".join(f"{turn.answer}<|eot|>" for turn in turns[:fitting])
        assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))


def test_what_does_not_fit_is_left_out_whole():
    scene = make_scene(1)
    turns = picture_turns(scene, Draw(1), 12)
    ids, _, fitting = encoder(64).encode(turns, scene)
    assert len(ids) == 64 and 0 < fitting < 12
    assert encoder(30).encode(turns, scene)[2] == 0


def test_a_batch_is_the_same_conversations_one_by_one():
    """Pixels differ by one step of 255 at most, in the global tile, and by bfloat16's rounding."""
    batches = Batches(processor(), LAYOUT, seed=3, first=10, last=12)
    batch = batches[1]
    assert batch["input_ids"].shape == batch["labels"].shape == (LAYOUT.size, 192)
    tiles, images, row = Painter(torch.device("cpu")).tiles(batch), [], 0
    for (scene, turns), ids in zip(batches.conversations(1), batch["input_ids"], strict=True):
        fitting = encoder().encode(turns, scene)[2]
        expected = processor()(as_messages(turns[:fitting], scene), add_generation_prompt=False)
        assert torch.equal(ids[: expected["input_ids"].shape[1]], expected["input_ids"][0])
        if scene is not None:
            images.append(expected["pixel_values"].float())
        row += 1
    assert row == LAYOUT.size
    torch.testing.assert_close(tiles, torch.cat(images), atol=2 / 255 + 1 / 256, rtol=0)


def test_batches_are_functions_of_their_number():
    def ids(seed, number):
        return Batches(processor(), LAYOUT, seed, 0, 10)[number]["input_ids"]

    assert torch.equal(ids(0, 4), ids(0, 4))
    assert torch.equal(ids(0, 4), Batches(processor(), LAYOUT, 0, 4, 10)[0]["input_ids"])
    assert not torch.equal(ids(0, 4), ids(0, 5)) and not torch.equal(ids(0, 4), ids(1, 4))


def test_cells_of_one_tile():
    """A large heart in the second row and third column of cells, a small star in the last."""
    heart = Item(Thing("heart", "green"), 70, 42, 18, 0, (0, 0, 0))
    star = Item(Thing("star", "red"), 98, 98, 10, 0, (0, 0, 0))
    batch = numbers(Scene(1, 1, (heart, star), ((0, 0, 0), (0, 0, 0)), runs_down=False))
    cells, places = cell_targets(batch)[0].view(4, 4, 5).split([3, 2], dim=-1)
    assert cells[1, 2].tolist() == [SHAPES.index("heart"), COLORS.index("green"), 1]
    assert cells[3, 3].tolist() == [SHAPES.index("star"), COLORS.index("red"), 0]
    assert cells[0, 0].tolist() == cells[3, 0].tolist() == [NO_OBJECT] * 3
    assert places[0, 0].tolist() == [0, 0] and places[2, 3].tolist() == [2, 3]


def test_cells_of_several_tiles():
    """The same heart is in the second tile of a picture of two, and further left in the global one."""
    heart = Item(Thing("heart", "green"), 112 + 70, 42, 18, 0, (0, 0, 0))
    batch = numbers(Scene(1, 2, (heart,), ((0, 0, 0), (0, 0, 0)), runs_down=False))
    first, second, whole = cell_targets(batch).view(3, 4, 4, 5)[..., 0]
    assert (first == NO_OBJECT).all()
    assert second[1, 2] == SHAPES.index("heart")
    assert whole[1, 3] == SHAPES.index("heart") and whole[1, 1] == NO_OBJECT
    assert views(1, 2) == [(0, 0, 112, 112), (0, 112, 112, 112), (0, 0, 112, 224)]


def test_cells_of_several_pictures_follow_their_tiles():
    """All tiles of the first picture come before those of the second, as `Painter` has them."""
    scenes = [make_scene(seed, (1, 2)) for seed in range(4)]
    one_by_one = torch.cat([cell_targets(numbers(scene)) for scene in scenes])
    assert torch.equal(cell_targets(numbers(*scenes)), one_by_one)


def numbers(*scenes: Scene) -> dict[str, torch.Tensor]:
    batch = {}
    for canvas in CANVASES:
        items, backgrounds = as_numbers([scene for scene in scenes if canvas == (scene.rows, scene.columns)])
        batch |= {f"items {canvas}": items, f"backgrounds {canvas}": backgrounds}
    return batch
