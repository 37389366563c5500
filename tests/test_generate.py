import math
from types import SimpleNamespace

import pytest
import torch
import transformers
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from llama4_explained import KVCache, Llama4Text, UserError, generate
from llama4_explained.generate import choose_token, generate_tokens
from llama4_explained.tokenizer import StreamDecoder
from oracle import TEXT, VISION, WHOLE, random_ids, random_tensor, text_pair, whole_pair

PATCH, PER_TILE = WHOLE.patch_id, VISION.tokens_per_tile


def hf_greedy(theirs, input_ids, max_new_tokens, **inputs):
    """HF's own loop with its own cache, which never stops: no token has the id that would end it."""
    settings = transformers.GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=10**6, pad_token_id=0
    )
    return theirs.generate(input_ids, generation_config=settings, attention_mask=torch.ones_like(input_ids), **inputs)


def ids_with_tiles(*tiles, num_tokens=30, seed=0):
    ids = random_ids(len(tiles), num_tokens, seed=seed)
    for row, count in enumerate(tiles):
        ids[row, 2 : 2 + count * PER_TILE] = PATCH
    return ids


# Greedy


@pytest.mark.parametrize("num_tokens", [1, 7, 8, 21])
def test_64_greedy_tokens_equal_hf(num_tokens):
    ours, theirs = text_pair()
    ids = random_ids(2, num_tokens)
    written = ours.generate(ids, max_new_tokens=64, stop_ids=())
    assert written.shape == (2, num_tokens + 64) and torch.equal(written, hf_greedy(theirs, ids, 64))
    assert len(written[0, num_tokens:].unique()) > 5


def test_greedy_tokens_about_images_equal_hf():
    ours, theirs = whole_pair()
    ids, pixel_values = ids_with_tiles(2, 1), random_tensor(3, 3, 24, 24)
    written = ours.generate(ids, pixel_values=pixel_values, max_new_tokens=64, stop_ids=())
    assert torch.equal(written, hf_greedy(theirs, ids, 64, pixel_values=pixel_values))


def test_padded_rows_write_what_they_write_alone():
    ours, theirs = text_pair()
    ids, mask = random_ids(3, 20), torch.ones(3, 20, dtype=torch.long)
    mask[1, :5] = mask[2, :13] = 0
    written = ours.generate(ids, attention_mask=mask, max_new_tokens=30, stop_ids=())
    for row, padding in enumerate((0, 5, 13)):
        assert torch.equal(written[row : row + 1, padding:], hf_greedy(theirs, ids[row : row + 1, padding:], 30))


@pytest.mark.parametrize("segment", [1, 5, 8, 19])
def test_a_long_prompt_runs_in_segments(monkeypatch, segment):
    monkeypatch.setattr(generate, "PREFILL_SEGMENT", segment)
    ours, theirs = whole_pair()
    ids, pixel_values = ids_with_tiles(2), random_tensor(2, 3, 24, 24)
    expected = hf_greedy(theirs, ids, 12, pixel_values=pixel_values)
    longest = []
    logits = ours.logits
    monkeypatch.setattr(ours, "logits", lambda x, **inputs: longest.append(x.shape[1]) or logits(x, **inputs))
    assert torch.equal(ours.generate(ids, pixel_values=pixel_values, max_new_tokens=12, stop_ids=()), expected)
    assert max(longest) == segment
    mask = torch.ones(2, 30, dtype=torch.long)
    mask[1, :4] = 0
    padded = torch.cat([ids, torch.cat([random_ids(1, 4), random_ids(1, 26, seed=1)], 1)])
    written = ours.generate(padded, attention_mask=mask, pixel_values=pixel_values, max_new_tokens=12, stop_ids=())
    assert torch.equal(written[:1], expected)
    assert torch.equal(written[1:, 4:], hf_greedy(theirs, padded[1:, 4:], 12))


def test_a_bad_id_in_a_later_segment_leaves_the_cache_as_it_was(monkeypatch):
    monkeypatch.setattr(generate, "PREFILL_SEGMENT", 8)
    ours, _ = text_pair()
    ids, cache = random_ids(1, 20), KVCache(TEXT)
    first = ours.generate(ids, max_new_tokens=3, stop_ids=(), cache=cache)
    bad = torch.cat([first, random_ids(1, 20)], dim=1)
    bad[0, -1] = TEXT.vocab_size
    before = cache.length
    with pytest.raises(UserError, match="outside the vocabulary"):
        ours.generate(bad, max_new_tokens=1, cache=cache)
    assert cache.length == before


