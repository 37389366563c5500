"""The checkers of lesson 14 accept what is right, however it is written, and see through every mistake."""

from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from exercise_checks import assert_accepts, assert_tells_apart, exercises_of
from llama4_explained.exercises import triton_matmul as lesson
from llama4_explained.number_formats import QuantizationConfig, quantize_tensor

EXERCISES = exercises_of(lesson)


def computed_place(k):
    return k // 128, k % 32, k % 128 // 32 * 4


def listed_place(k):
    words = [[j, j + 32, j + 64, j + 96] for j in range(32)]
    group, within = divmod(k, 128)
    word = next(j for j in range(32) if within in words[j])
    return group, word, 4 * words[word].index(within)


def maxima_with_a_mask(x, block):
    out = torch.empty(-(-len(x) // block))
    for program in range(len(out)):
        place = program * block + torch.arange(block)
        numbers = torch.where(place < len(x), x[place.clamp_max(len(x) - 1)], float("-inf"))
        out[program] = numbers.max()
    return out


def maxima_of_chunks(x, block):
    return torch.stack([chunk.max() for chunk in x.split(block)])


def product_in_tiles(x, w, tile):
    out = torch.zeros(len(x), len(w))
    for m in range(0, len(x), tile):
        for n in range(0, len(w), tile):
            for k in range(0, x.shape[1], tile):
                out[m : m + tile, n : n + tile] += x[m : m + tile, k : k + tile] @ w[n : n + tile, k : k + tile].T
    return out


def product_filled_up(x, w, tile):
    filled = [F.pad(each, (0, -each.shape[1] % tile, 0, -len(each) % tile)) for each in (x, w)]
    return (filled[1] @ filled[0].T).T[: len(x), : len(w)]


def loop_two_bits(codes):
    words = torch.zeros(len(codes), codes.shape[1] // 128, 16, dtype=torch.int32)
    for n, row in enumerate(codes.tolist()):
        for k, code in enumerate(row):
            words[n, k // 128, k % 16] |= code << (k % 128 // 16 * 2)
    return words


def summed_two_bits(codes):
    return (codes.view(len(codes), -1, 8, 16).int() * 4 ** torch.arange(8)[:, None]).sum(-2)


def counted_time(tokens, rows, columns, bits, bytes_per_second, operations_per_second):
    num_bytes = rows * columns * bits / 8 + rows * columns / 128 * 4 + 2 * tokens * columns + 2 * tokens * rows
    operations = 2 * tokens * rows * columns
    return 1e6 * max(num_bytes / bytes_per_second, operations / operations_per_second)


def stored_time(tokens, rows, columns, bits, bytes_per_second, operations_per_second):
    stored = quantize_tensor(torch.zeros(rows, columns), QuantizationConfig(f"int{bits}", 128)).num_bytes
    x, out = (torch.zeros(tokens, size, dtype=torch.bfloat16) for size in (columns, rows))
    reading = (stored + x.nbytes + out.nbytes) / (bytes_per_second / 1e6)
    computing = 2 * tokens * rows * columns / (operations_per_second / 1e6)
    return reading if reading > computing else computing


RIGHT = {
    "place of a code": (computed_place, listed_place),
    "block maxima": (maxima_with_a_mask, maxima_of_chunks),
    "careful product": (product_in_tiles, product_filled_up),
    "two bits": (loop_two_bits, summed_two_bits),
    "shortest time": (counted_time, stored_time),
}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_written_differently(exercise):
    assert_accepts(exercise, RIGHT[exercise.name])


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_misconceptions_are_told_apart(exercise):
    assert_tells_apart(exercise)


# The registry's mutants are mistakes in a model, not in kernels; these are mistakes of kernels.


def test_places_are_those_of_the_shipped_format():
    """If codes were packed in another order, the answer that is right today would be rejected."""
    packed = lesson.pack_int4

    def in_pairs(codes, scale):
        return packed(codes.unflatten(-1, (-1, 32, 4)).mT.flatten(1), scale)

    with mock.patch.object(lesson, "pack_int4", in_pairs):
        assert not lesson.place.check(computed_place).is_right


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mask_on_rows_alone_or_on_one_edge_alone_is_rejected(axis):
    def one_edge(x, w, tile):
        product = x @ w.T
        full = product.shape[axis] // tile * tile
        return product.narrow(axis, 0, full) if full else torch.zeros_like(product)

    assert not lesson.tiled.check(one_edge).is_right


def test_the_fault_shows_only_where_sizes_are_not_multiples_of_the_tile():
    """As in the lesson: round sizes find nothing."""
    first, *others = lesson._matrices()
    assert torch.allclose(lesson._ends_with_memory(*first), first[0] @ first[1].T, atol=1e-5)
    for x, w, tile in others:
        assert not torch.allclose(lesson._ends_with_memory(x, w, tile), x @ w.T, atol=1e-2)


@pytest.mark.parametrize("fill", [-0.5, -3.0, -100.0, -1e9])
def test_any_other_number_beyond_the_end_is_rejected(fill):
    assert not lesson.maxima.check(lesson._with_fill(fill)).is_right


def test_both_limits_bind_somewhere():
    binding = {lesson._memory(*sizes) > lesson._arithmetic(*sizes) for sizes in lesson._products()}
    assert binding == {True, False}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_a_checker_survives_anything(exercise):
    def fails(*arguments):
        raise ZeroDivisionError("oh")

    def overwrites(*arguments):
        for argument in arguments:
            if isinstance(argument, torch.Tensor):
                argument.zero_()
        return exercise.right(*arguments)

    answers = [fails, lambda *arguments: None, lambda *arguments: torch.zeros(3, 1, 2), lambda: 0, lambda *a: "text"]
    for answer in [*answers, *([overwrites] if exercise.name in ("block maxima", "careful product") else [])]:
        assert not exercise.check(answer).is_right
