from collections import Counter

import pytest

from llama4_explained import UserError
from llama4_explained.tiny.languages import ALL, BY_CODE, CODES
from llama4_explained.tiny.languages.language import COLORS, SHAPES, Thing
from llama4_explained.tiny.scenes import SEEN, UNSEEN, Draw, make_scene
from llama4_explained.tiny.tasks import PICTURE_TASKS, ask, look_up, read, translate

ENGLISH, GERMAN = BY_CODE["en"], BY_CODE["de"]
EVERYTHING = (*SEEN, *UNSEEN)


def questions(task, num_scenes=400, language=ENGLISH, things=SEEN):
    """Scenes and what was asked of them, where the task can be asked."""
    for seed in range(num_scenes):
        scene = make_scene(seed, things=things)
        turn = ask(task, scene, language, Draw(10**6 + seed), things)
        if turn is not None:
            yield scene, turn


def named(text, names):
    return [name for name in names if name in text.lower()]


def test_every_language_is_there_once():
    assert tuple(sorted(language.code for language in ALL)) == CODES
    assert all(set(language.names) == set(CODES) for language in ALL)


def test_captions_name_everything():
    for scene, turn in questions("caption"):
        assert turn.question == "What is in the picture?"
        assert turn.answer == ENGLISH.caption(scene.groups())
        assert len(named(turn.answer, COLORS)) == len({thing.color for thing in scene.things})


@pytest.mark.parametrize(
    ("task", "names", "part"), [("count_shape", SHAPES, "shape"), ("count_color", COLORS, "color")]
)
def test_counts(task, names, part):
    words, answers = ("None.", "One.", "Two.", "Three.", "Four."), Counter()
    for scene, turn in questions(task):
        (asked,) = named(turn.question, names)
        answers[turn.answer] += 1
        assert turn.answer == words[sum(getattr(thing, part) == asked for thing in scene.things)]
    assert answers.keys() >= {"None.", "One.", "Two.", "Three."}
    for scene, turn in questions("count"):
        assert turn.answer == words[len(scene.items)]


@pytest.mark.parametrize(
    ("task", "asked_names", "asked", "answered"),
    [("color", SHAPES, "shape", "color"), ("shape", COLORS, "color", "shape")],
)
def test_one_of_a_kind(task, asked_names, asked, answered):
    total = 0
    for scene, turn in questions(task):
        (name,) = named(turn.question.removeprefix("What colour").removeprefix("What shape"), asked_names)
        (thing,) = [thing for thing in scene.things if getattr(thing, asked) == name]
        assert getattr(thing, answered) in turn.answer.lower()
        total += 1
    assert total > 300
    twice = make_scene(0, num_objects=2, things=(Thing("star", "red"),))
    assert ask(task, twice, ENGLISH, Draw(0)) is None


@pytest.mark.parametrize("language", ALL, ids=lambda language: language.code)
def test_turns_tell_which_single_objects_they_name(language):
    said = {
        "color": lambda thing: language.ask_color(thing.shape),
        "shape": lambda thing: language.ask_shape(thing.color),
        "relation": language.ask_relation,
    }
    for task in PICTURE_TASKS:
        for scene, turn in questions(task, 50, language):
            if task not in said:
                assert turn.named == ()
            else:
                assert turn.question == said[task](*turn.named)
                assert all(scene.things.count(thing) == 1 for thing in turn.named)


def test_existence_is_true_half_of_the_time_and_hard_to_guess():
    answers, alike = Counter(), 0
    for scene, turn in questions("existence", 2000):
        (thing,) = [thing for thing in SEEN if f"{thing.color} {thing.shape}" in turn.question]
        answers[turn.answer] += 1
        assert turn.answer == ("Yes." if thing in scene.things else "No.")
        alike += turn.answer == "No." and bool(scene.count(thing.shape) or scene.count(color=thing.color))
    assert abs(answers["Yes."] - 1000) < 120 and alike > 400


@pytest.mark.parametrize("task", PICTURE_TASKS)
def test_what_is_barred_is_not_asked_for(task):
    """Without that, it is asked for."""

    def asked(barred):
        for seed in range(400):
            scene = make_scene(seed)
            kinds = frozenset(SHAPES[:2] + COLORS[:2])
            if (turn := ask(task, scene, ENGLISH, Draw(seed), barred=kinds if barred else frozenset())) is not None:
                words = turn.question.lower().removeprefix("what colour").removeprefix("what shape")
                yield any(kind in words for kind in kinds), turn.answer

    free, left = list(asked(barred=False)), list(asked(barred=True))
    assert not any(found for found, _ in left) and len(left) > 50
    assert (sum(found for found, _ in free) > 50) == (task not in ("count", "caption"))
    if task == "existence":
        assert abs(sum(answer == "Yes." for _, answer in left) / len(left) - 0.5) < 0.1