def test_every_token_is_computed_once(monkeypatch):
    ours, _ = text_pair()
    seen = []
    logits = ours.logits
    monkeypatch.setattr(
        ours,
        "logits",
        lambda x, **inputs: seen.append((x.shape[1], inputs.get("logits_to_keep", 0))) or logits(x, **inputs),
    )
    ours.generate(random_ids(1, 12), max_new_tokens=5, stop_ids=())
    assert seen == [(12, 1), (1, 0), (1, 0), (1, 0), (1, 0)]  # and the last token never


def test_a_patch_token_that_the_model_writes_is_text(monkeypatch):
    ours, _ = whole_pair()
    monkeypatch.setattr(generate, "choose_token", lambda logits, *rest: torch.full((len(logits),), PATCH))
    written = ours.generate(random_ids(1, 4), max_new_tokens=3, stop_ids=())
    assert written[0, 4:].tolist() == [PATCH] * 3


# Stopping


def greedy_text(num_tokens=10, batch=2):
    ours, _ = text_pair()
    ids = random_ids(batch, 12)
    return ours, ids, ours.generate(ids, max_new_tokens=num_tokens, stop_ids=())[:, 12:]


def test_finished_rows_end_in_padding():
    ours, ids, free = greedy_text()
    stop = next(token for token in free[0].tolist() if token not in free[1].tolist())
    first = free[0].tolist().index(stop)
    written = ours.generate(ids, max_new_tokens=10, stop_ids=[stop])[:, 12:]
    assert written[0].tolist() == [*free[0, : first + 1].tolist(), *[TEXT.pad_id] * (9 - first)]
    assert torch.equal(written[1], free[1])


def test_it_ends_when_all_rows_have_stopped():
    ours, ids, free = greedy_text()
    stops = free[0, 2].item(), free[1, 4].item()
    ends = [min(row.tolist().index(stop) for stop in stops if stop in row.tolist()) for row in free]
    written = ours.generate(ids, max_new_tokens=10, stop_ids=stops)
    assert written.shape[1] == 12 + max(ends) + 1


def test_stop_ids_default_to_the_config(monkeypatch):
    ours, ids, free = greedy_text(batch=1)
    assert ours.generate(ids, max_new_tokens=10).shape[1] == 22 and not set(free[0].tolist()) & set(TEXT.eos_ids)
    monkeypatch.setattr(generate, "choose_token", lambda logits, *rest: torch.full((len(logits),), TEXT.eos_ids[1]))
    assert ours.generate(ids, max_new_tokens=10)[0, 12:].tolist() == [3]
    assert ours.generate(ids, max_new_tokens=4, stop_ids=())[0, 12:].tolist() == [3, 3, 3, 3]


# Sampling

LOGITS = random_tensor(5, 40) * 3
SETTINGS = [
    (1.0, None, None), (0.3, None, None), (2.5, None, None), (1.0, 1, None), (1.0, 7, None), (0.7, 500, None),
    (1.0, None, 0.9), (1.0, None, 0.05), (0.5, None, 1.0), (0.8, 12, 0.7), (1.7, 3, 0.99),
]  # fmt: skip


def distribution(monkeypatch, logits, *settings):
    """What the token is drawn from."""
    drawn_from = []
    draw = torch.multinomial
    monkeypatch.setattr(torch, "multinomial", lambda p, *rest, **named: drawn_from.append(p) or draw(p, *rest, **named))
    choose_token(logits, *settings)
    return drawn_from[0]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_distribution_equals_hf(monkeypatch, settings):
    temperature, top_k, top_p = settings
    expected = TemperatureLogitsWarper(temperature)(None, LOGITS) if temperature != 1 else LOGITS
    if top_k is not None:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p is not None and top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    ours = distribution(monkeypatch, LOGITS, *settings)
    assert torch.equal(ours > 0, expected > -math.inf)
    torch.testing.assert_close(ours, expected.softmax(-1), rtol=1e-6, atol=0)


