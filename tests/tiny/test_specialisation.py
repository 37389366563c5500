import dataclasses
import json
from functools import cache

import pytest
import torch

from llama4_explained import TINY, Llama4, UserError
from llama4_explained.show.specialisation import draw_specialisation, save_specialisation
from llama4_explained.special_tokens import PATCH
from llama4_explained.tiny import specialisation as measures
from llama4_explained.tiny.choices import even_choice, expert_choices, token_labels
from llama4_explained.tiny.exam import Examiner, lookup_questions, picture_questions
from llama4_explained.tiny.interventions import mixtures, untrained_weights
from llama4_explained.tiny.languages import BY_CODE
from llama4_explained.tiny.word_kinds import KINDS, word_kinds
from oracle import random_tensor
from tiny_world import processor, tokenizer

NUM_EXPERTS = 4
SMALL = dataclasses.replace(
    TINY,
    text=dataclasses.replace(TINY.text, num_layers=2, num_experts=NUM_EXPERTS),
    vision=dataclasses.replace(TINY.vision, num_layers=1),
)
LANGUAGES = [BY_CODE["de"], BY_CODE["th"]]
QUESTIONS = [
    *picture_questions(2, languages=LANGUAGES, tasks=("color", "caption")),
    *lookup_questions(2, 4, languages=LANGUAGES),
]
TOKENS = random_tensor(64, 128)


@pytest.fixture(scope="module")
def model():
    model = Llama4(SMALL)
    model.init_weights(std=0.1, seed=0)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def examiner():
    return Examiner(processor(), batch_size=3)


# Who goes where


def inputs_for(model, question):
    seen = []
    hook = model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    list(Examiner(processor()).answers(model, [question]))
    hook.remove()
    return seen[0]


def test_choices_are_those_of_a_trace_without_its_padding(model, examiner):
    """Each question by itself, in a batch of one, gives what its part of a padded batch gave."""
    choices = expert_choices(model, examiner, QUESTIONS)
    questions = {question.turn: question for question in QUESTIONS}
    assert len(questions) == len(choices.turns) == len(QUESTIONS)
    for number, turn in enumerate(choices.turns):
        input_ids, tiles = inputs_for(model, questions[turn])
        trace = model.trace(input_ids, pixel_values=tiles, names=("*expert_index",))
        mine = choices.question == number
        assert torch.equal(choices.tokens[mine], input_ids[0])
        for layer, experts in zip(choices.layers, choices.experts, strict=True):
            assert torch.equal(experts[mine], trace[f"layers.{layer}.moe.expert_index"][:, 0])
    assert choices.experts.unique().tolist() == list(range(NUM_EXPERTS))


def test_untrained_routers_choose_for_the_same_tokens_and_change_nothing(model, examiner):
    before = expert_choices(model, examiner, QUESTIONS)
    seen: dict[int, list[torch.Tensor]] = {layer: [] for layer in mixtures(model)}
    hooks = [
        mixture.router.register_forward_pre_hook(lambda _, inputs, layer=layer: seen[layer].append(inputs[0]))
        for layer, mixture in mixtures(model).items()
    ]
    untrained = expert_choices(model, Examiner(processor(), batch_size=1), QUESTIONS, untrained_seed=5)
    for hook in hooks:
        hook.remove()
    for layer, weight in untrained_weights(model, seed=5).items():
        assert torch.equal(untrained.experts[layer], even_choice(torch.cat(seen[layer]) @ weight.T))
    again = expert_choices(model, examiner, QUESTIONS)
    assert torch.equal(again.experts, before.experts) and not torch.equal(untrained.experts, before.experts)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_an_even_choice_is_even_and_keeps_who_likes_an_expert_best():
    logits = random_tensor(4000, 8) * torch.arange(1, 9) + torch.arange(8) * 3.0  # most like the last expert best
    assert logits.argmax(-1).bincount()[-1] > 2000
    assert even_choice(logits).bincount(minlength=8) / 4000 == pytest.approx([1 / 8] * 8, abs=0.005)
    two = random_tensor(1000, 2) + torch.tensor([0.0, 2.0])
    chosen, margin = even_choice(two), two[:, 1] - two[:, 0]
    assert margin[chosen == 0].max() <= margin[chosen == 1].min()  # one number moved all
    assert chosen.bincount().tolist() == pytest.approx([500, 500], abs=5)


