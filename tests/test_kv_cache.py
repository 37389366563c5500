import dataclasses

import pytest
import torch

from llama4_explained import KVCache, Llama4Text, TextConfig, UserError
from llama4_explained.kv_cache import LayerCache, place_tokens
from oracle import TEXT, assert_equals_hf, logits_of_hf, random_ids, random_tensor, text_pair
from peak_memory import peak_bytes

CHUNK = TEXT.chunk_size


@torch.no_grad()
def in_segments(model, input_ids, lengths, mask=None, watch=lambda cache: None):
    """All logits of a text that comes in pieces."""
    cache, logits = KVCache(model.text_config), []
    mask = torch.ones_like(input_ids) if mask is None else mask
    for segment, real in zip(input_ids.split(lengths, 1), mask.split(lengths, 1), strict=True):
        logits.append(model(segment, attention_mask=real, cache=cache))
        watch(cache)
    return torch.cat(logits, dim=1)


# The same logits however a text is cut

CUTS = [[cut, 26 - cut] for cut in (1, 7, 8, 9, 15, 16, 17, 23, 24, 25)]
CUTS += [[1] * 26, [8, 8, 8, 2], [7] + [1] * 19, [3, 9, 1, 13], [8] + [1] * 18, [5, 5, 5, 5, 5, 1], [17] + [1] * 9]


@pytest.mark.parametrize("lengths", CUTS, ids=str)
def test_segments_equal_hf_in_one_go(lengths):
    ours, theirs = text_pair()
    ids = random_ids(2, 26)
    assert_equals_hf(in_segments(ours, ids, lengths), *logits_of_hf(theirs, ids))


@pytest.mark.parametrize(
    "changes", [{"chunk_size": None}, {"chunk_size": 1}, {"chunk_size": 100}, {"nope_interval": 1}], ids=str
)
def test_segments_without_chunks_or_with_tiny_or_long_ones(changes):
    ours, theirs = text_pair(dataclasses.replace(TEXT, **changes))
    ids = random_ids(2, 26)
    for lengths in ([1] * 26, [3, 9, 1, 13]):
        assert_equals_hf(in_segments(ours, ids, lengths), *logits_of_hf(theirs, ids))


def test_no_slot_is_read_that_was_not_written():
    """With fresh memory filled with NaN, a buffer's spare room would show."""
    ours, theirs = text_pair()
    ids = random_ids(2, 26)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        logits = in_segments(ours, ids, [3, 1, 1, 9, 1, 11])
    finally:
        torch.use_deterministic_algorithms(False)
    assert_equals_hf(logits, *logits_of_hf(theirs, ids))


def assert_rows_equal_hf_alone(logits, input_ids, mask):
    """Every row gives what HF gives on its real tokens alone."""
    _, theirs = text_pair()
    for row, real in enumerate(mask.bool()):
        assert_equals_hf(logits[row : row + 1, real], *logits_of_hf(theirs, input_ids[row : row + 1, real]))


LEFT = torch.ones(4, 26, dtype=torch.long)
LEFT[1, :3] = LEFT[2, :8] = LEFT[3, :13] = 0  # rows 0 and 2 are in the same phase of their chunks, the others are not


@pytest.mark.parametrize("lengths", [[26], [1] * 26, [13, 13], [14] + [1] * 12, [7, 9, 1, 8, 1], [2, 24]], ids=str)
def test_left_padding(lengths):
    ours, _ = text_pair()
    ids = random_ids(4, 26)
    longest = []
    logits = in_segments(ours, ids, lengths, LEFT, lambda cache: longest.append(held_by_chunked_layers(cache)))
    assert_rows_equal_hf_alone(logits, ids, LEFT)
    assert max(longest) <= CHUNK  # whatever the rows' phases: each needs less than a chunk


TURNS = torch.tensor(
    [[1] * 30, [0] * 4 + [1] * 5 + [0] * 6 + [1] * 7 + [0] * 5 + [1] * 3, [1] * 8 + [0] * 14 + [1] * 8]
)


@pytest.mark.parametrize("lengths", [[30], [1] * 30, [9, 6, 7, 5, 3], [9, 13, 8], [4, 8, 9, 9], [22, 8]], ids=str)
def test_padding_in_the_middle_of_several_turns(lengths):
    ours, _ = text_pair()
    ids = random_ids(3, 30)
    assert_rows_equal_hf_alone(in_segments(ours, ids, lengths, TURNS), ids, TURNS)


