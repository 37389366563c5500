"""Marks are what greedy generation would write, on the processor's own inputs; questions are none of training's."""

import math
from dataclasses import replace

import pytest
import torch

from llama4_explained import TINY, Llama4
from llama4_explained.loss import next_token_loss
from llama4_explained.tiny import batches, exam
from llama4_explained.tiny.batches import Batches, Layout, Painter, scenes_as_numbers
from llama4_explained.tiny.dialogues import DialogueEncoder
from llama4_explained.tiny.exam import (
    Answer,
    Examiner,
    Question,
    lookup_questions,
    picture_questions,
    reading_questions,
    share_right,
    translation_questions,
)
from llama4_explained.tiny.languages import ALL, BY_CODE
from llama4_explained.tiny.pictures import draw_scene
from llama4_explained.tiny.scenes import CANVASES, SEEN, UNSEEN
from llama4_explained.tiny.tasks import PICTURE_TASKS
from tiny_world import processor

SMALL = replace(
    TINY,
    text=replace(TINY.text, num_layers=4, num_experts=2),
    vision=replace(TINY.vision, num_layers=1),
)
LANGUAGES = [BY_CODE[code] for code in ("en", "th", "hi")]


def some_questions(seed: int) -> list[Question]:
    """Pictures of one tile and of several, and texts, one of which crosses the edge of a chunk: no two as long."""
    several = [
        question
        for canvas, task in (((1, 2), "count"), ((2, 1), "color"), ((2, 2), "caption"))
        for question in picture_questions(1, canvas, languages=LANGUAGES[:1], tasks=[task], seed=seed)
    ]
    one_tile = picture_questions(1, languages=LANGUAGES, tasks=["caption", "relation"], seed=seed)
    texts = lookup_questions(1, 9, LANGUAGES[:2], seed) + reading_questions(1, LANGUAGES[:1], seed)
    return one_tile + several + texts


@pytest.fixture(scope="module")
def learnt() -> list[Question]:
    return some_questions(1)


@pytest.fixture(scope="module")
def model(learnt) -> Llama4:
    """Knows the answers to some questions by heart, and to others only how they begin."""
    torch.manual_seed(0)
    model = Llama4(SMALL)
    model.init_weights(seed=0)
    encoder = DialogueEncoder(processor().chat_format(), 160)
    rows = [encoder.encode([question.turn], question.scene) for question in learnt]
    input_ids, labels = (torch.tensor([row[i] for row in rows]) for i in range(2))
    tiles = Painter(torch.device("cpu")).tiles(scenes_as_numbers([q.scene for q in learnt if q.scene is not None]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(12):
        optimizer.zero_grad()
        next_token_loss(model(input_ids, tiles), labels).backward()
        optimizer.step()
    return model.eval()


def inputs_of(question: Question) -> dict[str, torch.Tensor]:
    image = [] if question.scene is None else [{"type": "image", "image": draw_scene(question.scene)}]
    return processor()([{"role": "user", "content": [*image, {"type": "text", "text": question.turn.question}]}])


def test_an_answer_is_right_if_generation_writes_it(model, learnt):
    """Token by token: what is likeliest at each place, up to the first that is wrong, is what generation writes."""
    right, begun = [], []
    for answer in Examiner(processor(), batch_size=4).answers(
        model, learnt + some_questions(1001) + some_questions(2001)
    ):
        inputs = inputs_of(answer.question)
        assert answer.position == inputs["input_ids"].shape[1]
        assert processor().decode(answer.target) == f"{answer.question.turn.answer}<|eot|>"
        written = model.generate(**inputs, max_new_tokens=len(answer.target))[0, answer.position :]
        likeliest, target = answer.logits.argmax(-1).tolist(), answer.target.tolist()
        agreeing = next((i for i, token in enumerate(target) if likeliest[i] != token), len(target))
        assert written.tolist()[: agreeing + 1] == likeliest[: agreeing + 1]
        assert answer.is_right == (written.tolist() == target) == (agreeing == len(target))
        right.append(answer.is_right)
        begun.append(0 < agreeing < len(target))
    assert 4 < sum(right) < len(right) - 4 and sum(begun) > 1, "some of each kind, or this test shows nothing"


def test_neighbours_in_a_batch_change_nothing(model, learnt):
    """What is longer or shorter beside a question moves its logits by rounding at most."""
    questions = learnt + some_questions(1001)
    examiners = (Examiner(processor(), batch_size) for batch_size in (9, 1))
    together, alone = ({a.question: a for a in examiner.answers(model, questions)} for examiner in examiners)
    assert together.keys() == alone.keys() == set(questions)
    for question, answer in together.items():
        torch.testing.assert_close(answer.logits, alone[question].logits, atol=1e-4, rtol=0)
        assert torch.equal(answer.target, alone[question].target)


def test_answers_come_in_the_same_order_again(model):
    questions = lookup_questions(2, 3, LANGUAGES) + picture_questions(1, languages=LANGUAGES, tasks=["color"])
    first, second = ([a.question for a in Examiner(processor()).answers(model, questions)] for _ in range(2))
    assert first == second and sorted(map(questions.index, first)) == list(range(len(questions)))


def test_a_kept_answer_keeps_no_batch(model):
    for answer in Examiner(processor()).answers(model, lookup_questions(1, 9, LANGUAGES)):
        assert answer.logits.untyped_storage().nbytes() == answer.logits.nbytes


def planted(probabilities: list[list[float]], target: list[int]) -> Answer:
    return Answer(lookup_questions(1, 1)[0], 7, torch.tensor(target), torch.tensor(probabilities).log())


@pytest.mark.parametrize(
    ("target", "is_right"), [([0, 2, 1], True), ([1, 2, 1], False), ([0, 0, 1], False), ([0, 2, 2], False)]
)
def test_one_wrong_token_is_enough(target, is_right):
    answer = planted([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6], [0.2, 0.6, 0.2]], target)
    assert answer.is_right is is_right


def test_nats_are_the_sum_over_the_right_tokens():
    answer = planted([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]], [1, 2])
    assert answer.nats == pytest.approx(math.log(4) + math.log(8))


