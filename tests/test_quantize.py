import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from llama4_explained import TINY, Llama4, Llama4Text, UserError, number_formats, quantize
from llama4_explained.feed_forward import FeedForward
from llama4_explained.linear import Linear
from llama4_explained.moe import Experts, MixtureOfExperts
from llama4_explained.number_formats import PRESETS, QuantizationConfig, dequantize, quantize_tensor, round_to_fp8
from llama4_explained.quantize import (
    QuantizedExperts,
    QuantizedLinear,
    QuantizedModule,
    empty_like,
    empty_model_,
    quantize_model_,
)
from oracle import TEXT, WHOLE, random_ids, random_tensor
from peak_memory import peak_bytes

FORMATS = [*PRESETS.values(), QuantizationConfig("int4", 20, symmetric=True)]


def linear(num_inputs: int = 72, num_outputs: int = 40, bias: bool = False) -> nn.Linear:
    module = nn.Linear(num_inputs, num_outputs, bias=bias)
    module.weight.data = random_tensor(num_outputs, num_inputs)
    return module


def experts(num_experts: int = 4, hidden_size: int = 24, width: int = 20) -> Experts:
    module = Experts(num_experts, hidden_size, width)
    module.gate_up_proj.data = random_tensor(*module.gate_up_proj.shape) * 0.2
    module.down_proj.data = random_tensor(*module.down_proj.shape, seed=1) * 0.2
    return module


def quantized(module, config):
    """The module's quantised counterpart, filled from it."""
    replacement = empty_like(module, config)
    for name in replacement.matrix_names:
        replacement.quantize_(name, getattr(module, name).detach())
    return replacement


def text_model(config, seed: int = 0) -> Llama4Text:
    model = Llama4Text(config)
    model.init_weights(seed=seed)
    return model


def with_rounded_weights(model, quantized_model):
    """A copy of the full model that holds, as ordinary numbers, what the quantised model's codes stand for."""
    rounded = copy.deepcopy(model)
    for path, module in quantized_model.named_modules():
        if isinstance(module, QuantizedModule):
            for name in module.matrix_names:
                values = dequantize(module.quantized(name))
                values = values.mT if module.input_axis_first else values
                getattr(rounded.get_submodule(path), name).data.copy_(values)
    return rounded


def relative_error(found, expected) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


# Linear maps


