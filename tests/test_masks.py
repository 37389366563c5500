import pytest
import torch

from llama4_explained import SCOUT, UserError
from llama4_explained.check.hf_versions import CACHE_NAME, with_cache
from llama4_explained.masks import allowed_keys, causal_mask, chunked_causal_mask, positions_from_mask
from oracle import TEXT, random_ids, text_pair


def picture(rows):
    return torch.tensor([[mark == "x" for mark in row] for row in rows.split()])


def test_causal_mask():
    assert torch.equal(causal_mask(4), picture("x... xx.. xxx. xxxx"))


def test_chunked_causal_mask():
    expected = picture("""
        x.......
        xx......
        xxx.....
        ...x....
        ...xx...
        ...xxx..
        ......x.
        ......xx
    """)
    assert torch.equal(chunked_causal_mask(8, 3), expected)


def test_a_chunk_is_no_sliding_window():
    mask = chunked_causal_mask(9, 4)
    assert mask.sum(-1).tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 1]
    assert torch.equal(chunked_causal_mask(9, 9), causal_mask(9))
    assert torch.equal(chunked_causal_mask(9, 1), torch.eye(9, dtype=torch.bool))


@pytest.mark.parametrize("chunk_size", [0, -1])
def test_a_chunk_has_at_least_one_token(chunk_size):
    with pytest.raises(UserError, match=f"chunk_size must be at least 1, got {chunk_size}"):
        chunked_causal_mask(8, chunk_size)


def test_positions_from_mask():
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [1, 0, 1, 1, 0], [0, 0, 0, 0, 0]])
    expected = torch.tensor([[0, 1, 2, 3, 4], [-1, -1, 0, 1, 2], [0, -1, 1, 2, -1], [-1, -1, -1, -1, -1]])
    assert torch.equal(positions_from_mask(mask), expected)
    assert torch.equal(positions_from_mask(mask.bool()), expected)
    assert torch.equal(
        positions_from_mask(mask[:2, 1:], torch.tensor([[7], [3]])), torch.tensor([[7, 8, 9, 10], [-1, 3, 4, 5]])
    )


def test_left_padding_shifts_the_chunks():
    positions = torch.tensor([[-1, -1, 0, 1, 2, 3, 4]])
    assert torch.equal(allowed_keys(positions, positions, 3)[0], picture("""
        .......
        .......
        ..x....
        ..xx...
        ..xxx..
        .....x.
        .....xx
    """))  # fmt: skip


def test_padding_in_the_middle_is_seen_by_nobody():
    positions = torch.tensor([[0, 1, -1, -1, 2, 3]])
    assert torch.equal(allowed_keys(positions, positions, 3)[0], picture("x..... xx.... ...... ...... xx..x. .....x"))
    assert torch.equal(
        allowed_keys(positions, positions, None)[0], picture("x..... xx.... ...... ...... xx..x. xx..xx")
    )


def test_rows_of_a_batch_and_cached_keys():
    keys = torch.tensor([[0, 1, 2, 3, 4, 5], [-1, -1, 0, 1, 2, 3]])
    allowed = allowed_keys(keys[:, 4:], keys, 4)
    assert torch.equal(allowed, torch.stack([picture("....x. ....xx"), picture("..xxx. ..xxxx")]))


def test_scouts_first_chunk_ends_at_8191():
    query = torch.tensor([[8191, 8192, 8193]])
    allowed = allowed_keys(query, torch.arange(8194)[None], SCOUT.text.chunk_size)[0]
    assert allowed.sum(-1).tolist() == [8192, 1, 2]


def attention_pattern_of_hf(theirs, input_ids, **inputs):
    """Which keys got any attention, [B, T, S] of every layer."""
    with torch.no_grad():
        attentions = theirs(input_ids, output_attentions=True, **inputs).attentions
    return [(weights > 0).any(dim=1) for weights in attentions]


@pytest.mark.parametrize("num_tokens", [1, 7, 8, 9, 15, 16, 17, 24, 25])
def test_equals_what_hf_looks_at(num_tokens):
    _, theirs = text_pair()
    chunked, _, _, full = attention_pattern_of_hf(theirs, random_ids(2, num_tokens))
    assert torch.equal(chunked, chunked_causal_mask(num_tokens, TEXT.chunk_size).expand(2, -1, -1))
    assert torch.equal(full, causal_mask(num_tokens).expand(2, -1, -1))


def test_equals_what_hf_looks_at_with_left_padding():
    _, theirs = text_pair()
    mask = torch.ones(3, 21, dtype=torch.long)
    mask[1, :3] = mask[2, :10] = 0
    chunked, _, _, full = attention_pattern_of_hf(theirs, random_ids(3, 21), attention_mask=mask)
    positions, real = positions_from_mask(mask), mask.bool()
    assert torch.equal(chunked[real], allowed_keys(positions, positions, TEXT.chunk_size)[real])
    assert torch.equal(full[real], allowed_keys(positions, positions, None)[real])


def test_equals_what_hf_looks_at_when_it_writes():
    """One new token at a time, across two chunk edges."""
    _, theirs = text_pair()
    ids = random_ids(2, 18)
    past = None
    for position in range(18):
        with torch.no_grad():
            output = theirs(ids[:, position : position + 1], use_cache=True, output_attentions=True, **with_cache(past))
        past = output[CACHE_NAME]
        seen = [(weights > 0).any(dim=1)[0, 0].sum().item() for weights in output.attentions]
        assert seen == [position % 8 + 1] * 3 + [position + 1]
