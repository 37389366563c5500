"""What training sees is what the processor makes of the same pictures and sentences."""

import pytest
import torch

from llama4_explained import TINY, UserError
from llama4_explained.tiny.batches import (
    NO_OBJECT,
    NOWHERE,
    Batches,
    Layout,
    Painter,
    answer_weights,
    cell_targets,
    named_targets,
    scenes_as_numbers,
    views,
)
from llama4_explained.tiny.dialogues import DialogueEncoder, picture_turns, text_turns
from llama4_explained.tiny.languages import ALL
from llama4_explained.tiny.languages.language import COLORS, SHAPES, Thing
from llama4_explained.tiny.pictures import draw_scene
from llama4_explained.tiny.scenes import CANVASES, UNSEEN, Draw, Item, Scene, make_scene
from llama4_explained.tiny.tasks import ALWAYS_POSSIBLE, Turn, look_up
from tiny_world import processor, tokenizer

# Of the first four shapes, each has the colour that would make the next one an unseen pair.
CROSSED = tuple(Thing(UNSEEN[i].shape, UNSEEN[(i + 1) % 4].color) for i in range(4))
LAYOUT = Layout(pictures=(3, 2, 2, 2), texts=3)


def encoder(length: int = LAYOUT.length) -> DialogueEncoder:
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
        expected = processor()(as_messages(fitting, scene), add_generation_prompt=False)["input_ids"][0].tolist()
        assert len(ids) == len(labels) == LAYOUT.length and fitting
        assert ids[: len(expected)] == expected and set(ids[len(expected) :]) <= {TINY.text.pad_id}
        answers = [label for label in labels if label >= 0]
        assert tokenizer().decode(answers) == "".join(f"{turn.answer}<|eot|>" for turn in fitting)
        assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))


def test_what_does_not_fit_is_left_out_whole():
    scene = make_scene(1)
    turns = picture_turns(scene, Draw(1), 12)
    ids, _, fitting = encoder(64).encode(turns, scene)
    assert len(ids) == 64 and 0 < len(fitting) < 12
    with pytest.raises(ValueError, match="none of 12 turns fits into 30 tokens"):
        encoder(30).encode(turns, scene)


def test_a_picture_waits_for_a_turn_that_fits_and_a_text_does_not():
    scene, long = make_scene(1), Turn("caption", "en", "What? " * 40, "A red star.")
    short = Turn("color", "en", "What colour is the star?", "Red.")
    ids, labels, fitting = encoder(64).encode([long, short], scene)
    assert fitting == [short] and ids.count(TINY.patch_id) == 16
    assert tokenizer().decode([label for label in labels if label >= 0]) == "Red.<|eot|>"
    with pytest.raises(ValueError, match="none of 2 turns"):  # the second may ask about the first
        encoder(64).encode([long, short])


def test_every_answer_counts_by_the_root_of_its_length():
    labels = torch.tensor([[-100, 5, 6, 7, 8, -100, -100, 9], [-100, -100, 3, -100, 4, 4, -100, -100]])
    root = 0.5**0.5
    expected = [[0, 0.5, 0.5, 0.5, 0.5, 0, 0, 1], [0, 0, 1, 0, root, root, 0, 0]]
    torch.testing.assert_close(answer_weights(labels), torch.tensor(expected))


def test_a_batch_is_the_same_conversations_one_by_one():
    """Pixels differ by one step of 255 at most, in the global tile, and by bfloat16's rounding."""
    batches = Batches(processor(), LAYOUT, seed=3, first=10, last=12)
    batch = batches[1]
    assert batch["input_ids"].shape == batch["labels"].shape == (LAYOUT.size, LAYOUT.length)
    tiles, images, row = Painter(torch.device("cpu")).tiles(batch), [], 0
    for (scene, turns), ids in zip(batches.conversations(1), batch["input_ids"], strict=True):
        fitting = encoder().encode(turns, scene)[2]
        expected = processor()(as_messages(fitting, scene), add_generation_prompt=False)
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


