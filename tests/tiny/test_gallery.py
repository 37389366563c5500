import pytest

from llama4_explained import UserError
from llama4_explained.tiny import exam
from llama4_explained.tiny.gallery import FIRST_SEED, LIMIT, questions_about, scene_to_show
from llama4_explained.tiny.languages import ALL, BY_CODE
from llama4_explained.tiny.scenes import CANVASES, make_scene


def test_four_scenes_in_a_row_have_all_sizes():
    scenes = [scene_to_show(number) for number in range(100)]
    assert [(scene.rows, scene.columns) for scene in scenes[:4]] == list(CANVASES)
    assert len({scene.items for scene in scenes}) == 100
    assert scene_to_show(7) == make_scene(FIRST_SEED + 7, (2, 2))


def test_scenes_are_neither_trainings_nor_the_exams():
    assert FIRST_SEED >= exam.FIRST_SEED + 2**59 and FIRST_SEED + LIMIT < 2**62


@pytest.mark.parametrize("number", [-1, LIMIT])
def test_no_such_scene(number):
    with pytest.raises(UserError, match=f"got {number}"):
        scene_to_show(number)


def test_questions_alternate_and_have_answers():
    scene = scene_to_show(295)
    turns = questions_about(scene, [BY_CODE["en"], BY_CODE["es"]])
    assert [(turn.task, turn.language) for turn in turns] == [
        ("caption", "en"), ("count_shape", "en"), ("caption", "es"), ("color", "es"),
    ]  # fmt: skip
    assert turns == questions_about(scene, [BY_CODE["en"], BY_CODE["es"]])
    assert turns[2].answer == BY_CODE["es"].caption(scene.groups())


def test_a_scene_of_equal_shapes_is_counted_where_no_colour_can_be_asked():
    scenes = map(scene_to_show, range(300))
    scene = next(scene for scene in scenes if len(scene.items) > len({thing.shape for thing in scene.things}) == 1)
    assert [turn.task for turn in questions_about(scene, ALL[:2])] == ["caption", "count_shape", "caption", "count"]
