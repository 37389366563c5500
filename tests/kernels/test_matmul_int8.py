"""int8 multiplications equal float64's within what their number formats allow, in sizes that fit no tile."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llama4_explained.number_formats import PRESETS, dequantize, quantize_tensor
from llama4_kernels.matmul_int8 import Int8Matrix, dequantize_int8, matmul_int8, matmul_int8_reference
from llama4_kernels.matmul_int8.configs import Config, product_config
from llama4_kernels.matmul_int8.launch import run_dequantize, run_product

SMALL = Config(rows=32, tokens=8, splits=1, depth=128, warps=1, stages=2)
HALF_STEP = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24}  # of numbers at 1


def problem(num_tokens, num_rows, width, device, seed=0):
    """x, the matrix, and the exact numbers that its codes stand for."""
    draw = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 256, (num_rows, width), generator=draw, dtype=torch.uint8)
    scale = (torch.rand(num_rows, generator=draw) + 0.1).bfloat16()
    x = torch.randn(num_tokens, width, generator=draw).bfloat16()
    weight = (codes.double() - 128) * scale.double()[:, None]
    return x.to(device), Int8Matrix(codes.to(device), scale.to(device)), weight.to(device)


def worst(out, x, weight, weights_are_rounded=False):
    """The largest error in parts of what is allowed: the result's rounding, float32 sums, and rounded weights."""
    exact, size = x.double() @ weight.T, x.double().abs() @ weight.abs().T
    per_product = (x.shape[1] + 4) * HALF_STEP[torch.float32] + weights_are_rounded * HALF_STEP[torch.bfloat16]
    allowed = exact.abs() * HALF_STEP[torch.bfloat16] + size * per_product * 1.01 + 1e-30
    return float(((out.double() - exact).abs() / allowed).nan_to_num(float("inf")).max()) if out.numel() else 0.0


SIZES = [(1, 32, 128), (3, 33, 129), (8, 70, 300), (5, 1, 5), (2, 96, 1024), (7, 31, 127), (19, 40, 260)]


@pytest.mark.parametrize("num_tokens, num_rows, width", SIZES)
def test_numbers_come_back(num_tokens, num_rows, width, device):
    _, matrix, weight = problem(num_tokens, num_rows, width, device)
    assert torch.equal(dequantize_int8(matrix, torch.float64), weight)
    assert torch.equal(run_dequantize(matrix), weight.bfloat16())