def test_the_share_of_right_answers():
    right, wrong = planted([[0.9, 0.1]], [0]), planted([[0.9, 0.1]], [1])
    assert share_right(iter([right, wrong, right, right])) == 0.75


def test_every_kind_of_question_is_asked_as_often_as_it_says():
    pictures = picture_questions(2, (2, 1), languages=LANGUAGES)
    kinds = [(question.turn.language, question.turn.task) for question in pictures]
    assert kinds == [(code, task) for code in ("en", "th", "hi") for task in PICTURE_TASKS for _ in range(2)]
    scenes = [question.scene for question in pictures if question.scene is not None]
    assert {(scene.rows, scene.columns) for scene in scenes} == {(2, 1)}
    assert len(set(scenes)) == len(pictures), "a picture of its own for each"
    for ask in (translation_questions, reading_questions, lambda number: lookup_questions(number, 4)):
        codes = [question.turn.language for question in ask(2)]
        assert codes == [language.code for language in ALL for _ in range(2)]
    assert all(len(question.turn.question.splitlines()) == 5 for question in lookup_questions(1, 4))


@pytest.mark.parametrize("things", [SEEN, UNSEEN])
def test_pictures_show_nothing_but_what_they_may(things):
    scenes = [question.scene for question in picture_questions(1, things=things)]
    shown = {thing for scene in scenes if scene is not None for thing in scene.things}
    assert shown <= set(things) and len(shown) > 5


def test_the_longest_lookup_fits():
    rows = DialogueEncoder(processor().chat_format(), exam.LONGEST)
    assert max(sum(id != TINY.text.pad_id for id in rows.encode([q.turn])[0]) for q in lookup_questions(2, 52)) < 700


def noting(call, seeds):
    def noted(seed, *rest, **more):
        seeds.append(seed)
        return call(seed, *rest, **more)

    return noted


def test_training_never_comes_to_the_exams_seeds(monkeypatch):
    """The chance of each question's picture and words, and that of the last batch of a training of absurd length."""
    seeds = {"exam": [], "training": []}
    for module, name in ((exam, "exam"), (batches, "training")):
        for function in ("Draw", "make_scene"):
            monkeypatch.setattr(module, function, noting(getattr(module, function), seeds[name]))
    for canvas in CANVASES:
        picture_questions(1, canvas, languages=LANGUAGES)
    translation_questions(1)
    reading_questions(1)
    lookup_questions(1, 4)
    Batches(processor(), Layout(), seed=10**6, first=10**7, last=10**7 + 1).conversations(0)
    assert len(seeds["exam"]) > 100 and len(seeds["training"]) > 100
    assert max(seeds["training"]) < exam.FIRST_SEED <= min(seeds["exam"])
