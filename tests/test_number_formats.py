import json

import pytest
import torch

from llama4_explained import UserError, number_formats
from llama4_explained.number_formats import (
    BITS,
    PRESETS,
    QuantizationConfig,
    QuantizedTensor,
    dequantize,
    pack_bits,
    quantize_into,
    quantize_tensor,
    round_to_fp8,
    unpack_bits,
)
from oracle import random_tensor
from rounding_noise import decibels, heavy_tailed, sqnr

INTEGER_FORMATS = [
    QuantizationConfig(name, size, symmetric)
    for name in ("int8", "int4", "int3", "int2")
    for size in (None, 128, 50, 1)
    for symmetric in (True, False)
]
ALL_FORMATS = [*INTEGER_FORMATS, PRESETS["fp8"]]


def steps_away(weight: torch.Tensor, config: QuantizationConfig) -> torch.Tensor:
    """How far every weight moves, in steps of its group."""
    quantized = quantize_tensor(weight, config)
    width = weight.shape[-1]
    step = quantized.scale.double().repeat_interleave(config.group_size or width, -1)[..., :width]
    return (dequantize(quantized).double() - weight.double()).abs() / step


# To the bit

EIGHT = torch.tensor([[-0.875, -0.5, -0.2, 0.0, 0.1, 0.3, 0.625, 1.0]])


def test_the_worked_example():
    """The one in the module's docstring."""
    quantized = quantize_tensor(EIGHT, QuantizationConfig("int4", group_size=8))
    assert quantized.scale.tolist() == [[0.125]]
    assert quantized.zero is not None and quantized.zero.tolist() == [[7]]
    assert quantized.codes.tolist() == [[0x30, 0x75, 0x98, 0xFC]]
    assert dequantize(quantized).tolist() == [[-0.875, -0.5, -0.25, 0, 0.125, 0.25, 0.625, 1]]


@pytest.mark.parametrize(
    ("config", "scale", "codes", "values"),
    [
        # 1.0 is 7 steps of 1/7, rounded up to a bfloat16; the codes are -6 -3 -1 0 1 2 4 7, plus 8.
        (QuantizationConfig("int4", 8, True), 147 / 1024, [0x52, 0x87, 0xA9, 0xFC], [-6, -3, -1, 0, 1, 2, 4, 7]),
        # 1.875 / 7 = 0.26786, up to 0.26953; zero = round(3.25) = 3; codes 0 1 2 3 3 4 5 7 in octal, the first lowest.
        (QuantizationConfig("int3", 8), 69 / 256, (0o75433210).to_bytes(3, "little"), [-3, -2, -1, 0, 0, 1, 2, 4]),
        # 1.875 / 3 = 0.625; zero = round(1.4) = 1; codes 0 0 1 1 1 1 2 3.
        (QuantizationConfig("int2", 8), 0.625, [0b01_01_00_00, 0b11_10_01_01], [-1, -1, 0, 0, 0, 0, 1, 2]),
        # 1 / 127 = 129.006 / 2^14, up to 130 / 2^14, so that the largest code is 126 here; all plus 128.
        (PRESETS["int8"], 130 / 2**14, [18, 65, 103, 128, 141, 166, 207, 254], [-110, -63, -25, 0, 13, 38, 79, 126]),
    ],
    ids=str,
)
def test_eight_numbers_in_other_formats(config, scale, codes, values):
    quantized = quantize_tensor(EIGHT, config)
    assert quantized.scale.tolist() == [[scale]]
    assert quantized.codes.tolist() == [list(codes)]
    assert dequantize(quantized).tolist() == [[value * scale for value in values]]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("width", [1, 7, 8, 9, 40, 131])