@pytest.mark.parametrize("num_tokens, num_rows, width", SIZES)
def test_the_kernel_is_as_exact_as_its_formats(num_tokens, num_rows, width, device):
    x, matrix, weight = problem(num_tokens, num_rows, width, device)
    for rows, tokens, depth in ((32, 8, 128), (64, 16, 64)):
        for splits in range(1, min(3, -(-width // depth)) + 1):
            config = Config(rows, tokens, splits, depth, warps=rows // 32, stages=2)
            assert worst(run_product(x, matrix, config), x, weight) <= 1


def test_every_code_is_its_number(device):
    codes = torch.arange(256, dtype=torch.uint8).repeat(32, 1)
    matrix = Int8Matrix(codes.to(device), torch.ones(32).bfloat16().to(device))
    ones = torch.eye(256).bfloat16().to(device)
    expected = torch.arange(-128.0, 128.0)[:, None].expand(256, 32)
    assert torch.equal(run_product(ones, matrix, replace(SMALL, tokens=64)).float().cpu(), expected)
    assert torch.equal(run_dequantize(matrix).float().cpu(), expected.T)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 700), st.integers(0, 99))
def test_any_size(num_tokens, num_rows, width, seed):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, matrix, weight = problem(num_tokens, num_rows, width, device, seed)
    out = run_product(x, matrix, product_config(num_tokens, num_rows, width))
    assert worst(out, x, weight) <= 1
    assert worst(matmul_int8(x, matrix), x, weight, weights_are_rounded=True) <= 1


def test_tokens_go_through_the_weights_in_bands(device):
    x, matrix, weight = problem(18 * 8 + 3, 70, 40, device)  # 19 tiles of tokens: a band of 16, and one of 3
    assert worst(run_product(x, matrix, SMALL), x, weight) <= 1


def test_rows_of_x_may_lie_apart(device):
    x, matrix, weight = problem(6, 40, 256, device)
    apart = torch.full((6, 300), float("nan"), dtype=torch.bfloat16, device=device)
    apart[:, 7:263] = x
    assert worst(run_product(apart[:, 7:263], matrix, SMALL), x, weight) <= 1
    assert worst(matmul_int8(apart[:, 7:263].T.contiguous().T, matrix), x, weight, weights_are_rounded=True) <= 1


def test_rows_of_a_larger_matrix_are_a_matrix(device):
    x, matrix, weight = problem(4, 70, 101, device)
    part = Int8Matrix(matrix.codes[7:51], matrix.scale[7:51])
    assert part.codes.data_ptr() == matrix.codes.data_ptr() + 707  # at no multiple of 16 bytes
    assert worst(run_product(x, part, SMALL), x, weight[7:51]) <= 1


def test_zeros_give_zeros_exactly(device):
    x, matrix, _ = problem(3, 40, 200, device)
    x[1] = 0
    matrix.codes[5] = 128
    out = run_product(x, matrix, replace(SMALL, splits=2))
    assert not out[1].any() and not out[:, 5].any() and out[0, :5].all()


def test_sums_of_parts_are_the_same_every_time_and_counters_end_at_zero(device):
    x, matrix, _ = problem(2, 64, 1280, device)
    config = replace(SMALL, splits=5)
    first = run_product(x, matrix, config)
    assert all(torch.equal(run_product(x, matrix, config), first) for _ in range(5))


@pytest.mark.parametrize("wrong", ["zero", "next row's scale", "order of codes", "rows", "sign"])
def test_mistakes_are_seen(wrong, device):
    x, matrix, weight = problem(3, 64, 384, device)
    codes, scale = matrix.codes, matrix.scale
    changed = {
        "zero": (codes.int().sub(1).clamp(0).to(torch.uint8), scale),
        "next row's scale": (codes, scale.roll(1)),
        "order of codes": (codes.view(64, -1, 2).flip(2).reshape(64, -1), scale),
        "rows": (codes.roll(1, dims=0), scale),
        "sign": (codes ^ 128, scale),
    }
    assert worst(run_product(x, Int8Matrix(*changed[wrong]), SMALL), x, weight) > 5


def test_codes_are_those_of_the_librarys_preset(device):
    weight = torch.randn(40, 100, generator=torch.Generator().manual_seed(0))
    stored = quantize_tensor(weight, PRESETS["int8"])
    matrix = Int8Matrix(stored.codes, stored.scale.squeeze(-1))
    assert torch.equal(dequantize_int8(matrix), dequantize(stored))
    assert matrix.num_bytes == stored.num_bytes == 40 * 100 + 40 * 2
    matrix = Int8Matrix(matrix.codes.to(device), matrix.scale.to(device))
    x = torch.randn(3, 100, generator=torch.Generator().manual_seed(1)).bfloat16().to(device)
    assert worst(run_product(x, matrix, SMALL), x, dequantize(stored, torch.float64).to(device)) <= 1


def test_the_example_of_the_specification():
    codes = torch.tensor([[128, 129, 255, 127, 0, 160, 96, 1]], dtype=torch.uint8)
    values = dequantize_int8(Int8Matrix(codes, torch.tensor([0.5]).bfloat16()))
    assert values.tolist() == [[0.0, 0.5, 63.5, -0.5, -64.0, 16.0, -16.0, -63.5]]


def test_leading_axes_stay_and_nothing_gives_nothing(device):
    x, matrix, _ = problem(6, 40, 256, device)
    assert matmul_int8(x.view(2, 3, 256), matrix).shape == (2, 3, 40)
    assert matmul_int8(x[0], matrix).shape == (40,)
    assert matmul_int8(x[:0], matrix).shape == (0, 40)
    assert torch.equal(matmul_int8(x.view(2, 3, 256), matrix).view(6, 40), matmul_int8(x, matrix))


def test_without_a_gpu_any_floating_type_runs():
    x, matrix, weight = problem(6, 40, 256, "cpu")
    out = matmul_int8(x.double(), matrix)
    assert out.dtype == torch.float64 and torch.allclose(out, x.double() @ weight.T, rtol=1e-12)
    assert torch.equal(out, matmul_int8_reference(x.double(), matrix))


CODES, SCALE = torch.zeros(4, 256, dtype=torch.uint8), torch.ones(4).bfloat16()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x, matrix: matmul_int8(x[:, 1:], matrix), r"x must be \[\.\.\., 256\] for a matrix \[40, 256\], got"),
        (lambda x, matrix: matmul_int8(x.int(), matrix), "floating type of 16 bits or more, got torch.int32"),
        (lambda x, matrix: matmul_int8(x.to("meta"), matrix), "x is on meta, the matrix on"),
        (lambda x, matrix: Int8Matrix(CODES.float(), SCALE), "codes must be uint8"),
        (lambda x, matrix: Int8Matrix(CODES[0], SCALE), r"codes must be uint8 \[N, K\], got torch.uint8 \[256\]"),
        (lambda x, matrix: Int8Matrix(CODES[:, ::2], SCALE), r"row after row, got strides \[256, 2\]"),
        (lambda x, matrix: Int8Matrix(CODES, SCALE.float()), "scale must be bfloat16"),
        (lambda x, matrix: Int8Matrix(CODES, SCALE[:, None]), r"scale must be bfloat16 \[4\], .* got .* \[4, 1\]"),
        (lambda x, matrix: Int8Matrix(CODES, SCALE.to("meta")), "codes are on cpu, scale on meta"),
    ],
)
def test_wrong_inputs_are_named(call, message, device):
    x, matrix, _ = problem(2, 40, 256, device)
    with pytest.raises(ValueError, match=message):
        call(x, matrix)


def test_a_wrong_type_on_cuda_is_named(device):
    if device != "cuda":
        pytest.skip("needs CUDA")
    x, matrix, _ = problem(2, 40, 256, device)
    with pytest.raises(ValueError, match=r"must be bfloat16 on CUDA, got torch\.float16"):
        matmul_int8(x.half(), matrix)


def test_the_whole_choice_of_sizes_is_possible():
    for num_tokens in (1, 8, 9, 16, 17, 64, 65, 200, 1024):
        for num_rows, width in ((32, 128), (5120, 5120), (16384, 5120), (202048, 5120), (100, 300)):
            config = product_config(num_tokens, num_rows, width)
            assert num_tokens > 16 or config.tokens >= num_tokens  # weights are read once
            assert 1 <= config.splits <= max(1, width // 128 // 4)