def test_labels(model, examiner):
    choices = expert_choices(model, examiner, QUESTIONS)
    labels = token_labels(choices, tokenizer())
    is_image = choices.tokens == tokenizer().token_id(PATCH)
    assert int(is_image.sum()) == 8 * 16  # eight questions with a picture of one tile
    modality, kind, language = labels.values()
    assert torch.equal(modality.label[modality.group], is_image.long()) and modality.which.all()
    assert torch.equal(kind.which, ~is_image) and torch.equal(language.which, ~is_image)
    kinds, languages = kind.label[kind.group].tolist(), language.label[language.group].tolist()
    texts = zip(choices.tokens[~is_image].tolist(), choices.question[~is_image].tolist(), strict=True)
    for (token, question), its_kind, its_language in zip(texts, kinds, languages, strict=True):
        code = choices.turns[question].language
        assert KINDS[its_kind] == word_kinds_of(code)[token]
        assert ["de", "th"][its_language] == code
    assert len(language.label) == len(QUESTIONS)  # shuffled as whole questions


@cache
def word_kinds_of(code):
    return word_kinds(tokenizer(), BY_CODE[code])


# What is lost


class RiggedExaminer(Examiner):
    """Questions of colour are right if expert 2 of layer 1 does its work, lookups if the shared expert of layer 0 does;
    all in Thai are right only if the first token goes where it always goes in layer 1."""

    def __init__(self, model: Llama4) -> None:
        super().__init__(processor())
        self.home = mixtures(model)[1].router(TOKENS)[0][0]

    def answers(self, model, questions):
        expert_index, score = mixtures(model)[1].router(TOKENS)
        works = {
            "color": bool((score[expert_index == 2] > 0).any()),
            "lookup": bool(mixtures(model)[0].shared_expert(TOKENS).any()),
            "caption": False,
        }
        for answer in super().answers(model, questions):
            turn = answer.question.turn
            is_right = works[turn.task] and (turn.language != "th" or torch.equal(expert_index[0], self.home))
            best, worst = answer.logits.argmax(-1), answer.logits.argmin(-1)
            yield dataclasses.replace(answer, target=best if is_right else worst)


def test_marks_by_task_and_language(model):
    found = measures.marks(model, RiggedExaminer(model), QUESTIONS)
    assert found.share == pytest.approx(2 / 3)
    assert {task: part.share for task, part in found.by("task").items()} == {"caption": 0, "color": 1, "lookup": 1}
    assert list(found.by("language")) == ["de", "th"]


def test_effects_by_hand(model):
    turns = [question.turn for question in QUESTIONS[:4]]
    before = measures.Marks(turns, torch.tensor([1.0, 1.0, 0.0, 1.0]))
    after = measures.Marks(turns, torch.tensor([0.0, 1.0, 0.5, 1.0]))
    # Lost: 1, 0, -0.5, 0. Their mean is 1/8 and their standard deviation sqrt(5/16 - 1/64).
    assert measures.effect(before, after) == {
        "right": 0.625, "points lost": 12.5, "standard error": pytest.approx(100 * (19 / 64) ** 0.5 / 2, abs=1e-4),
    }  # fmt: skip