def test_named_objects_are_asked_for_where_their_answers_begin():
    """A heart up on the left, a star down on the right; a count names no object, and a text has no picture."""
    heart = Item(Thing("heart", "green"), 28, 14, 12, 0, (0, 0, 0))
    star = Item(Thing("star", "red"), 84, 98, 10, 0, (0, 0, 0))
    scene = Scene(1, 1, (heart, star), ((0, 0, 0), (0, 0, 0)), runs_down=False)
    turns = [
        Turn("relation", "en", "Where is the star?", "Below.", (star.thing, heart.thing)),
        Turn("count", "en", "How many objects are there?", "Two."),
        Turn("color", "en", "What colour is the heart?", "Green.", (heart.thing,)),
    ]
    text = [Turn("reading", "en", "A red star. How many?", "One.")]
    rows = [encoder().encode(turns, scene), encoder().encode(text)]
    ids, labels = (torch.tensor([row[i] for row in rows]) for i in range(2))
    targets = named_targets(labels, [(scene, turns), (None, text)])
    assert targets.shape == (2, LAYOUT.length, 2, 2)
    asked = (targets != NOWHERE).flatten(2).any(-1).nonzero().tolist()
    assert [row for row, _ in asked] == [0, 0]
    for (row, token), answer in zip(asked, ("Below.", "Green."), strict=True):
        assert labels[row, token] == -100 and labels[row, token + 1] >= 0
        assert tokenizer().decode(ids[row, token + 1 :].tolist()).startswith(answer)
    relation, color = (targets[row, token].tolist() for row, token in asked)
    assert relation == [[0.75, 0.5], [-0.75, -0.5]] and color == [[-0.75, -0.5], [NOWHERE, NOWHERE]]


def test_a_batch_names_objects_where_its_turns_do():
    batches = Batches(processor(), LAYOUT, seed=3, first=10, last=12)
    number = 0
    for scene, turns in batches.conversations(0):
        number += sum(len(turn.named) for turn in encoder().encode(turns, scene)[2])
    is_named = batches[0]["named"] != NOWHERE
    assert number == int(is_named.sum()) // 2 > 5 and batches[0]["named"].shape == (LAYOUT.size, LAYOUT.length, 2, 2)


def test_pictures_to_learn_seeing_from_are_full():
    layout = Layout(seeing=7, pictures=(9, 1, 1, 1), texts=1)

    def counts(first, index):
        made = Batches(processor(), layout, 0, first, 20).conversations(index)
        return {len(scene.items) for scene, _ in made if scene is not None}

    assert counts(0, 6) == counts(4, 2) == {4}
    assert counts(0, 7) == counts(4, 3) == {1, 2, 3, 4}


def test_later_batches_ask_for_other_things():
    layout = Layout(pictures=(20, 0, 0, 0), texts=0, tasks={"count": 1}, later_tasks={"count_shape": 1}, later=7)

    def tasks(first, index):
        made = Batches(processor(), layout, 0, first, 20).conversations(index)
        return {turn.task for _, turns in made for turn in turns}

    assert tasks(0, 6) == tasks(4, 2) == {"count"}
    assert tasks(0, 7) == tasks(4, 3) == {"count_shape"}


def test_something_can_be_asked_of_every_picture():
    """Of four red stars, there is no telling the colour of "the" star."""
    scene = make_scene(0, num_objects=4, things=(Thing("star", "red"),))
    barred = Scene(1, 1, tuple(Item(thing, 0, 0, 10, 0, (0, 0, 0)) for thing in CROSSED), ((0, 0, 0),) * 2, False)
    assert barred.kinds == barred.unseen_partners()
    for task in ALWAYS_POSSIBLE:
        assert len(picture_turns(scene, Draw(0), 3, {task: 1})) == 3
        assert len(picture_turns(barred, Draw(0), 3, {task: 1}, barred=barred.unseen_partners())) == 3
    with pytest.raises(UserError, match="tasks must have one of count, count_shape"):
        Layout(tasks={"color": 2, "relation": 1})
    with pytest.raises(UserError, match="tasks must have one of count, count_shape"):
        Layout(later_tasks={"shape": 2, "count": 0})