def test_relations():
    total = Counter()
    for scene, turn in questions("relation", 4000):
        first, second = turn.question.removesuffix("?").split(" relative to the ")
        thing, other = (Thing(*reversed(text.split()[-2:])) for text in (first, second))
        assert turn.answer == ENGLISH.relation(str(scene.direction(thing, other)))
        total[turn.answer] += 1
    assert len(total) == 4 and min(total.values()) > 300


def test_what_must_not_be_seen_is_not_asked_of_pictures_either():
    def mentions(turn):
        text = f"{turn.question} {turn.answer}".lower()
        return any(f"{thing.color} {thing.shape}" in text for thing in UNSEEN)

    turns = [turn for task in PICTURE_TASKS for _, turn in questions(task)]
    assert not any(map(mentions, turns))
    texts = [make(draw) for seed in range(400) for make, draw in ((translated, Draw(seed)), (reading, Draw(seed)))]
    assert sum(map(mentions, texts)) > 150
    allowed = [turn for task in PICTURE_TASKS for _, turn in questions(task, things=EVERYTHING)]
    assert sum(map(mentions, allowed)) > 100


def translated(draw):
    return translate(ENGLISH, GERMAN, draw)


def reading(draw):
    return read(ENGLISH, draw)


def test_reading():
    """The question can be answered from the description before it."""
    colors, words = Counter(), ("None.", "One.", "Two.", "Three.", "Four.")
    for seed in range(600):
        turn = read(ENGLISH, Draw(seed))
        described, question = turn.question.split("\n")
        assert turn.task == "reading" and described.endswith(".")
        if question.startswith("Is there a"):
            named_thing = question.removeprefix("Is there a").removeprefix("n").removesuffix("?").strip()
            there = any(form in described.lower() for form in (named_thing, f"{named_thing}s", f"{named_thing}es"))
            assert turn.answer == ("Yes." if there else "No.")
        elif question.startswith("What colour"):
            (shape,) = named(question, SHAPES)
            assert f"{turn.answer.lower().removesuffix('.')} {shape}" in described.lower()
            colors[turn.answer] += 1
        elif question.startswith("How many"):
            assert turn.answer in words
    assert len(colors) == len(COLORS)


def test_translations():
    turn = translate(ENGLISH, GERMAN, Draw(0))
    assert turn.question == "Translate into German: Two green squares, a blue heart and a purple triangle."
    assert turn.answer == "Zwei grüne Quadrate, ein blaues Herz und ein lila Dreieck."
    lengths = Counter(translate(GERMAN, ENGLISH, Draw(seed)).answer.count(" and ") for seed in range(200))
    assert set(lengths) == {0, 1}


def test_looking_up():
    for seed in range(200):
        (turn,) = look_up(ENGLISH, Draw(seed), 1 + seed % 40)
        *notes, question = turn.question.split("\n")
        numbers = as_numbers(notes)
        assert len(numbers) == len(notes) == 1 + seed % 40
        assert turn.answer == numbers[key_of(question)] + "."


def test_several_questions_about_the_same_notes():
    first, *others = look_up(ENGLISH, Draw(0), 6, num_questions=4)
    *notes, question = first.question.split("\n")
    asked = [key_of(question), *(key_of(turn.question) for turn in others)]
    assert len(set(asked)) == 4
    assert [turn.answer for turn in (first, *others)] == [as_numbers(notes)[key] + "." for key in asked]
    assert len(look_up(ENGLISH, Draw(0), 2, num_questions=4)) == 2


@pytest.mark.parametrize("number", [0, 53])
def test_as_many_notes_as_there_are_keys(number):
    assert len(look_up(ENGLISH, Draw(0), 52)) == 1
    with pytest.raises(UserError, match="1 to 52 notes"):
        look_up(ENGLISH, Draw(0), number)


def as_numbers(notes):
    return dict(note.removeprefix("The number of ").removesuffix(".").split(" is ") for note in notes)


def key_of(question):
    return question.removeprefix("What is the number of ").removesuffix("?")


@pytest.mark.parametrize("language", ALL, ids=[language.code for language in ALL])
def test_every_task_in_every_language(language):
    for task in PICTURE_TASKS:
        turns = [turn for _, turn in questions(task, 60, language)]
        assert turns and all(turn.language == language.code and turn.answer for turn in turns)
        assert len({turn.answer for turn in turns}) > 1