def test_right_padding_in_one_pass_and_going_on_after_it():
    ours, _ = text_pair()
    ids, mask = random_ids(2, 24), torch.ones(2, 24, dtype=torch.long)
    mask[0, 9:12] = 0
    assert_rows_equal_hf_alone(in_segments(ours, ids, [12, 12], mask), ids, mask)


def test_padding_that_comes_after_an_unpadded_pass():
    ours, _ = text_pair()
    ids, mask = random_ids(2, 24), torch.ones(2, 24, dtype=torch.long)
    mask[1, 12:15] = 0
    for lengths in ([12, 12], [12] + [1] * 12):
        assert_rows_equal_hf_alone(in_segments(ours, ids, lengths, mask), ids, mask)


def test_a_mask_may_cover_the_past_too():
    ours, _ = text_pair()
    ids = random_ids(4, 26)
    cache = KVCache(TEXT)
    with torch.no_grad():
        first = ours(ids[:, :15], attention_mask=LEFT[:, :15], cache=cache)
        second = ours(ids[:, 15:], attention_mask=LEFT, cache=cache)
        third = ours(ids[:, :4], cache=cache)  # no mask: all real
    assert_rows_equal_hf_alone(torch.cat([first, second], 1), ids, LEFT)
    longer, mask = torch.cat([ids, ids[:, :4]], 1), torch.cat([LEFT, LEFT.new_ones(4, 4)], 1)
    assert_rows_equal_hf_alone(torch.cat([first, second, third], 1), longer, mask)


def test_position_ids_may_leave_gaps():
    """Given positions are kept with the cache: chunks, rotation and temperature go by them."""
    ours, _ = text_pair(dataclasses.replace(TEXT, max_positions=1000))
    ids = random_ids(2, 18)
    positions = torch.tensor([[*range(5), *range(30, 43)], range(18)])
    with torch.no_grad():
        whole = ours(ids, position_ids=positions)
        for lengths in ([5, 13], [9, 9], [1] * 18):
            cache = KVCache(TEXT)
            parts = [
                ours(segment, position_ids=where, cache=cache)
                for segment, where in zip(ids.split(lengths, 1), positions.split(lengths, 1), strict=True)
            ]
            torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=5e-5)
    assert (whole[0] - ours(ids[:1])[0]).abs()[5:].max() > 0.1
    assert torch.allclose(whole[1], ours(ids[1:])[0], atol=5e-5)


def test_position_ids_equal_hf():
    # HF's temperature and chunks count slots, so neither shows here.
    ours, theirs = text_pair(dataclasses.replace(TEXT, temperature_tuning=False, chunk_size=None))
    ids, positions = random_ids(2, 11), torch.arange(13, 24)[None]
    with torch.no_grad():
        assert_equals_hf(
            ours(ids, position_ids=positions), *logits_of_hf(theirs, ids, position_ids=positions.expand(2, -1))
        )


# What is held


def bytes_of_a_slot(rows):
    return 2 * 4 * rows * TEXT.num_kv_heads * TEXT.head_dim  # keys and values, float32


def held_by_chunked_layers(cache):
    """The most slots any chunked layer has room for."""
    return max(layer.num_bytes for layer in cache.layers if layer.limit) / bytes_of_a_slot(cache.batch_size)


@pytest.mark.parametrize("lengths", CUTS, ids=str)
def test_a_chunked_layer_holds_the_chunk_being_filled(lengths):
    ours, _ = text_pair()
    rooms, held = [], []

    def watch(cache):
        rooms.append(held_by_chunked_layers(cache))
        held.append([layer.length for layer in cache.layers])

    in_segments(ours, random_ids(2, 26), lengths, watch=watch)
    ends = torch.tensor(lengths).cumsum(0).tolist()
    assert held == [[end % CHUNK] * 3 + [end] for end in ends]
    assert max(rooms) <= CHUNK


