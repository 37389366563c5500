"""Random models equal HF: any shape that a config allows, in one pass and in cached segments, padded batches too."""

import random
from itertools import pairwise

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from llama4_explained import attention, kv_cache, model, moe, text_model
from llama4_explained.check.random_configs import Case, random_case, run_case
from llama4_explained.errors import UserError


def run_random_cases(count, with_images):
    """Compare `count` random cases with HF and return them. Near ties of a router are drawn again, and not counted.

    The cases are the same in every run, and start the same for every `count`. Hypothesis draws their seeds: when it
    drew every field, three cases of four had the config of another.
    """
    ran = []

    @settings(max_examples=count, phases=[Phase.generate], derandomize=True, deadline=None, database=None)
    @given(st.randoms(use_true_random=True).map(lambda choose: random_case(choose, with_images)))
    def equals_hf(case):
        outcome = run_case(case)
        assume(not outcome.near_tie)
        assert outcome.passed, f"{outcome}\nto see it again: python tools/fuzz.py --reproduce '{case.to_json()}'"
        ran.append(case)

    equals_hf()
    return ran


# What must be among the cases, as a property of one case.
FEATURES = {
    "padding": lambda case: len(set(case.lengths)) > 1,
    "a batch without padding": lambda case: len(case.lengths) > 1 == len(set(case.lengths)),
    "an odd length": lambda case: max(case.lengths) % 2,
    "token by token": lambda case: len(case.cuts) > 2 and case.cuts == tuple(range(case.cuts[0], max(case.lengths))),
    "long segments": lambda case: any(b - a > 4 for a, b in pairwise(case.cuts)),
    "three chunk edges": lambda case: max(case.lengths) > 3 * (case.text.chunk_size or 999),
    "no chunks": lambda case: case.text.chunk_size is None,
    "several KV heads, shared": lambda case: case.text.num_query_heads > case.text.num_kv_heads > 1,
    "no QK norm": lambda case: not case.text.qk_norm,
    "no temperature": lambda case: not case.text.temperature_tuning,
    "tied embeddings": lambda case: case.text.tie_embeddings,
    "four experts per token": lambda case: case.text.experts_per_token == 4,
    "three experts per token": lambda case: case.text.experts_per_token == 3,
    "two experts per token": lambda case: case.text.experts_per_token == 2,
    "one expert in all": lambda case: case.text.num_experts == 1,
    "dense and MoE layers": lambda case: len({layer.is_moe for layer in case.text.layer_plan}) == 2,
    "RoPE and NoPE layers": lambda case: len({layer.uses_rope for layer in case.text.layer_plan}) == 2,
    "explicit MoE layers": lambda case: case.text.moe_layers,
    "explicit RoPE layers": lambda case: case.text.rope_layers,
    "scaling with a band": lambda case: is_scaled(case, equal_factors=False),
    "scaling by a step": lambda case: is_scaled(case, equal_factors=True),
}
IMAGE_FEATURES = {
    "several images of several tile counts": lambda case: any(len(set(row[1::2])) > 1 for row in case.rows),
    "images in several rows": lambda case: sum(len(row) > 1 for row in case.rows) > 1,
    "rows with and without images": lambda case: len({len(row) > 1 for row in case.rows}) == 2,
    "no image at all": lambda case: all(len(row) == 1 for row in case.rows),
    "3 x 3 patches to a token": lambda case: case.config.vision.shuffle == 3,
    "every patch a token": lambda case: case.config.vision.shuffle == 1,
}


def is_scaled(case, equal_factors):
    scaling = case.text.rope_scaling
    return scaling and (scaling.low_frequency_factor == scaling.high_frequency_factor) == equal_factors


@pytest.mark.slow
@pytest.mark.parametrize(("with_images", "count"), [(False, 220), (True, 100)], ids=["text", "images"])
def test_random_models_equal_hf(with_images, count):
    cases = run_random_cases(count, with_images)
    assert len({case.config for case in cases}) == count
    features = FEATURES | (IMAGE_FEATURES if with_images else {})
    seen = {name: sum(bool(shown(case)) for case in cases) for name, shown in features.items()}
    assert min(seen.values()) >= 5, seen


def without_chunks(right):
    return lambda query, key, value, placement, chunk_size: right(query, key, value, placement, None)


def one_key_short(right):
    return lambda cache, key, value, keep: right(cache, key, value, max(keep - 1, 0))


# name: (where, what, its wrong version made of the right one, with images)
MUTANTS = {
    "chunks ignored": (attention, "attend", without_chunks, False),
    "chunks ignored in padded batches": (
        attention, "allowed_keys", lambda right: lambda query, key, chunk_size: right(query, key, None), False),
    "padding seen": (
        attention, "allowed_keys", lambda right: lambda query, key, size: right(query, key.clamp(min=0), size), False),
    "no temperature": (attention, "query_temperature", lambda right: lambda *inputs: right(*inputs) * 0 + 1, False),
    "temperature a token late": (
        attention, "query_temperature", lambda right: lambda at, *scales: right((at - 1).clamp(min=0), *scales), False),
    "cache one key short": (kv_cache.LayerCache, "update", one_key_short, False),
    "no RoPE scaling": (
        text_model, "inverse_frequencies", lambda right: lambda width, theta, *_: right(width, theta), False),
    "only one expert per token": (
        moe.Router, "forward", lambda right: lambda router, x: tuple(y[:, :1] for y in right(router, x)), False),
    "tiles in another order": (
        model, "fuse", lambda right: lambda text, places, images: right(text, places, images.flip(0)), True),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_random_cases_catch_mistakes_within_50(name, monkeypatch):
    where, what, mutate, with_images = MUTANTS[name]
    monkeypatch.setattr(where, what, mutate(getattr(where, what)))
    with pytest.raises(AssertionError, match="to see it again"):
        run_random_cases(50, with_images)


def test_cases_come_back_from_json():
    choose = random.Random(0)
    for with_images in [False, True] * 20:
        case = random_case(choose, with_images)
        assert Case.from_json(case.to_json()) == case


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"config": {}}', '{"config": {"vocab_size": 8}, "seed": 1}'])
def test_other_json_is_refused(line):
    with pytest.raises(UserError, match="not a case"):
        Case.from_json(line)
