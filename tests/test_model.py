import dataclasses

import pytest
import torch
import transformers

from llama4_explained import MAVERICK, SCOUT, TINY, KVCache, Llama4, Llama4Text, UserError
from llama4_explained.check.twins import hf_config, pair
from oracle import TEXT, VISION, WHOLE, assert_equals_hf, logits_of_hf, random_ids, random_tensor, text_pair, whole_pair

PATCH, PER_TILE = WHOLE.patch_id, VISION.tokens_per_tile
TIED = dataclasses.replace(TEXT, tie_embeddings=True)


def ids_with_tiles(*tiles_per_row, seed=0):
    """Rows of 45 tokens, with the patches of so many tiles somewhere in each."""
    ids = random_ids(len(tiles_per_row), 45, seed=seed)
    for row, tiles in enumerate(tiles_per_row):
        start = 3 + 2 * row
        ids[row, start : start + tiles * PER_TILE] = PATCH
    return ids


# Against HF's


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_text_equals_hf(implementation):
    ours, theirs = text_pair(TEXT, implementation)
    ids = random_ids(3, 27)
    with torch.no_grad():
        assert_equals_hf(ours(ids), *logits_of_hf(theirs, ids))


@pytest.mark.parametrize("tiles", [(1,), (3,), (2, 1), (0, 4, 1)], ids=str)
def test_images_equal_hf(tiles):
    ours, theirs = whole_pair()
    ids, pixel_values = ids_with_tiles(*tiles), random_tensor(sum(tiles), 3, 24, 24)
    with torch.no_grad():
        assert_equals_hf(ours(ids, pixel_values), *logits_of_hf(theirs, ids, pixel_values=pixel_values))


def test_text_without_images_equals_hf():
    ours, theirs = whole_pair()
    with torch.no_grad():
        assert_equals_hf(ours(random_ids(2, 20)), *logits_of_hf(theirs, random_ids(2, 20)))


def test_images_in_segments_and_padded_rows_equal_hf_alone():
    ours, theirs = whole_pair()
    ids, pixel_values = ids_with_tiles(2, 1), random_tensor(3, 3, 24, 24)
    padded = torch.cat([ids[1:, :5], ids[1:, :-5]], dim=1)  # five tokens of padding, and row 1's text after them
    mask = torch.ones(2, 45, dtype=torch.long)
    mask[1, :5] = 0
    with torch.no_grad():
        logits = ours(torch.cat([ids[:1], padded]), pixel_values, attention_mask=mask)
        cache = KVCache(TEXT)
        embeddings = ours.embed_in_segments(torch.cat([ids[:1], padded]), pixel_values, 11)
        segments = [
            ours.logits(part, attention_mask=real, cache=cache)
            for part, real in zip(embeddings, mask.split(11, 1), strict=True)
        ]
    for result in (logits, torch.cat(segments, dim=1)):
        assert_equals_hf(result[:1], *logits_of_hf(theirs, ids[:1], pixel_values=pixel_values[:2]))
        alone = logits_of_hf(theirs, padded[:, 5:], pixel_values=pixel_values[2:])
        assert_equals_hf(result[1:, 5:], *alone)


def test_tile_order_matters():
    ours, _ = whole_pair()
    ids, pixel_values = ids_with_tiles(2), random_tensor(2, 3, 24, 24)
    with torch.no_grad():
        assert (ours(ids, pixel_values) - ours(ids, pixel_values.flip(0))).abs().max() > 0.1


def test_tied_embeddings_equal_hf():
    ours, theirs = text_pair(TIED)
    assert ours.lm_head.weight is ours.model.embed_tokens.weight
    assert theirs.lm_head.weight is theirs.model.embed_tokens.weight
    with torch.no_grad():
        assert_equals_hf(ours(random_ids(2, 20)), *logits_of_hf(theirs, random_ids(2, 20)))


@pytest.mark.parametrize("keep", [1, 5, 26, 30])
def test_logits_to_keep(keep):
    ours, _ = text_pair()
    ids = random_ids(2, 26)
    with torch.no_grad():
        torch.testing.assert_close(ours(ids, logits_to_keep=keep), ours(ids)[:, -keep:], rtol=0, atol=2e-6)