def test_bytes():
    """After 19 tokens a chunked layer holds three."""
    ours, _ = text_pair()
    cache = KVCache(TEXT)
    assert (cache.num_bytes, cache.length, cache.batch_size) == (0, 0, None)
    with torch.no_grad():
        ours(random_ids(2, 19), cache=cache)
    slot = bytes_of_a_slot(rows=2)
    chunked, full = cache.layers[0].num_bytes, cache.layers[3].num_bytes
    assert chunked == 3 * slot and 19 * slot <= full <= 38 * slot
    assert cache.num_bytes == 3 * chunked + full
    assert (cache.length, cache.batch_size, cache.positions) == (19, 2, None)


def test_memory_is_let_go_when_a_chunk_ends():
    layer = LayerCache(limit=8)
    key = random_tensor(1, 1, 8, 4)
    layer.update(key[:, :, :6], key[:, :, :6], keep=6)
    assert layer.num_bytes > 0
    seen, _ = layer.update(key[:, :, 6:], key[:, :, 6:], keep=0)
    assert torch.equal(seen, key) and (layer.length, layer.num_bytes) == (0, 0)


def test_room_grows_by_doubling():
    """A token costs one copy of itself, not one of everything before it."""
    layer, rooms = LayerCache(limit=None), []
    for step in range(100):
        token = torch.full((1, 1, 1, 2), float(step))
        key, value = layer.update(token, -token, keep=step + 1)
        rooms.append(layer.num_bytes // (2 * 4 * 2))
        assert key[0, 0, :, 0].tolist() == list(range(step + 1)) and torch.equal(value, -key)
    assert sorted(set(rooms)) == [2, 6, 14, 30, 62, 126]  # twice what is needed, each time


def test_twenty_thousand_tokens_in_bounded_memory():
    """One mask of T x T booleans would be 381 MiB, the scores of one head in float32 four times that."""
    config = dataclasses.replace(
        TEXT, hidden_size=16, num_layers=2, nope_interval=2, num_query_heads=1, num_kv_heads=1, head_dim=8,
        expert_width=16, chunk_size=3000, floor_scale=64, max_positions=20000,
    )  # fmt: skip
    model = Llama4Text(config)
    model.init_weights(0.3, seed=0)
    ids = random_ids(1, 20000)
    mask, logits = torch.ones_like(ids), {}
    mask[:, :9] = 0

    @torch.no_grad()
    def whole():
        logits["whole"] = model(ids, logits_to_keep=3000)

    @torch.no_grad()
    def padded():
        logits["padded"] = model(torch.cat([ids[:, :9], ids[:, :-9]], 1), attention_mask=mask, logits_to_keep=3000)

    def segments():
        logits["segments"] = in_segments(model, ids, [7000, 7000, 6000])[:, -3000:]

    peaks = [peak_bytes(run) / 2**20 for run in (whole, segments, padded)]
    assert max(peaks) < 100, peaks  # MiB
    torch.testing.assert_close(logits["segments"], logits["whole"], rtol=0, atol=5e-5)
    torch.testing.assert_close(logits["padded"][:, 9:], logits["whole"][:, :-9], rtol=0, atol=5e-5)


# Where tokens stand


def test_placement_of_plain_rows_needs_no_table():
    placement = place_tokens((2, 3), torch.device("cpu"))
    assert (placement.key, placement.past, placement.query.tolist()) == (None, 0, [[0, 1, 2]])
    placement = place_tokens((2, 3), torch.device("cpu"), attention_mask=torch.ones(2, 3))
    assert placement.key is None  # a mask that hides nothing is none


def test_placement_of_padded_rows():
    mask = torch.tensor([[0, 0, 1], [1, 1, 1]])
    placement = place_tokens((2, 3), torch.device("cpu"), attention_mask=mask)
    assert placement.query.tolist() == placement.key.tolist() == [[-1, -1, 0], [0, 1, 2]]
    cache = KVCache(TEXT)
    cache.begin(placement, 2)
    cache.finish()
    later = place_tokens((2, 2), torch.device("cpu"), cache, torch.tensor([[1, 1], [0, 1]]))
    assert (later.past, later.query.tolist()) == (3, [[1, 2], [-1, 3]])
    assert later.key.tolist() == [[-1, -1, 0, 1, 2], [0, 1, 2, -1, 3]]


# Misuse


def filled_cache(batch=2, num_tokens=5, mask=None):
    ours, _ = text_pair()
    cache = KVCache(TEXT)
    with torch.no_grad():
        ours(random_ids(batch, num_tokens), attention_mask=mask, cache=cache)
    return ours, cache


@pytest.mark.parametrize("mask", [None, torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]])], ids=["plain", "padded"])
def test_another_batch_size(mask):
    ours, cache = filled_cache(mask=mask)
    with torch.no_grad(), pytest.raises(UserError, match="the cache holds a batch of 2, the new tokens are one of 3"):
        ours(random_ids(3, 1), cache=cache)
    with torch.no_grad():
        ours(random_ids(2, 1), cache=cache)  # the cache is as good as before