def test_a_row_is_one_little_endian_integer(bits, width):
    codes = torch.randint(0, 2**bits, (2, 3, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(width))
    packed = pack_bits(codes, bits)
    assert packed.shape[-1] == (width if bits == 8 else -(-width // 8) * bits)
    for row, expected in zip(packed.flatten(0, 1), codes.flatten(0, 1).tolist(), strict=True):
        number = int.from_bytes(bytes(row.tolist()), "little")
        assert [number >> bits * i & (2**bits - 1) for i in range(width)] == expected
        assert number >> bits * width == 0
    assert torch.equal(unpack_bits(packed, bits, width), codes)


@pytest.mark.parametrize(
    ("name", "bits_a_weight"),
    [("int8", 8 + 16 / 512), ("int4", 4.25), ("int3", 3.25), ("int2", 2.25), ("fp8", 8 + 16 / 512)],
)
def test_bits_per_weight(name, bits_a_weight):
    quantized = quantize_tensor(random_tensor(4, 6, 512), PRESETS[name])
    assert quantized.num_bytes * 8 == 4 * 6 * 512 * bits_a_weight
    assert quantized.shape == (4, 6, 512)


# How far a weight can move


@pytest.mark.parametrize("config", INTEGER_FORMATS, ids=str)
@pytest.mark.parametrize("weights", [random_tensor, heavy_tailed])
def test_no_weight_moves_by_more_than_half_a_step(config, weights):
    """float32's rounding of w / scale, up to 255 codes, may add 255 * 2^-24 steps."""
    weight = weights(24, 300)
    for w in (weight, weight + 2, weight * 1e-30, weight * 1e30, weight.bfloat16(), weight.half()):
        assert steps_away(w, config).max() <= 0.5 + 255 * 2**-24


@pytest.mark.parametrize("config", INTEGER_FORMATS, ids=str)
def test_a_step_is_no_longer_than_it_must_be(config):
    """The range over the number of steps, rounded up to 8 bits of precision."""
    weight = random_tensor(24, 300)
    scale = quantize_tensor(weight, config).scale.float()
    for group, columns in enumerate(weight.split(config.group_size or 300, dim=-1)):
        low, high = columns.amin(-1).clamp_max(0), columns.amax(-1).clamp_min(0)
        needed = torch.maximum(-low, high) / (2 ** (config.bits - 1) - 1)
        if not config.symmetric:
            needed = (high - low) / (2**config.bits - 1)
        assert (scale[:, group] >= needed).all()
        assert (scale[:, group] <= needed * (1 + 2**-7)).all()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e30])
def test_fp8_rounds_to_four_binary_digits(scale):
    weight = heavy_tailed(24, 300) * scale
    quantized = quantize_tensor(weight, PRESETS["fp8"])
    step = quantized.scale.double()
    moved = (dequantize(quantized).double() - weight.double()).abs()
    # Half a unit of the last of 1 + 3 digits, or of the smallest number 2^-9 there is.
    assert (moved <= torch.maximum(weight.double().abs() / 16, step * 2**-10) * (1 + 1e-6)).all()
    assert (dequantize(quantized).abs().amax(-1) >= weight.abs().amax(-1) * (1 - 1 / 16)).all()
    assert (step[:, 0] * 448 <= weight.abs().amax(-1).double() * (1 + 2**-7)).all()


@pytest.mark.parametrize("config", ALL_FORMATS, ids=str)
def test_zeros_stay_zero(config):
    weight = random_tensor(6, 200)
    weight[:, ::3], weight[2] = 0, 0
    assert (dequantize(quantize_tensor(weight, config))[weight == 0] == 0).all()


@pytest.mark.parametrize("config", ALL_FORMATS, ids=str)
@pytest.mark.parametrize("value", [0.3, -0.3])
def test_equal_weights_stay_equal(config, value):
    """The one value of a group is its largest, which has a code at the end of the range."""
    restored = dequantize(quantize_tensor(torch.full((2, 200), value), config))
    assert restored.unique().numel() == 1
    assert abs(restored[0, 0] - value) <= abs(value) * 2**-7


def test_the_last_group_may_be_short():
    weight, config = random_tensor(5, 300), QuantizationConfig("int4", 128)
    whole = quantize_tensor(weight, config)
    assert whole.scale.shape == (5, 3)
    alone = quantize_tensor(weight[:, 256:], config)
    assert torch.equal(whole.scale[:, 2:], alone.scale)
    assert torch.equal(dequantize(whole)[:, 256:], dequantize(alone))


def test_an_outlier_costs_its_own_group_only():
    weight, config = random_tensor(5, 384), QuantizationConfig("int4", 128)
    with_outlier = weight.clone()
    with_outlier[3, 130] = 100
    plain, changed = quantize_tensor(weight, config), quantize_tensor(with_outlier, config)
    differs = plain.scale != changed.scale
    assert differs.nonzero().tolist() == [[3, 1]]
    same = torch.ones(5, 384, dtype=torch.bool)
    same[3, 128:256] = False
    assert torch.equal(dequantize(plain)[same], dequantize(changed)[same])


# How good a format is


@pytest.mark.parametrize("config", [config for config in INTEGER_FORMATS if config.group_size != 1], ids=str)
def test_noise_is_that_of_uniform_rounding(config):
    """A rounding error is uniform within a step, so its power is step^2 / 12, as long as steps are fine.

    With 3 codes (int2, symmetric) or 4 they are not: there the largest weights, which have codes, count too much.
    """
    weight = random_tensor(64, 1024)
    step = quantize_tensor(weight, config).scale.double()
    predicted = decibels(weight, step.pow(2).mean() / 12)
    assert sqnr(weight, config) == pytest.approx(predicted, abs=0.2 if config.bits > 2 else 2.0)


@pytest.mark.parametrize(("finer", "coarser"), [("int4", "int3"), ("int3", "int2")])
def test_a_bit_is_worth_the_ratio_of_the_numbers_of_steps(finer, coarser):
    """15, 7 and 3 steps for the same range: 6.6 and 7.4 dB."""
    weight = random_tensor(64, 1024)
    ratio = (2 ** BITS[finer] - 1) / (2 ** BITS[coarser] - 1)
    gain = 20 * torch.tensor(ratio).log10().item()
    assert sqnr(weight, QuantizationConfig(finer)) - sqnr(weight, QuantizationConfig(coarser)) == pytest.approx(
        gain, abs=0.2
    )


def test_heavy_tails_need_small_groups_or_fp8():
    """An outlier stretches the steps of its whole group, but fp8's steps are an eighth of each number's power of two.

    So a number m * 2^e, m from 1 to 2, has an error of power (2^e / 8)^2 / 12: from 28.9 to 34.9 dB for any tails.
    """
    normal, heavy = random_tensor(64, 1024), heavy_tailed(64, 1024)
    lost = {
        size: sqnr(normal, QuantizationConfig("int4", size)) - sqnr(heavy, QuantizationConfig("int4", size))
        for size in (None, 128, 32)
    }
    assert lost[None] > lost[128] + 3 > lost[32] + 5  # measured: 8.3, 4.5, 2.1 dB
    assert sqnr(heavy, PRESETS["int8"]) < sqnr(normal, PRESETS["int8"]) - 6
    assert sqnr(normal, PRESETS["int8"]) > sqnr(normal, PRESETS["fp8"]) > sqnr(heavy, PRESETS["int8"])
    for weight in (normal, heavy):
        assert 28.9 < sqnr(weight, PRESETS["fp8"]) < 34.9


def test_a_zero_of_its_own_helps_lopsided_groups():
    """Weights from -1 to 3: symmetric codes span 6, asymmetric ones 4."""
    weight = random_tensor(64, 1024).clamp(-3, 3) * 2 / 3 + 1
    gain = sqnr(weight, QuantizationConfig("int4")) - sqnr(weight, QuantizationConfig("int4", symmetric=True))
    assert gain == pytest.approx(20 * torch.tensor(6 / 14 * 15 / 4).log10().item(), abs=0.5)


# Stacks, blocks, types


def test_stacks_and_blocks_of_rows_change_nothing(monkeypatch):
    weight = random_tensor(3, 20, 100)
    for config in (PRESETS["int3"], PRESETS["int8"], PRESETS["fp8"]):
        whole = quantize_tensor(weight, config)
        with monkeypatch.context() as patch:
            patch.setattr(number_formats, "BLOCK", 700)
            blocks = quantize_tensor(weight, config)
        alone = [quantize_tensor(matrix, config) for matrix in weight]
        transposed = QuantizedTensor.empty((3, 20, 100), config)
        quantize_into(transposed, weight.mT.contiguous().mT)
        expected = dequantize(whole)
        assert torch.equal(dequantize(blocks), expected)
        assert torch.equal(dequantize(transposed), expected)
        assert torch.equal(torch.stack([dequantize(matrix) for matrix in alone]), expected)
        assert torch.equal(dequantize(whole[1]), expected[1])
        assert torch.equal(dequantize(whole[1][5:9]), expected[1, 5:9])


@pytest.mark.parametrize("config", PRESETS.values(), ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_numbers_come_back_in_any_type_rounded_once(config, dtype):
    quantized = quantize_tensor(random_tensor(16, 300), config)
    assert torch.equal(dequantize(quantized, dtype), dequantize(quantized).to(dtype))


@pytest.mark.parametrize("config", ALL_FORMATS, ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(config, value):
    weight = random_tensor(4, 200)
    weight[2, 3] = value
    with pytest.raises(UserError, match="NaN or infinite"):
        quantize_tensor(weight, config)


def test_activations_are_rounded_token_by_token():
    x = heavy_tailed(2, 5, 64)
    x[0, 1] *= 1e20
    x[1, 2] = 0
    rounded = round_to_fp8(x)
    largest = x.abs().amax(-1, keepdim=True)
    assert ((rounded - x).abs() <= torch.maximum(x.abs() / 16, largest / 448 * 2**-10) * (1 + 1e-5)).all()
    assert (rounded != x).any(-1).sum() == 9  # all but the token of zeros
    assert torch.equal(round_to_fp8(x[:, 3:4]), rounded[:, 3:4])
    assert round_to_fp8(x.bfloat16()).dtype == torch.bfloat16


# Settings


@pytest.mark.parametrize("name", PRESETS)
def test_configs_survive_json(name):
    config = QuantizationConfig.of(name)
    assert config.format == name
    assert QuantizationConfig.of(json.loads(json.dumps(config.to_dict()))) == config
    assert QuantizationConfig.of(config) is config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "int5"}, "'int5'; choose one of int8, int4, int3, int2, fp8"),
        ({"group_size": 0}, "group_size must be a whole number of at least 1, or None for whole rows, got 0"),
        ({"group_size": 64.0}, "got 64.0"),
        ({"group_size": True}, "got True"),
        ({"symmetric": 1}, "symmetric must be True or False, got 1"),
        ({"format": "fp8"}, "set group_size=None, symmetric=True"),
        ({"format": "fp8", "group_size": None}, "set group_size=None, symmetric=True"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        QuantizationConfig(**settings)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("int16", "'int16'; choose one of int8, int4, int3, int2, fp8"),
        ({"format": "int4"}, "has the keys format, group_size, symmetric, clip_search; got format"),
        (
            {"format": "int4", "group_size": 4, "symmetric": True, "bits": 4},
            "got format, group_size, symmetric, bits",
        ),
    ],
)
def test_unknown_formats_are_refused(value, message):
    with pytest.raises(UserError, match=message):
        QuantizationConfig.of(value)