@pytest.mark.parametrize("config", FORMATS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_linear_multiplies_by_what_its_codes_stand_for(config, dtype):
    module, x = linear(bias=True).to(dtype), random_tensor(2, 3, 72, seed=5).to(dtype)
    weight = dequantize(quantize_tensor(module.weight.detach(), config), dtype)
    assert not torch.equal(weight, module.weight)
    expected = F.linear(round_to_fp8(x) if config.format == "fp8" else x, weight) + module.bias
    found = quantized(module, config)(x)
    assert found.dtype == dtype
    assert torch.equal(found, expected)


def test_linear_in_blocks_of_rows(monkeypatch):
    module, x = linear(), random_tensor(5, 72)
    whole = quantized(module, PRESETS["int4"])
    expected = whole(x)
    monkeypatch.setattr(number_formats, "BLOCK", 7 * 72)
    assert torch.equal(quantized(module, PRESETS["int4"]).weight, whole.weight)
    assert relative_error(whole(x), expected) < 1e-6


@pytest.mark.parametrize(("name", "decibels"), [("int8", 42), ("int4", 20.4), ("int3", 14.6), ("int2", 8.7)])
def test_a_linear_map_loses_as_much_as_its_weights(name, decibels):
    """Errors of independent weights add up as the weights do: the output's SQNR is theirs (see test_number_formats)."""
    module, x = linear(1024, 256), random_tensor(64, 1024, seed=5)
    with torch.no_grad():
        error = relative_error(quantized(module, PRESETS[name])(x), module(x))
    assert error == pytest.approx(10 ** (-decibels / 20), rel=0.1)


def test_fp8_rounds_weights_and_inputs():
    """Both at 31.6 dB, and their errors are independent."""
    module, x = linear(1024, 256), random_tensor(64, 1024, seed=5)
    with torch.no_grad():
        error = relative_error(quantized(module, PRESETS["fp8"])(x), module(x))
    assert error == pytest.approx(2**0.5 * 10 ** (-31.6 / 20), rel=0.1)


def test_gradients_reach_the_inputs():
    module, x = quantized(linear(), PRESETS["int4"]), random_tensor(5, 72).requires_grad_()
    module(x).sum().backward()
    assert torch.allclose(x.grad, dequantize(module.quantized("weight")).sum(0).expand(5, -1), atol=1e-5)


# Experts


@pytest.mark.parametrize("config", [config for config in FORMATS if config.format != "fp8"], ids=str)
@pytest.mark.parametrize("experts_per_token", [1, 3])
def test_experts_multiply_by_what_their_codes_stand_for(config, experts_per_token):
    module, tokens = experts(), random_tensor(9, 24, seed=5)
    index = torch.stack([torch.randperm(4, generator=torch.Generator().manual_seed(i)) for i in range(9)])
    index, score = index[:, :experts_per_token], random_tensor(9, experts_per_token, seed=6).sigmoid()
    replacement = quantized(module, config)
    rounded = copy.deepcopy(module)
    rounded.gate_up_proj.data = dequantize(quantize_tensor(module.gate_up_proj.detach().mT, config)).mT
    rounded.down_proj.data = dequantize(quantize_tensor(module.down_proj.detach().mT, config)).mT
    with torch.no_grad():
        expected = rounded(tokens, index, score)
        assert relative_error(replacement(tokens, index, score), expected) < 1e-6
        assert relative_error(module(tokens, index, score), expected) > 1e-3


def test_fp8_experts_round_every_input():
    module = experts()
    replacement = quantized(module, PRESETS["fp8"])
    tokens, score = random_tensor(6, 24, seed=5), torch.full((6, 1), 0.7)
    gate_up, down = (dequantize(replacement.quantized(name)[2]).mT for name in ("gate_up_proj", "down_proj"))
    gate, up = (round_to_fp8(tokens * 0.7) @ gate_up).chunk(2, dim=-1)
    expected = round_to_fp8(F.silu(gate) * up) @ down
    assert relative_error(replacement(tokens, torch.full((6, 1), 2), score), expected) < 1e-6


def test_groups_of_experts_run_along_the_input_axis():
    """A large weight coarsens the steps of its own expert, output and group of inputs; of nothing else."""
    module, config = experts(3, 24, 20), QuantizationConfig("int4", 8)
    before = quantized(module, config)
    module.gate_up_proj.data[1, 10, 33] = 100  # expert 1, input 10 (group 1), output 33
    module.down_proj.data[2, 3, 7] = 100  # expert 2, input 3 (group 0), output 7
    after = quantized(module, config)
    changed = {name: before.state_dict()[name] != after.state_dict()[name] for name in before.state_dict()}
    assert changed["gate_up_proj_scale"].nonzero().tolist() == [[1, 33, 1]]
    assert changed["down_proj_scale"].nonzero().tolist() == [[2, 7, 0]]
    assert before.gate_up_proj_scale.shape == (3, 40, 3) and before.down_proj_scale.shape == (3, 24, 3)


def test_only_active_experts_become_numbers(monkeypatch):
    replacement = quantized(experts(), PRESETS["int4"])
    seen = []

    def watched(matrix, dtype):
        seen.append(matrix.codes.data_ptr())
        return dequantize(matrix, dtype)

    monkeypatch.setattr(quantize, "dequantize", watched)
    index = torch.tensor([[3], [1], [3], [3]])
    replacement(random_tensor(4, 24), index, torch.ones(4, 1))
    gate_up, down = replacement.gate_up_proj, replacement.down_proj
    assert seen == [x.data_ptr() for x in (gate_up[1], down[1], gate_up[3], down[3])]


# Filling from full weights


@pytest.mark.parametrize("module", [linear(72, 40), experts(3, 24, 20)], ids=["linear", "experts"])
def test_wrong_shapes_are_refused(module):
    replacement = empty_like(module, PRESETS["int4"])
    for name in replacement.matrix_names:
        expected = getattr(module, name)
        with pytest.raises(UserError, match=rf"{name} is \[.*\]; expected \{list(expected.shape)}"):
            replacement.quantize_(name, expected.detach().mT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_may_arrive_in_any_type(dtype):
    module = experts().to(dtype)
    assert torch.equal(
        quantized(module, PRESETS["int4"]).down_proj, quantized(module.float(), PRESETS["int4"]).down_proj
    )


def test_quantising_experts_holds_little_twice(monkeypatch):
    """Beside the codes: blocks in float32. Eight experts of 128 x 256 are a megabyte; a block of 32 rows is 16 kB."""
    monkeypatch.setattr(number_formats, "BLOCK", 32 * 128)
    weight = random_tensor(8, 128, 256)
    replacement = QuantizedExperts(8, 128, 128, PRESETS["int4"])
    peak = peak_bytes(lambda: replacement.quantize_("gate_up_proj", weight))
    kept = replacement.quantized("gate_up_proj").num_bytes
    assert kept < peak < kept + 8 * 16384


# Whole models


def expected_plan(config, prefix: str = "") -> dict[str, QuantizationConfig]:
    paths = {}
    for i, layer in enumerate(config.layer_plan):
        here = f"{prefix}model.layers.{i}"
        names = [f"self_attn.{x}_proj" for x in "qkvo"]
        dense = "feed_forward.shared_expert" if layer.is_moe else "feed_forward"
        names += ["feed_forward.experts"] * layer.is_moe + [f"{dense}.{x}_proj" for x in ("gate", "up", "down")]
        paths |= {f"{here}.{name}": PRESETS["int4"] for name in names}
    return {**paths, f"{prefix}lm_head": PRESETS["int8"]}


@pytest.mark.parametrize("config", [TINY.text, TEXT])
def test_plan_of_a_text_model(config):
    with torch.device("meta"):
        model = Llama4Text(config)
    assert quantize.plan(model, "int4") == expected_plan(config)


def test_plan_of_a_whole_model_leaves_vision_alone():
    with torch.device("meta"):
        model = Llama4(WHOLE)
    assert quantize.plan(model, PRESETS["int4"].to_dict()) == expected_plan(WHOLE.text, "language_model.")


def test_single_pieces_can_be_quantised():
    moe = MixtureOfExperts(TEXT)
    assert set(quantize.plan(moe, "int3")) == {"experts", *(f"shared_expert.{x}_proj" for x in ("gate", "up", "down"))}
    assert set(quantize.plan(FeedForward(8, 16), "int3").values()) == {PRESETS["int3"]}


def test_a_tied_head_stays_the_embedding_table():
    model = text_model(dataclasses.replace(TEXT, tie_embeddings=True))
    quantize_model_(model, "int4")
    assert type(model.lm_head) is Linear
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert isinstance(model.model.layers[0].self_attn.q_proj, QuantizedLinear)


@torch.no_grad()
@pytest.mark.parametrize("config", [config for config in FORMATS if config.format != "fp8"], ids=str)
def test_a_quantised_model_is_the_model_with_rounded_weights(config):
    model, ids = text_model(dataclasses.replace(TEXT, init_std=0.2)), random_ids(2, 30)
    replaced = copy.deepcopy(model)
    quantize_model_(replaced, config)
    rounded = with_rounded_weights(model, replaced)
    assert relative_error(replaced(ids), rounded(ids)) < 1e-5
    assert relative_error(replaced(ids), model(ids)) > 1e-2


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "decibels"), [("int8", 41.5), ("fp8", 31.6 - 3.0), ("int4", 20.4), ("int3", 14.6), ("int2", 8.7)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_stay_close(name, decibels, dtype):
    """Four layers lose 2 to 4 times what one linear map loses, in every format: 2 % of int8's logits, 31 % of int4's.

    All experts are chosen, because a token that changes its expert is off by more than rounding.
    """
    model = text_model(dataclasses.replace(TINY.text, num_layers=4, experts_per_token=8))
    ids = random_ids(2, 60)
    expected = model(ids)
    quantize_model_(model.to(dtype), name)
    logits = model(ids)
    assert logits.dtype == dtype
    assert 2 < relative_error(logits, expected) / 10 ** (-decibels / 20) < 4


def test_quantising_twice_is_refused():
    model = text_model(TEXT)
    quantize_model_(model, "int4")
    with pytest.raises(UserError, match="quantised already"):
        quantize_model_(model, "int8")


@torch.no_grad()
@pytest.mark.parametrize("name", PRESETS)
def test_changing_the_type_changes_no_code_and_no_scale(name):
    """Not even scales that float16 cannot hold. What is not quantised changes."""
    module = linear(bias=True)
    module.weight *= 1e-12
    model = nn.ModuleDict({"linear": quantized(module, PRESETS[name]), "experts": quantized(experts(), PRESETS[name])})
    stored = {key: value.clone() for key, value in model.state_dict().items()}
    model.to(torch.float16).to(torch.bfloat16).double()
    for key, value in model.state_dict().items():
        if key == "linear.bias":
            assert value.dtype == torch.float64
        else:
            assert value.dtype == stored[key].dtype
            assert torch.equal(value.view(torch.uint8), stored[key].view(torch.uint8))
    model.to_empty(device="meta")
    assert all(value.is_meta for value in model.state_dict().values())


@torch.no_grad()
@pytest.mark.parametrize("name", PRESETS)
def test_a_state_dict_restores_the_model(name):
    model, ids = text_model(TEXT), random_ids(2, 30)
    quantize_model_(model, name)
    with torch.device("meta"):
        restored = Llama4Text(TEXT)
    empty_model_(restored, name)
    assert {key: value.shape for key, value in restored.state_dict().items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    restored.load_state_dict(model.state_dict(), strict=True, assign=True)
    assert torch.equal(restored(ids), model(ids))


def test_modules_say_what_they_are():
    assert str(empty_like(linear(), PRESETS["int4"])) == (
        "QuantizedLinear(weight=[40, 72], int4 in groups of 128, asymmetric)"
    )
    assert str(empty_like(experts(), PRESETS["int8"])) == (
        "QuantizedExperts(gate_up_proj=[4, 40, 24], down_proj=[4, 24, 20], int8 per output channel)"
    )