def test_gradients():
    ours, _ = text_pair()
    ours = Llama4Text(TEXT)
    ours.init_weights(seed=0)
    with pytest.raises(UserError, match=r"keeps no gradients: use torch\.no_grad\(\)"):
        ours(random_ids(1, 3), cache=KVCache(TEXT))
    ours.requires_grad_(False)(random_ids(1, 3), cache=KVCache(TEXT))


def test_an_interrupted_pass(monkeypatch):
    ours, cache = filled_cache()

    def interrupt(*inputs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, torch.no_grad(), pytest.raises(KeyboardInterrupt):
        patch.setattr(ours.model.layers[2], "forward", interrupt)
        ours(random_ids(2, 1), cache=cache)
    with torch.no_grad(), pytest.raises(UserError, match=r"last forward pass was interrupted.*make a new KVCache"):
        ours(random_ids(2, 1), cache=cache)


@pytest.mark.parametrize("shape", [(2, 3), (2, 6), (1, 4), (2, 4, 1), (8,), (2, 0)], ids=str)
def test_masks_of_other_shapes(shape):
    ours, _ = text_pair()
    with pytest.raises(UserError, match=r"attention_mask is \[.*\]; expected \[2, 4\]$"):
        ours(random_ids(2, 4), attention_mask=torch.ones(shape))


def test_masks_of_other_shapes_with_a_past():
    ours, cache = filled_cache()
    with torch.no_grad(), pytest.raises(UserError, match=r"attention_mask is \[2, 7\]; expected \[2, 4\] or \[2, 9\]$"):
        ours(random_ids(2, 4), attention_mask=torch.ones(2, 7), cache=cache)


@pytest.mark.parametrize("shape", [(2, 3), (3, 4), (4,)], ids=str)
def test_positions_of_other_shapes(shape):
    ours, _ = text_pair()
    with pytest.raises(UserError, match=r"position_ids is \[.*\]; expected \[2, 4\]"):
        ours(random_ids(2, 4), position_ids=torch.zeros(shape, dtype=torch.long))


@pytest.mark.parametrize("positions", [[0, 1, 1, 2], [3, 2, 1, 0], [0, 2, 1, 3]], ids=str)
def test_positions_that_do_not_grow(positions):
    ours, _ = text_pair()
    with pytest.raises(UserError, match="position_ids must grow along each row"):
        ours(random_ids(2, 4), position_ids=torch.tensor([positions]))


def test_positions_below_zero():
    ours, _ = text_pair()
    positions = torch.tensor([[-1, 0, 1, 2]])
    with pytest.raises(UserError, match="position_ids must be 0 or more; padding is marked in attention_mask"):
        ours(random_ids(1, 4), position_ids=positions)
    mask = torch.tensor([[0, 1, 1, 1]])
    with torch.no_grad():
        assert torch.equal(
            ours(random_ids(1, 4), position_ids=positions, attention_mask=mask),
            ours(random_ids(1, 4), attention_mask=mask),
        )


def test_positions_that_do_not_continue_the_cache():
    ours, cache = filled_cache()
    with torch.no_grad(), pytest.raises(UserError, match="continue after those in the cache"):
        ours(random_ids(2, 2), position_ids=torch.tensor([[4, 5]]), cache=cache)


def test_more_tokens_than_the_context():
    config = dataclasses.replace(TEXT, max_positions=20)
    ours = Llama4Text(config)
    ours.init_weights(seed=0)
    cache = KVCache(config)
    with torch.no_grad():
        ours(random_ids(1, 16), cache=cache)
        with pytest.raises(UserError, match="21 tokens exceed the context of 20"):
            ours(random_ids(1, 5), cache=cache)
        ours(random_ids(1, 4), cache=cache)


def test_config_without_chunks_keeps_everything():
    cache = KVCache(TextConfig(chunk_size=None))
    assert [layer.limit for layer in cache.layers] == [None] * 48
