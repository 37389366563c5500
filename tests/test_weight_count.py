import dataclasses

import pytest
import torch
import transformers

from llama4_explained import MAVERICK, SCOUT, Llama4, Llama4Text
from llama4_explained.number_formats import PRESETS, QuantizationConfig
from llama4_explained.quantize import quantize_model_
from llama4_explained.weight_count import active_parameters, count_weights, text_parameters
from oracle import TEXT, WHOLE

TIED = dataclasses.replace(TEXT, tie_embeddings=True)


def total_bytes(config, quantize, dtype=torch.bfloat16) -> int:
    quantization = None if quantize is None else QuantizationConfig.of(quantize)
    return sum(part.num_bytes for part in count_weights(config, quantization, dtype))


# The published sizes


@pytest.mark.parametrize("config", [SCOUT, MAVERICK], ids=["scout", "maverick"])
def test_as_many_parameters_as_hf(config):
    hf_config = transformers.AutoConfig.for_model(**config.to_hf_dict())
    with torch.device("meta"):
        theirs = transformers.Llama4ForConditionalGeneration(hf_config)
    weights = count_weights(config, None, torch.bfloat16)
    assert sum(part.parameters for part in weights) == theirs.num_parameters()
    assert text_parameters(weights) == theirs.language_model.num_parameters()


@pytest.mark.parametrize(
    # In units of 10^9: all, text, routed experts, active; as announced and counted.
    ("config", "counts"),
    [(SCOUT, ["108.64", "107.77", "96.64", "17.17"]), (MAVERICK, ["401.58", "400.71", "386.55", "17.18"])],
    ids=["scout", "maverick"],
)
def test_published_sizes(config, counts):
    weights = count_weights(config, None, torch.bfloat16)
    parts = {part.part: part.parameters for part in weights}
    found = [sum(parts.values()), text_parameters(weights), parts["routed experts"]]
    found.append(active_parameters(weights, config.text))
    assert [f"{number / 1e9:.2f}" for number in found] == counts


@pytest.mark.parametrize(
    ("quantize", "gigabytes"),
    [
        (None, 215.5),
        ("int8", 108.8),
        ("fp8", 108.8),
        (QuantizationConfig("int4", 128, symmetric=True), 57.6),
        ("int4", 59.3),
        (QuantizationConfig("int4", 64), 62.6),
    ],
    ids=str,
)
def test_scouts_language_half_in_every_format(quantize, gigabytes):
    """Embeddings in bfloat16, the head in int8; 4 + 32/128 = 4.25 bits for a weight in int4."""
    assert total_bytes(SCOUT.text, quantize) / 1e9 == pytest.approx(gigabytes, abs=0.06)


def test_int4_to_the_byte():
    """Groups of 128 divide every width of Scout: each costs 64 bytes of codes and 4 of scale and zero."""
    parts = {part.part: part for part in count_weights(SCOUT, PRESETS["int4"], torch.bfloat16)}
    for name in ("routed experts", "shared experts", "attention"):
        assert parts[name].num_bytes == parts[name].parameters // 128 * 68
    head = parts["output head"]
    assert head.num_bytes == head.parameters + 2 * SCOUT.text.vocab_size
    for name in ("embeddings", "routers and norms", "vision", "projector"):
        assert parts[name].num_bytes == 2 * parts[name].parameters


# A real model takes as much


def bytes_of(model) -> int:
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in model.state_dict().values()}.values())


@pytest.mark.parametrize("quantize", [None, *PRESETS, QuantizationConfig("int3", 20, symmetric=True)], ids=str)
@pytest.mark.parametrize("config", [WHOLE, TEXT, TIED], ids=["whole", "text", "tied"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_bytes_are_those_of_a_real_model(config, quantize, dtype):
    model = Llama4(config) if config is WHOLE else Llama4Text(config)
    model.init_weights(seed=0)
    if quantize is not None:
        quantize_model_(model, quantize)
    assert total_bytes(config, quantize, dtype) == bytes_of(model.to(dtype))


def test_parts_are_those_of_a_real_model():
    model = Llama4(WHOLE)
    layers = model.language_model.model.layers
    moe = [layer.feed_forward for layer in layers if hasattr(layer.feed_forward, "router")]
    dense = [layer.feed_forward for layer in layers if not hasattr(layer.feed_forward, "router")]
    norms = [norm for layer in layers for norm in (layer.input_layernorm, layer.post_attention_layernorm)]
    expected = {
        "routed experts": [block.experts for block in moe],
        "shared experts": [block.shared_expert for block in moe],
        "dense feed-forwards": dense,
        "attention": [layer.self_attn for layer in layers],
        "routers and norms": [*norms, *(block.router for block in moe), model.language_model.model.norm],
        "embeddings": [model.language_model.model.embed_tokens],
        "output head": [model.language_model.lm_head],
        "vision": [model.vision_model],
        "projector": [model.multi_modal_projector],
    }
    found = {part.part: part.parameters for part in count_weights(WHOLE, None, torch.float32)}
    assert found == {
        part: sum(parameter.numel() for module in modules for parameter in module.parameters())
        for part, modules in expected.items()
    }


def test_a_tied_head_is_counted_once():
    parts = {part.part: part for part in count_weights(TIED, PRESETS["int4"], torch.bfloat16)}
    assert "output head" not in parts
    assert parts["embeddings"].format == "bfloat16"


def test_active_parameters_leave_out_experts_that_are_not_chosen():
    """Two of five experts in two of four layers: 3 idle ones of 3 * 48 * 20 weights, twice."""
    weights = count_weights(TEXT, None, torch.bfloat16)
    assert text_parameters(weights) - active_parameters(weights, TEXT) == 2 * 3 * (3 * 48 * 20)