def test_distribution_by_hand(monkeypatch):
    """Probabilities 1/2, 1/4, 1/8, 1/8: three tokens are needed for 0.8, two for 0.75, one for 0.5."""
    logits = torch.tensor([[1 / 8, 1 / 2, 1 / 8 - 1e-4, 1 / 4]]).log()
    for top_p, expected in ((0.8, [1 / 7, 4 / 7, 0, 2 / 7]), (0.74, [0, 2 / 3, 0, 1 / 3]), (0.4, [0, 1, 0, 0])):
        assert distribution(monkeypatch, logits, 1.0, None, top_p)[0].tolist() == pytest.approx(expected, abs=1e-4)
    assert distribution(monkeypatch, logits, 1.0, 2, None)[0].tolist() == pytest.approx([0, 2 / 3, 0, 1 / 3])
    halved = distribution(monkeypatch, logits, 0.5, None, None)[0]  # half the temperature squares probabilities
    assert halved.tolist() == pytest.approx([1 / 22, 16 / 22, 1 / 22, 4 / 22], abs=1e-3)


def test_draws_follow_the_distribution():
    logits = torch.tensor([[0.5, 0.3, 0.2, 0.0]]).log().expand(20000, -1)
    drawn = choose_token(logits, 1.0, generator=torch.Generator().manual_seed(0)).bincount(minlength=4) / 20000
    assert drawn[3] == 0 and (drawn[:3] - torch.tensor([0.5, 0.3, 0.2])).abs().max() < 0.015  # four deviations


def test_temperature_zero_is_the_likeliest():
    assert torch.equal(choose_token(LOGITS, 0.0), LOGITS.argmax(-1))
    assert torch.equal(choose_token(LOGITS, 0.0, top_k=3, top_p=0.1), LOGITS.argmax(-1))
    assert torch.equal(choose_token(LOGITS, 1.0, top_k=1), LOGITS.argmax(-1))
    assert torch.equal(choose_token(LOGITS, 1e-30), LOGITS.argmax(-1))


