"""What fewer bits cost, on a random model: the distance from itself, from what was computed by hand, and bytes."""

import math
from dataclasses import replace

import pytest
import torch

from llama4_explained import TINY, Llama4, UserError, load
from llama4_explained.quantize import quantize_model_
from llama4_explained.tiny import fewer_bits
from llama4_explained.tiny.accuracy import answers_to
from llama4_explained.tiny.exam import Examiner
from llama4_explained.tiny.fewer_bits import FORMATS, UNQUANTIZED, divergence, format_name, measure_formats
from tiny_world import processor, short_exam

SMALL = replace(TINY, text=replace(TINY.text, num_layers=4), vision=replace(TINY.vision, num_layers=1))


@pytest.fixture(scope="module")
def model() -> Llama4:
    model = Llama4(SMALL)
    model.init_weights(seed=0, std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def measured(model):
    return dict(measure_formats(model, Examiner(processor()), short_exam(), torch.float32))


def test_the_formats_are_named_apart():
    assert [format_name(config) for config in FORMATS] == [
        "int8", "int4, groups of 128", "int4, groups of 32", "int3, groups of 128", "int3, groups of 32",
        "int2, groups of 128", "int2, groups of 32", "int2, groups of 16",
    ]  # fmt: skip


def test_divergence_by_hand():
    expected = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.2, 0.8]]).clamp_min(1e-30).log()
    found = torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.2, 0.8]]).log()
    by_hand = 0.5 * math.log(2) + 0.5 * math.log(2 / 3) + math.log(2)
    assert divergence(expected, found) == pytest.approx(by_hand)
    assert divergence(found, found) == 0


def test_a_model_does_not_differ_from_itself_and_more_bits_differ_less(measured):
    assert list(measured) == [UNQUANTIZED, *map(format_name, FORMATS)]
    kl = {name: entry["kl"] for name, entry in measured.items()}
    assert kl[UNQUANTIZED] == 0
    in_order = ["int8", "int4, groups of 128", "int3, groups of 128", "int2, groups of 128"]
    assert kl["int8"] > 0 and sorted(in_order, key=lambda name: kl[name]) == in_order
    for name in ("int4", "int3", "int2"):
        assert kl[f"{name}, groups of 32"] < kl[f"{name}, groups of 128"]


@torch.no_grad()
def test_the_divergence_is_the_mean_over_tokens_of_the_same_questions(model, measured):
    """Once more in float64, from probabilities, with a model quantised here."""
    rounded = Llama4(SMALL)
    rounded.load_state_dict(model.state_dict())
    quantize_model_(rounded, FORMATS[2])
    answers = [
        {answer.question: answer.logits.double() for _, answer in answers_to(short_exam(), each, Examiner(processor()))}
        for each in (model, rounded.eval())
    ]
    before, after = (torch.cat([each[question] for question in answers[0]]) for each in answers)
    p, q = before.softmax(-1), after.softmax(-1)
    expected = (p * (p / q).log()).sum(-1)
    entry = measured["int4, groups of 32"]
    assert entry["tokens"] == len(expected)
    assert entry["kl"] == pytest.approx(float(expected.mean()), rel=1e-4)


def test_bytes_are_those_of_the_loaded_model(model, measured, tmp_path):
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="tokenizer"):
        for name, config in [
            (UNQUANTIZED, None),
            *((format_name(config), config) for config in (FORMATS[0], FORMATS[7])),
        ]:
            loaded, _ = load(tmp_path, quantize=config)
            assert measured[name]["bytes"] == sum(tensor.nbytes for tensor in loaded.state_dict().values())


def test_the_model_itself_stays_as_it_is(model, measured):
    fresh = Llama4(SMALL)
    fresh.init_weights(seed=0, std=0.1)
    assert all(torch.equal(tensor, fresh.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_right_answers_are_counted_by_format(monkeypatch, model):
    """A model that knows all until it is rounded: the tables of each format are of its own answers."""
    monkeypatch.setattr(fewer_bits, "FORMATS", FORMATS[:1])

    class Rigged(Examiner):
        def answers(self, asked, questions):
            for answer in super().answers(asked, questions):
                good = torch.zeros_like(answer.logits).scatter(1, answer.target[:, None], 9.0)
                yield replace(answer, logits=good if asked is model else -good)

    found = dict(measure_formats(model, Rigged(processor()), short_exam(), torch.float32))
    number = sum(len(questions) for questions in short_exam().values())
    assert found[UNQUANTIZED]["all questions"] == {"right": 1, "questions": number}
    assert found["int8"]["all questions"] == {"right": 0, "questions": number}
    assert found[UNQUANTIZED]["summary"]["lookup"]["right"] == 1 and found["int8"]["summary"]["lookup"]["right"] == 0


def test_a_quantised_model_is_refused(model):
    rounded = Llama4(SMALL)
    rounded.load_state_dict(model.state_dict())
    quantize_model_(rounded, "int8")
    with pytest.raises(UserError, match="quantised already"):
        list(measure_formats(rounded.eval(), Examiner(processor()), short_exam(), torch.float32))