def test_training_leaves_unseen_pairs_open():
    """No question names what would make an unseen pair with what is there; half of the scenes allow every question."""
    layout = Layout(pictures=(60, 10, 10, 10), texts=0, languages=("en",))
    made = [each for number in range(2) for each in Batches(processor(), layout, 0, 5000, 5002).conversations(number)]
    barred, captions = 0, 0
    for scene, turns in made:
        assert scene is not None
        is_barred = not scene.kinds.isdisjoint(scene.unseen_partners())
        barred += is_barred
        captions += is_barred and any(turn.task == "caption" for turn in turns)
        for turn in turns:
            words = turn.question.lower().removeprefix("what colour").removeprefix("what shape")
            assert not any(kind in words for kind in scene.unseen_partners())
    assert captions > 5 and 0.15 < barred / len(made) < 0.35


@pytest.mark.parametrize("language", ALL, ids=lambda language: language.code)
def test_every_turn_fits_beside_the_largest_picture(language):
    """Otherwise a batch could have fewer image tokens than others, and no recorded step would take it."""
    longest = 0
    for seed in range(60):
        scene = make_scene(seed, (2, 2), num_objects=4)
        for turn in picture_turns(scene, Draw(seed), 6, languages=[language]):
            ids = DialogueEncoder(processor().chat_format(), 400).encode([turn], scene)[0]
            longest = max(longest, len(ids) - ids.count(TINY.text.pad_id))
    assert 100 < longest <= Layout().length


@pytest.mark.parametrize("language", ALL, ids=lambda language: language.code)
def test_every_text_fits(language):
    layout = Layout()
    turns = look_up(language, Draw(0), layout.most_notes, num_questions=8)
    assert encoder(layout.length).encode(turns)[2]


def test_cells_of_one_tile():
    """A large heart in the second row and third column of cells, a small star in the last."""
    heart = Item(Thing("heart", "green"), 70, 42, 18, 0, (0, 0, 0))
    star = Item(Thing("star", "red"), 98, 98, 10, 0, (0, 0, 0))
    batch = numbers(Scene(1, 1, (heart, star), ((0, 0, 0), (0, 0, 0)), runs_down=False))
    cells, places = cell_targets(batch)[0].view(4, 4, 5).split([3, 2], dim=-1)
    assert cells[1, 2].tolist() == [SHAPES.index("heart"), COLORS.index("green"), 1]
    assert cells[3, 3].tolist() == [SHAPES.index("star"), COLORS.index("red"), 0]
    assert cells[0, 0].tolist() == cells[3, 0].tolist() == [NO_OBJECT] * 3
    assert places[1, 2].tolist() == [42, 70] and places[3, 3].tolist() == [98, 98]
    assert places[0, 0].tolist() == [NOWHERE, NOWHERE]


def test_cells_of_several_tiles():
    """The same heart is in the second tile of a picture of two, and further left in the global one."""
    heart = Item(Thing("heart", "green"), 112 + 70, 42, 18, 0, (0, 0, 0))
    batch = numbers(Scene(1, 2, (heart,), ((0, 0, 0), (0, 0, 0)), runs_down=False))
    cells = cell_targets(batch).view(3, 4, 4, 5)
    first, second, whole = cells[..., 0]
    assert (first == NO_OBJECT).all()
    assert second[1, 2] == SHAPES.index("heart")
    assert whole[1, 3] == SHAPES.index("heart") and whole[1, 1] == NO_OBJECT
    assert cells[1, 1, 2, 4] == 70 and cells[2, 1, 3, 4] == (112 + 70) // 2
    assert views(1, 2) == [(0, 0, 112, 112), (0, 112, 112, 112), (0, 0, 112, 224)]


def test_cells_of_several_pictures_follow_their_tiles():
    """All tiles of the first picture come before those of the second, as `Painter` has them."""
    scenes = [make_scene(seed, (1, 2)) for seed in range(4)]
    one_by_one = torch.cat([cell_targets(numbers(scene)) for scene in scenes])
    assert torch.equal(cell_targets(numbers(*scenes)), one_by_one)


def numbers(*scenes: Scene) -> dict[str, torch.Tensor]:
    return scenes_as_numbers(scenes)
