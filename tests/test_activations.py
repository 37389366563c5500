import dataclasses

import pytest
import torch

from llama4_explained import KVCache, Llama4Text, TextConfig, VisionConfig, number_formats
from llama4_explained.activations import dequantized_bytes, text_step_bytes, vision_bytes
from llama4_explained.quantize import quantize_model_
from llama4_explained.vision import VisionModel
from oracle import random_ids
from peak_memory import peak_bytes

# Wide enough for tensors to outweigh what PyTorch allocates beside them.
TEXT = TextConfig(
    vocab_size=128, hidden_size=128, num_layers=2, num_query_heads=4, num_kv_heads=2, head_dim=32, expert_width=160,
    dense_width=320, num_experts=4, nope_interval=2, chunk_size=64, floor_scale=64, max_positions=4096, bos_id=1,
    eos_ids=(2,), pad_id=None,
)  # fmt: skip
SHAPES = {
    "experts": TEXT,
    "three experts a token": dataclasses.replace(TEXT, experts_per_token=3),
    "dense": dataclasses.replace(TEXT, moe_layers=()),
    "many heads": dataclasses.replace(TEXT, num_query_heads=16, num_kv_heads=4, expert_width=64),
    "large vocabulary": dataclasses.replace(TEXT, vocab_size=50000),
}


@torch.no_grad()
def measured(config, batch, num_tokens, num_past, dtype, quantize=None) -> int:
    """What one step holds at its peak, the cache's growth left out. All tokens choose the same experts."""
    model = Llama4Text(config)
    model.init_weights(seed=0)
    for layer in model.model.layers:
        if hasattr(layer.feed_forward, "router"):
            layer.feed_forward.router.weight.zero_()
    model.to(dtype)
    if quantize:
        quantize_model_(model, quantize)
    cache = KVCache(config)
    if num_past:
        model(random_ids(batch, num_past), cache=cache, logits_to_keep=1)
    embeddings, held = model.embed(random_ids(batch, num_tokens)), cache.num_bytes
    peak = peak_bytes(lambda: model.logits(embeddings, cache=cache, logits_to_keep=1))
    return peak - max(0, cache.num_bytes - held)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("batch", "num_tokens", "num_past"), [(2, 256, 0), (1, 100, 400)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_step_holds_no_more_than_estimated_and_not_much_less(shape, batch, num_tokens, num_past, dtype):
    """1 % for tensors of a few numbers a token, such as positions, that the estimate leaves out."""
    estimate = text_step_bytes(SHAPES[shape], batch, num_tokens, num_past, dtype.itemsize)
    assert 0.5 * estimate < measured(SHAPES[shape], batch, num_tokens, num_past, dtype) < 1.01 * estimate


@pytest.mark.parametrize("shape", ["experts", "three experts a token", "dense"])
def test_where_feed_forwards_hold_most_the_estimate_is_close(shape):
    estimate = text_step_bytes(SHAPES[shape], 2, 256, 0, 4)
    assert measured(SHAPES[shape], 2, 256, 0, torch.float32) == pytest.approx(estimate, rel=0.02)


@pytest.mark.parametrize("name", ["int4", "int8", "fp8"])
@pytest.mark.parametrize("shape", ["experts", "dense"])
def test_a_quantised_step_holds_no_more_than_estimated_and_not_much_less(shape, name, monkeypatch):
    monkeypatch.setattr(number_formats, "BLOCK", 64 * 128)
    config = SHAPES[shape]
    estimate = text_step_bytes(config, 2, 256, 0, 2, rounds_inputs=name == "fp8") + 12 * 64 * 128
    assert 0.5 * estimate < measured(config, 2, 256, 0, torch.bfloat16, name) < 1.01 * estimate


def test_blocks_of_rows_bound_what_codes_become():
    assert dequantized_bytes(TEXT) == 12 * 320 * 128
    assert dequantized_bytes(TextConfig()) == 12 * number_formats.BLOCK


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [32, 128])
def test_the_tower_holds_no_more_than_estimated_and_not_much_less(width, dtype):
    config = VisionConfig(
        image_size=112, hidden_size=width, num_layers=2, num_heads=2, mlp_width=4 * width, adapter_width=64
    )
    model = VisionModel(config).to(dtype)

    @torch.no_grad()
    def look():
        model(torch.zeros(5, 3, 112, 112, dtype=dtype))

    estimate = vision_bytes(config, 5, dtype.itemsize)
    assert 0.7 * estimate < peak_bytes(look) < 1.01 * estimate
