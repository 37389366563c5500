"""The checkers of lesson 13 accept what is right, however it is written, and see through every mistake."""

from unittest import mock

import pytest
import torch

from exercise_checks import assert_accepts, assert_tells_apart, exercises_of
from llama4_explained import number_formats
from llama4_explained.exercises import quantization as lesson
from llama4_explained.moe import Experts
from llama4_explained.number_formats import QuantizationConfig, dequantize, quantize_tensor, unpack_bits
from llama4_explained.quantize import QuantizedExperts

EXERCISES = exercises_of(lesson)


def stored_bytes(rows, columns, bits, group_size):
    return quantize_tensor(torch.zeros(rows, columns), QuantizationConfig(f"int{bits}", group_size)).num_bytes


def listed_bytes(rows, columns, bits, group_size):
    groups = list(range(0, columns, group_size))
    return rows * columns * bits / 8 + 4 * rows * len(groups)


def loop_symmetric(weight, bits):
    result = torch.zeros_like(weight)
    for i, row in enumerate(weight):
        if row.any():
            step = row.abs().max() / (2 ** (bits - 1) - 1)
            result[i] = torch.round(row / step) * step
    return result


def nearest_of_all(weight, bits):
    most = 2 ** (bits - 1) - 1
    rungs = torch.arange(-most, most + 1) / most * weight.abs().amax(-1, keepdim=True)  # [N, codes]
    nearest = (weight[..., None] - rungs[:, None]).abs().argmin(-1)  # [N, K]
    return rungs.gather(-1, nearest)


def loop_unpack(packed, width):
    rows = [[half for byte in row for half in (byte % 16, byte // 16)][:width] for row in packed.tolist()]
    return torch.tensor(rows)


def package_unpack(packed, width):
    return number_formats.unpack_bits(packed, 4, width)


def loop_codebook(weight, codebook, group_size):
    result = torch.zeros_like(weight)
    for i, row in enumerate(weight):
        for start in range(0, len(row), group_size):
            group = row[start : start + group_size]
            largest = group.abs().max()
            for j, value in enumerate(group):
                result[i, start + j] = min(codebook * largest, key=lambda number, value=value: abs(number - value))
    return result


def codebook_by_edges(weight, codebook, group_size):
    edges = (codebook[1:] + codebook[:-1]) / 2
    groups = weight.unflatten(-1, (-1, group_size))
    scale = groups.abs().amax(-1, keepdim=True)
    return (codebook[torch.bucketize(groups / scale, edges)] * scale).flatten(-2)


def package_bytes_read(config, bits, group_size):
    with torch.device("meta"):
        experts = Experts(config.num_experts, config.hidden_size, config.expert_width)
    stored = QuantizedExperts.empty_like(experts, QuantizationConfig(f"int{bits}", group_size))
    num_bytes = sum(part.num_bytes for matrices in stored.weights([0]) for part in matrices)
    return num_bytes * config.experts_per_token * sum(layer.is_moe for layer in config.layer_plan)


def counted_bytes_read(config, bits, group_size):
    bits_each = bits + 32 / group_size
    layers = len([layer for layer in config.layer_plan if layer.is_moe])
    return layers * config.experts_per_token * 3 * config.hidden_size * config.expert_width * bits_each / 8


RIGHT = {
    "matrix bytes": (stored_bytes, listed_bytes),
    "symmetric quantiser": (loop_symmetric, nearest_of_all),
    "unpack": (loop_unpack, package_unpack),
    "codebook": (loop_codebook, codebook_by_edges),
    "bytes read": (package_bytes_read, counted_bytes_read),
}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_written_differently(exercise):
    assert_accepts(exercise, RIGHT[exercise.name])


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_misconceptions_are_told_apart(exercise):
    assert_tells_apart(exercise)


# The registry's mutants are mistakes in a model, not in number formats; these are mistakes in the package's formats.


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_codes_of_another_width_are_rejected(bits):
    verdict = lesson.unpack.check(
        lambda packed, width: unpack_bits(packed[:, : len(packed[0]) // bits * bits], bits, 8)
    )
    assert not verdict.is_right


def test_an_asymmetric_package_is_no_symmetric_answer():
    def package(weight, bits):
        return dequantize(quantize_tensor(weight, QuantizationConfig(f"int{bits}", None)))

    assert not lesson.symmetric.check(package).is_right


def test_a_zero_that_is_forgotten_is_rejected():
    def forgetful(weight, bits):
        stored = quantize_tensor(weight, QuantizationConfig(f"int{bits}", None, symmetric=True))
        return unpack_bits(stored.codes, bits, weight.shape[1]).float() * stored.scale.float()

    assert not lesson.symmetric.check(forgetful).is_right


def test_bytes_without_scales_are_rejected():
    with mock.patch.object(number_formats.QuantizedTensor, "num_bytes", property(lambda self: self.codes.nbytes)):
        wrong = [stored_bytes(*arguments) for arguments in lesson._sizes()]
    assert not any(
        lesson._bytes(*arguments) == number for arguments, number in zip(lesson._sizes(), wrong, strict=True)
    )
    answers = dict(zip(lesson._sizes(), wrong, strict=True))
    assert not lesson.matrix_bytes.check(lambda *arguments: answers[arguments]).is_right