def test_causal_measures_find_what_is_rigged(model):
    found = measures.causal(model, RiggedExaminer(model), QUESTIONS)
    lost = {name: one["points lost"] for name, one in found.items()}
    third = pytest.approx(100 / 3, abs=1e-4)
    assert lost["nothing changed"] == 0 and found["nothing changed"]["right"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["routed experts off"]["by task"]["color"]["points lost"] == 100 and lost["routed experts off"] == third
    assert found["shared expert off"]["by task"]["lookup"]["points lost"] == 100 and lost["shared expert off"] == third
    assert lost["one expert off"] == pytest.approx(100 / 3 / 4, abs=1e-4)  # the mean over four
    # Every expert still has tokens, but none has its own: Thai is lost, and German is not.
    languages = found["rotated to a wrong expert"]["by language"]
    assert languages["de"]["points lost"] == 0 and languages["th"]["points lost"] == pytest.approx(200 / 3, abs=1e-4)
    assert all(one.keys() == {"caption", "color", "lookup"} for one in (found[name]["by task"] for name in found))


def test_layers_are_changed_one_by_one(model):
    found = measures.per_layer(model, RiggedExaminer(model), QUESTIONS)
    third = pytest.approx(100 / 3, abs=1e-4)
    assert found == {
        "layers": [0, 1], "routed experts off": [0, third], "shared expert off": [third, 0],
        "rotated to a wrong expert": [0, third],
    }  # fmt: skip


def test_experts_are_switched_off_one_by_one(model, monkeypatch):
    choices = expert_choices(model, Examiner(processor()), QUESTIONS)
    # The rigged examiner sends tokens of its own through a router, which are nobody's.
    monkeypatch.setattr(measures, "expert_choices", lambda *_: choices)
    found = measures.single_experts(model, RiggedExaminer(model), QUESTIONS)
    assert found["questions"] == 12 and found["tasks"] == ["caption", "color", "lookup"]
    nothing = [0.0, 0.0, 0.0]
    assert found["by task"] == [[nothing] * 4, [nothing, nothing, [0.0, 100.0, 0.0], nothing]]
    assert found["points lost"][0] == [0.0] * 4 and found["points lost"][1][2] == pytest.approx(100 / 3, abs=1e-4)
    assert found["by language"][1][2] == [pytest.approx(100 / 3, abs=1e-4)] * 2
    for layer, shares in enumerate(found["share of tokens"]):
        counts = choices.experts[layer].bincount(minlength=NUM_EXPERTS)
        assert shares == pytest.approx((counts / counts.sum()).tolist(), abs=1e-4)


# All of it


@pytest.fixture(scope="module")
def found(model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "specialisation_questions", lambda number: QUESTIONS)
        return measures.specialisation(model, processor())


def test_all_of_it_is_strict_json(found):
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == ["questions", "mutual_information", "causal", "per_layer", "single_experts"]
    told = found["mutual_information"]
    for what in ("modality", "kind of word", "language"):
        for routers in ("trained", "untrained", "untrained, even"):
            assert told[what][routers].keys() == {"bits", "shuffled", "share"}
            for bits, share in zip(told[what][routers]["bits"], told[what][routers]["share"], strict=True):
                assert share == pytest.approx(bits / told[what]["entropy"], abs=2e-4)
    assert all(1.95 < bits <= 2 for bits in told["entropy of the choice"]["untrained, even"])


def test_a_router_of_modality_and_why_it_has_untrained_ones_beside_it(examiner):
    """Image tokens lie far off in one direction, text in another: any router tells them apart, trained or not."""
    model = Llama4(SMALL)
    model.init_weights(std=0.02, seed=0)
    model.requires_grad_(False)
    to_image, to_text = 20 * torch.eye(128)[:2]
    model.multi_modal_projector.register_forward_hook(lambda module, inputs, output: output + to_image)
    model.language_model.model.embed_tokens.weight += to_text
    mixtures(model)[0].router.weight.data = torch.stack([torch.zeros(128), to_text, torch.zeros(128), to_image])
    told = measures.mutual_information(model, examiner, QUESTIONS, tokenizer())
    assert told["modality"]["trained"]["share"][0] > 0.98
    assert told["modality"]["untrained"]["share"][0] > 0.3 and told["modality"]["untrained, even"]["share"][0] > 0.3
    assert told["language"]["trained"]["share"][0] == told["kind of word"]["trained"]["share"][0] == 0


def test_the_usual_questions():
    questions = measures.specialisation_questions(1)
    assert len(questions) == 13 * 9 and {question.turn.language for question in questions} == set(BY_CODE)


def test_the_figure(found, tmp_path):
    save_specialisation(found, tmp_path / "experts.png")
    assert (tmp_path / "experts.png").stat().st_size > 30_000
    figure = draw_specialisation(found)
    told, causal = figure.axes[0], figure.axes[3]
    assert [list(line.get_ydata()) for line in told.lines] == [
        [100 * share for share in found["mutual_information"]["modality"][routers]["share"]]
        for routers in ("trained", "untrained", "untrained, even")
    ]
    assert [bar.get_width() for bar in causal.patches] == [
        one["points lost"] for name, one in found["causal"].items() if name != "nothing changed"
    ]


def test_mistakes_are_one_line(model):
    with pytest.raises(UserError, match=r"^questions_per_language must be at least 1, got 0$"):
        measures.specialisation(model, processor(), 0)
    dense = Llama4(dataclasses.replace(SMALL, text=dataclasses.replace(SMALL.text, moe_interval=3)))
    with pytest.raises(UserError, match=r"^specialisation needs a model with at least two experts in a layer$"):
        measures.specialisation(dense, processor())