# Types


def test_bfloat16_runs_and_is_as_good_as_hf():
    ours, theirs = whole_pair(WHOLE, dtype=torch.bfloat16)
    ids, pixel_values = ids_with_tiles(1), random_tensor(1, 3, 24, 24)
    with torch.no_grad():
        logits = ours(ids, pixel_values)
        expected, exact = logits_of_hf(theirs, ids, pixel_values=pixel_values.bfloat16())
    assert logits.dtype == torch.bfloat16 and logits.isfinite().all()
    # Rounding may send a token to another expert, in HF's model and in ours; on average both are equally far off.
    assert (logits - exact).abs().mean() <= 1.25 * (expected - exact).abs().mean()


@pytest.mark.filterwarnings("ignore:Casting complex values to real")
def test_to_bfloat16_ruins_nothing():
    """HF's vision rotation is a complex buffer, which `.to(dtype)` strips of its imaginary half. We have none."""
    assert list(Llama4(WHOLE).buffers()) == []
    ours, theirs = pair(WHOLE, std=0.2)
    loaded, _ = whole_pair(WHOLE, dtype=torch.bfloat16)  # the same weights, built in bfloat16
    pixel_values = random_tensor(2, 3, 24, 24)
    with torch.no_grad():
        moved = ours.to(torch.bfloat16)
        assert torch.equal(moved.vision_model(pixel_values), loaded.vision_model(pixel_values))
        assert torch.equal(moved(ids_with_tiles(2), pixel_values), loaded(ids_with_tiles(2), pixel_values))
        back = moved.to(torch.float32)
        assert back.vision_model(pixel_values).dtype == torch.float32
    rotation = theirs.vision_model.rotary_embedding.freqs_ci
    assert rotation.is_complex() and not theirs.to(torch.bfloat16).vision_model.rotary_embedding.freqs_ci.is_complex()


# Weights


@pytest.mark.parametrize("config", [TEXT, TIED, WHOLE], ids=["text", "tied", "whole"])
def test_weights_go_to_hf_and_back(config):
    ours = Llama4(config) if config is WHOLE else Llama4Text(config)
    ours.init_weights(0.2, seed=3)
    kind = transformers.Llama4ForConditionalGeneration if config is WHOLE else transformers.Llama4ForCausalLM
    theirs = kind(hf_config(config)).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    other = Llama4(config) if config is WHOLE else Llama4Text(config)
    other.load_state_dict(theirs.state_dict(), strict=True)
    assert other.state_dict().keys() == ours.state_dict().keys()
    assert all(torch.equal(weight, other.state_dict()[name]) for name, weight in ours.state_dict().items())
    ids = random_ids(1, 20)
    with torch.no_grad():
        assert_equals_hf(ours(ids), *logits_of_hf(theirs, ids))


def test_missing_and_unexpected_weights():
    ours = Llama4Text(TEXT)
    state = ours.state_dict()
    with pytest.raises(RuntimeError, match="Missing key"):
        ours.load_state_dict({name: weight for name, weight in state.items() if "router" not in name}, strict=True)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        ours.load_state_dict({**state, "model.layers.0.self_attn.q_proj.bias": torch.zeros(72)}, strict=True)


def test_built_on_the_meta_device():
    with torch.device("meta"):
        ours = Llama4(TINY)
    assert {parameter.device.type for parameter in ours.parameters()} == {"meta"}
    ours.to_empty(device="cpu").init_weights(seed=0)
    other = Llama4(TINY)
    other.init_weights(seed=0)
    assert all(torch.equal(weight, other.state_dict()[name]) for name, weight in ours.state_dict().items())


def test_number_of_parameters():
    """Counted on the published configurations, without weights."""
    with torch.device("meta"):
        scout, maverick = Llama4(SCOUT), Llama4(MAVERICK)

    def billions(*modules):
        return round(sum(weight.numel() for module in modules for weight in module.parameters()) / 1e9, 2)

    assert (billions(scout), billions(scout.language_model), billions(scout.vision_model)) == (108.64, 107.77, 0.85)
    assert billions(*(layer.feed_forward.experts for layer in scout.language_model.model.layers)) == 96.64
    assert billions(maverick) == 401.58