def test_seeds():
    ours, _ = text_pair()
    ids = random_ids(2, 6)
    first, again, other = (ours.generate(ids, max_new_tokens=20, temperature=1.0, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    ours.generate(ids, max_new_tokens=3, temperature=1.0, seed=1)
    assert torch.equal(torch.get_rng_state(), state)  # a seed leaves the global generator alone
    torch.manual_seed(7)
    unseeded = ours.generate(ids, max_new_tokens=20, temperature=1.0)
    torch.manual_seed(7)
    assert torch.equal(unseeded, ours.generate(ids, max_new_tokens=20, temperature=1.0))


# Turns of a conversation


def test_a_second_turn_computes_only_what_is_new(monkeypatch):
    ours, theirs = text_pair()
    cache = KVCache(TEXT)
    first = ours.generate(random_ids(2, 12), max_new_tokens=7, stop_ids=(), cache=cache)
    assert (cache.length, cache.token_ids.shape) == (18, (2, 18))  # the last token has not been run yet
    second = torch.cat([first, random_ids(2, 9, seed=4)], dim=1)
    computed = []
    embed = ours.embed
    monkeypatch.setattr(ours, "embed", lambda ids, pixels: computed.append(ids.shape[1]) or embed(ids, pixels))
    third = ours.generate(second, max_new_tokens=20, stop_ids=(), cache=cache)
    assert computed == [10] and torch.equal(third, hf_greedy(theirs, second, 20))
    fourth = torch.cat([third, random_ids(2, 1, seed=5)], dim=1)
    assert torch.equal(ours.generate(fourth, max_new_tokens=5, stop_ids=(), cache=cache), hf_greedy(theirs, fourth, 5))


def test_images_in_both_turns_and_two_rows(monkeypatch):
    ours, theirs = whole_pair()
    cache = KVCache(TEXT)
    tiles = random_tensor(6, 3, 24, 24)  # in a batch, tiles come row by row: row 0 has tiles 0 to 2, row 1 tiles 3 to 5
    ids = ids_with_tiles(1, 2, num_tokens=25)
    first = ours.generate(ids, pixel_values=tiles[[0, 3, 4]], max_new_tokens=6, stop_ids=(), cache=cache)
    assert torch.equal(first, hf_greedy(theirs, ids, 6, pixel_values=tiles[[0, 3, 4]]))
    second = torch.cat([first, ids_with_tiles(2, 1, num_tokens=25, seed=3)], dim=1)
    seen = []
    vision = ours.vision_model.forward
    monkeypatch.setattr(ours.vision_model, "forward", lambda pixels: seen.append(pixels) or vision(pixels))
    third = ours.generate(second, pixel_values=tiles, max_new_tokens=12, stop_ids=(), cache=cache)
    assert len(seen) == 1 and torch.equal(seen[0], tiles[[1, 2, 5]])  # only the new tiles
    assert torch.equal(third, hf_greedy(theirs, second, 12, pixel_values=tiles))
    text_only = torch.cat([third, random_ids(2, 3)], dim=1)
    fourth = ours.generate(text_only, pixel_values=tiles, max_new_tokens=5, stop_ids=(), cache=cache)
    assert len(seen) == 1 and torch.equal(fourth, hf_greedy(theirs, text_only, 5, pixel_values=tiles))


def test_rows_that_finish_early_go_on_as_if_alone():
    """The padding after a finished row lies in the middle of its conversation later, and is seen by nobody."""
    ours, theirs = text_pair()
    ids, mask = random_ids(2, 12), torch.ones(2, 12, dtype=torch.long)
    mask[1, :3] = 0
    free = ours.generate(ids, attention_mask=mask, max_new_tokens=15, stop_ids=())[:, 12:]
    stop = next(token for token in free[0].tolist() if token not in free[1].tolist())
    length = free[0].tolist().index(stop) + 1
    assert length < 10
    cache = KVCache(TEXT)
    first = ours.generate(ids, attention_mask=mask, max_new_tokens=15, stop_ids=[stop], cache=cache)
    second = torch.cat([first, random_ids(2, 6, seed=4)], dim=1)
    mask = torch.cat([mask, torch.ones(2, 21, dtype=torch.long)], dim=1)
    mask[0, 12 + length : 27] = 0
    third = ours.generate(second, attention_mask=mask, max_new_tokens=12, stop_ids=(), cache=cache)
    for row, real in enumerate(mask.bool()):
        alone = hf_greedy(theirs, second[row, real][None], 12)
        assert torch.equal(third[row, 33:], alone[0, -12:])


def test_a_cache_of_another_conversation():
    ours, _ = text_pair()
    cache = KVCache(TEXT)
    ids = ours.generate(random_ids(1, 12), max_new_tokens=4, stop_ids=(), cache=cache)
    other = ids.clone()
    other[0, 3] += 1
    message = r"does not continue what the cache holds \(15 tokens\): make a new KVCache"
    for wrong in (torch.cat([other, other], 1), ids[:, :15], ids[:, :5]):
        with pytest.raises(UserError, match=message):
            ours.generate(wrong, cache=cache)
    with pytest.raises(UserError, match=message):
        ours.generate(ids.expand(2, -1), cache=cache)
    filled = KVCache(TEXT)
    with torch.no_grad():
        ours(ids, cache=filled)
    with pytest.raises(UserError, match="filled by other means than generate"):
        ours.generate(torch.cat([ids, ids], 1), cache=filled)


@pytest.mark.parametrize("tiles", [1, 3])
def test_a_second_turn_needs_the_tiles_of_all_turns(tiles):
    ours, _ = whole_pair()
    cache = KVCache(TEXT)
    pixel_values = random_tensor(3, 3, 24, 24)
    first = ours.generate(ids_with_tiles(1), pixel_values=pixel_values[:1], max_new_tokens=3, stop_ids=(), cache=cache)
    second = torch.cat([first, ids_with_tiles(1, seed=2)], 1)
    with pytest.raises(
        UserError, match=f"has 18 patch tokens, its {tiles} tiles make {9 * tiles}: pass the tiles of all turns"
    ):
        ours.generate(second, pixel_values=pixel_values[:tiles], cache=cache)
    with pytest.raises(UserError, match="the text has 9 patch tokens but there are no pixel_values"):
        ours.generate(second, cache=cache)
    ours.generate(second, pixel_values=pixel_values[:2], max_new_tokens=2, cache=cache)


def test_text_alone_sees_no_images_in_a_second_turn():
    ours, _ = text_pair()
    cache = KVCache(TEXT)
    first = ours.generate(random_ids(1, 5), max_new_tokens=3, stop_ids=(), cache=cache)
    with pytest.raises(UserError, match="Llama4Text sees no images"):
        ours.generate(torch.cat([first, first], 1), pixel_values=random_tensor(1, 3, 24, 24), cache=cache)


# Streaming


class Letters:
    """A processor whose every token is one byte of a text, as a model that writes it would see it."""

    def __init__(self, text: bytes):
        self.ids = [10 + place for place in range(len(text))]
        self.bytes = {10 + place: bytes([byte]) for place, byte in enumerate(text)}

    def stream_decoder(self):
        return StreamDecoder(SimpleNamespace(_bytes_of=lambda token, skip_special: self.bytes[token]))

    def dictate(self, monkeypatch, then=TEXT.eos_ids[0]):
        waiting = iter([*self.ids, then])
        monkeypatch.setattr(generate, "choose_token", lambda logits, *rest: torch.tensor([next(waiting)]))


def test_streamed_pieces_end_between_characters(monkeypatch):
    processor = Letters("aé漢😀!".encode())
    processor.dictate(monkeypatch)
    ours, _ = text_pair()
    assert list(ours.stream(random_ids(1, 4), processor=processor)) == ["a", "é", "漢", "😀", "!"]


def test_streamed_text_that_breaks_off_inside_a_character(monkeypatch):
    processor = Letters("ab😀".encode()[:-2])
    processor.dictate(monkeypatch)
    ours, _ = text_pair()
    assert list(ours.stream(random_ids(1, 4), processor=processor)) == ["a", "b", "\ufffd"]


def test_the_stop_token_is_not_streamed(monkeypatch):
    processor = Letters(b"abcd")
    ours, _ = text_pair()
    for stop_ids, expected in (([12], "ab"), ([11, 13], "a"), ((), "abcd")):
        processor.dictate(monkeypatch, then=10)
        pieces = ours.stream(random_ids(1, 4), processor=processor, stop_ids=stop_ids, max_new_tokens=4)
        assert "".join(pieces) == expected


def test_streamed_text_is_generated_text():
    ours, _ = text_pair()
    ids = random_ids(1, 9)
    processor = SimpleNamespace(
        stream_decoder=lambda: SimpleNamespace(push=lambda token: f"{token} ", flush=lambda: "")
    )
    pieces = list(
        ours.stream(ids, processor=processor, max_new_tokens=12, stop_ids=(), temperature=0.8, top_k=9, seed=3)
    )
    written = ours.generate(ids, max_new_tokens=12, stop_ids=(), temperature=0.8, top_k=9, seed=3)
    assert pieces == [f"{token} " for token in written[0, 9:].tolist()]


def test_stream_writes_one_conversation():
    ours, _ = text_pair()
    with pytest.raises(UserError, match="stream writes one conversation at a time, got 2: use generate"):
        list(ours.stream(random_ids(2, 4), processor=Letters(b"")))


# Ctrl-C


def interrupted_after(monkeypatch, model, passes):
    """A model whose forward pass is interrupted after so many have ended."""
    original, count = model.logits, iter(range(passes))

    def logits(*inputs, **named):
        if next(count, None) is None:
            raise KeyboardInterrupt
        return original(*inputs, **named)

    monkeypatch.setattr(model, "logits", logits)
    return model


@pytest.mark.parametrize("passes", [0, 1, 4])
def test_interrupted_generation_returns_what_was_written(monkeypatch, passes):
    ours, ids, free = greedy_text()
    model = interrupted_after(monkeypatch, ours, passes)
    with pytest.warns(UserWarning, match=f"interrupted after {passes} new tokens, which are returned"):
        written = model.generate(ids, max_new_tokens=10, stop_ids=())
    assert torch.equal(written, torch.cat([ids, free[:, :passes]], dim=1))


def test_interrupted_stream_keeps_what_was_yielded(monkeypatch):
    processor = Letters("aé漢!".encode())
    processor.dictate(monkeypatch)
    ours, _ = text_pair()
    pieces = []
    with pytest.raises(KeyboardInterrupt):
        for piece in interrupted_after(monkeypatch, ours, 5).stream(random_ids(1, 4), processor=processor):
            pieces.append(piece)
    assert pieces == ["a", "é"]


def test_an_interrupted_cache_is_refused_or_goes_on(monkeypatch):
    """Between passes it is whole, and goes on; inside one, its layers differ."""
    ours, theirs = text_pair()
    ids, cache = random_ids(1, 12), KVCache(TEXT)
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="interrupted after 3"):
        written = interrupted_after(patch, ours, 3).generate(ids, max_new_tokens=10, stop_ids=(), cache=cache)
    second = torch.cat([written, random_ids(1, 2)], dim=1)
    third = ours.generate(second, max_new_tokens=4, stop_ids=(), cache=cache)
    assert torch.equal(third, hf_greedy(theirs, second, 4))

    def interrupt(*inputs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="interrupted after 0"):
        patch.setattr(ours.model.layers[1], "forward", interrupt)
        ours.generate(torch.cat([third, ids], 1), cache=cache)
    with pytest.raises(UserError, match="last forward pass was interrupted"):
        ours.generate(torch.cat([third, ids], 1), cache=cache)


# Errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"max_new_tokens": -5}, "max_new_tokens must be at least 1, got -5"),
        ({"temperature": -0.1}, r"temperature must be 0 \(always the likeliest token\) or more, got -0.1"),
        ({"temperature": float("nan")}, "temperature must be 0 .* got nan"),
        ({"temperature": 1.0, "top_k": 0}, "top_k must be at least 1, got 0"),
        ({"temperature": 1.0, "top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"temperature": 1.0, "top_p": 1.01}, r"top_p must be in \(0, 1\], got 1.01"),
        ({"max_new_tokens": 253}, "4 tokens of prompt and 253 new ones exceed the context of 256"),
        (
            {"attention_mask": torch.tensor([[1, 1, 1, 0]])},
            "padded on the left: the last token of every row must be a real",
        ),
        ({"attention_mask": torch.tensor([[0, 0, 0, 0]])}, "padded on the left"),
        ({"attention_mask": torch.ones(1, 5)}, r"attention_mask is \[1, 5\]; expected \[1, 4\], as input_ids"),
        ({"attention_mask": torch.ones(4)}, r"attention_mask is \[4\]; expected \[1, 4\]"),
        ({"pixel_values": torch.zeros(1, 3, 24, 24)}, "Llama4Text sees no images"),
    ],
    ids=str,
)
def test_settings_out_of_range(settings, message):
    ours, _ = text_pair()
    with pytest.raises(UserError, match=message):
        ours.generate(random_ids(1, 4), **settings)
    with pytest.raises(UserError, match=message):
        list(ours.stream(random_ids(1, 4), processor=Letters(b""), **settings))


def test_the_longest_text_that_fits():
    ours, _ = text_pair()
    assert ours.generate(random_ids(1, 250), max_new_tokens=6, stop_ids=()).shape == (1, 256)
    with pytest.raises(UserError, match="257 tokens of prompt and 1 new ones exceed the context of 256"):
        ours.generate(random_ids(1, 257), max_new_tokens=1)


@pytest.mark.parametrize("shape", [(1, 0), (0, 0), (0, 4)], ids=str)
def test_an_empty_prompt(shape):
    ours, _ = text_pair()
    with pytest.raises(UserError, match=r"the prompt is empty: input_ids is \[.*\], expected \[batch, tokens\]"):
        ours.generate(torch.zeros(shape, dtype=torch.long))


@pytest.mark.parametrize("token", [-1, 96])
def test_ids_outside_the_vocabulary(token):
    ours, _ = text_pair()
    with pytest.raises(UserError, match=f"token id {token} is outside the vocabulary of 96"):
        ours.generate(torch.tensor([[5, token]]))


def test_no_gradients_and_no_tokens_before_they_are_asked_for():
    ours = Llama4Text(TEXT)
    ours.init_weights(seed=0)
    tokens = generate_tokens(ours, random_ids(1, 4), max_new_tokens=3, stop_ids=())
    assert not next(tokens).requires_grad and torch.is_grad_enabled()
    tokens.close()
    assert torch.is_grad_enabled()