def test_initial_weights():
    config = dataclasses.replace(
        WHOLE, text=dataclasses.replace(TEXT, init_std=0.03), vision=dataclasses.replace(VISION, init_std=0.07)
    )
    model = Llama4(config)
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    model.init_weights(seed=5)
    for name, weight in model.state_dict().items():
        if "norm" in name or name.endswith("bias"):
            assert torch.equal(weight, torch.full_like(weight, float("norm" in name and name.endswith("weight")))), name
        else:
            is_vision = name.startswith("vision_model")
            std = (
                VISION.hidden_size**-0.5
                if "_embedding" in name and is_vision and "patch" not in name
                else 0.07
                if is_vision
                else 0.03
            )
            sigma = std * weight.numel() ** -0.5
            assert (
                abs(weight.mean()) < 4 * sigma and abs(weight.std() / std - 1) < 4 * (2 * weight.numel()) ** -0.5 + 0.02
            ), name
    assert torch.equal(model.language_model.model.embed_tokens.weight[TEXT.pad_id], torch.zeros(48))


def test_initial_weights_follow_the_seed():
    first, second, third = Llama4Text(TEXT), Llama4Text(TEXT), Llama4Text(TEXT)
    first.init_weights(seed=1)
    second.init_weights(seed=1)
    third.init_weights(seed=2)
    weights = [model.lm_head.weight for model in (first, second, third)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    first.init_weights(1.5, seed=1)
    assert first.lm_head.weight.std().item() == pytest.approx(1.5, rel=0.05)


def test_the_padding_row_is_zero_even_if_the_output_head_shares_it():
    model = Llama4Text(TIED)
    model.init_weights(seed=0)
    assert torch.equal(model.lm_head.weight[TEXT.pad_id], torch.zeros(48))
    assert model.lm_head.weight is model.model.embed_tokens.weight


# Errors


@pytest.mark.parametrize("token", [-1, 96, 100000])
def test_ids_outside_the_vocabulary(token):
    ids = random_ids(1, 5)
    ids[0, 3] = token
    for model in (text_pair()[0], whole_pair()[0]):
        with pytest.raises(UserError, match=f"token id {token} is outside the vocabulary of 96"):
            model(ids)


@pytest.mark.parametrize("shape", [(1, 0), (0, 3), (3,), (1, 2, 3)], ids=str)
def test_ids_of_other_shapes(shape):
    with pytest.raises(UserError, match=r"input_ids is \[.*\]; expected \[batch, tokens\] with at least one token"):
        text_pair()[0](torch.zeros(shape, dtype=torch.long))


def test_ids_that_are_no_integers():
    with pytest.raises(UserError, match=r"input_ids are torch\.float32; expected integers"):
        text_pair()[0](torch.ones(1, 3))


def test_images_that_do_not_match_the_text():
    ours, _ = whole_pair()
    with pytest.raises(UserError, match="the text has 9 patch tokens but there are no pixel_values"):
        ours(ids_with_tiles(1))
    with pytest.raises(UserError, match=r"the text has 9 patch tokens, the images make 18 \(2 tiles of 9\)"):
        ours(ids_with_tiles(1), random_tensor(2, 3, 24, 24))
    with pytest.raises(UserError, match="the text has 0 patch tokens, the images make 9"):
        ours(random_ids(1, 20), random_tensor(1, 3, 24, 24))
    with pytest.raises(UserError, match=r"pixel_values is \[1, 3, 20, 20\]; expected \[tiles, 3, 24, 24\]"):
        ours(ids_with_tiles(1), random_tensor(1, 3, 20, 20))


def test_text_alone_sees_no_images():
    with pytest.raises(UserError, match="Llama4Text sees no images; use Llama4"):
        text_pair()[0](random_ids(1, 3), random_tensor(1, 3, 24, 24))


def test_more_tokens_than_the_context():
    ours = Llama4Text(dataclasses.replace(TEXT, max_positions=20))
    with pytest.raises(UserError, match="21 tokens exceed the context of 20"):
        ours(random_ids(1, 21))
    with torch.no_grad():
        ours(random_ids(1, 20))
