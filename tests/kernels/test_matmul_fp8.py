"""fp8 multiplications equal float64's within what their number formats allow, in sizes that fit no tile."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llama4_explained.number_formats import PRESETS, dequantize, quantize_tensor, round_to_fp8
from llama4_kernels.matmul_fp8 import Fp8Matrix, dequantize_fp8, matmul_fp8, matmul_fp8_reference, round_tokens
from llama4_kernels.matmul_fp8.configs import Config, product_config
from llama4_kernels.matmul_fp8.launch import run_product, run_round

SMALL = Config(rows=32, tokens=8, splits=1, warps=1, stages=2)
HALF_STEP = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24}  # of numbers at 1
# Hopper's tensor cores cut 32 products and their sum off at 13 bits below the largest of them.
CUT_OFF = 33 * 2.0**-13 if torch.cuda.is_available() else 0.0


def problem(num_tokens, num_rows, width, device, seed=0):
    """x and a matrix with numbers of every size that e4m3 has."""
    draw = torch.Generator().manual_seed(seed)
    sizes = 2.0 ** torch.randint(-9, 8, (num_rows, width), generator=draw)
    codes = (torch.randn(num_rows, width, generator=draw) * sizes).clamp(-448, 448).to(torch.float8_e4m3fn)
    scale = (torch.rand(num_rows, generator=draw) + 0.1).bfloat16()
    x = torch.randn(num_tokens, width, generator=draw).bfloat16() * 2.0 ** torch.arange(num_tokens)[:, None].clamp(
        max=9
    )
    return x.bfloat16().to(device), Fp8Matrix(codes.to(device), scale.to(device))


def worst(out, x_rounded, matrix):
    """The largest error in parts of what is allowed: the result's rounding, the sums', and that of two scales."""
    weight = dequantize_fp8(matrix, torch.float64)
    exact, size = x_rounded @ weight.T, x_rounded.abs() @ weight.abs().T
    per_product = (x_rounded.shape[1] + 4) * HALF_STEP[torch.float32] + CUT_OFF
    allowed = exact.abs() * HALF_STEP[torch.bfloat16] + size * per_product * 1.01 + 1e-30
    return float(((out.double() - exact).abs() / allowed).nan_to_num(float("inf")).max()) if out.numel() else 0.0


def rounded(x):
    codes, scale = round_tokens(x)
    return codes.double() * scale.double()[..., None]


SIZES = [(1, 32, 128), (3, 33, 129), (8, 70, 300), (5, 1, 5), (2, 96, 1024), (7, 31, 127), (19, 40, 260)]


@pytest.mark.parametrize("num_tokens, num_rows, width", SIZES)
def test_tokens_are_rounded_to_the_nearest(num_tokens, num_rows, width, device):
    x, _ = problem(num_tokens, num_rows, width, device)
    codes, scale = run_round(x)
    expected_codes, expected_scale = round_tokens(x)
    assert torch.equal(codes.view(torch.uint8), expected_codes.view(torch.uint8))
    assert torch.equal(scale, expected_scale)
    numbers = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).double()
    wanted = (x.float() / scale[:, None]).double().cpu()
    nearest = (wanted[..., None] - numbers[numbers.isfinite()]).abs().amin(-1)
    assert torch.equal((wanted - codes.double().cpu()).abs(), nearest)
    assert torch.equal(codes.float().abs().amax(-1), torch.full_like(scale, 448))


def test_rounding_is_that_of_the_library(device):
    x, _ = problem(5, 1, 300, device)
    codes, scale = run_round(x)
    assert torch.equal((codes.float() * scale[:, None]).bfloat16(), round_to_fp8(x))


def test_ties_go_to_even_and_zeros_stay(device):
    x = torch.tensor([[448.0, 17, 19, -17, -19, 1.0625, 2**-10, 3 * 2.0**-10, 2**-11], [0.0] * 9]).bfloat16().to(device)
    codes, scale = run_round(x)
    assert codes[0].float().tolist() == [448, 16, 20, -16, -20, 1, 0, 2**-8, 0]
    assert scale.tolist() == [1.0, 2.0**-126] and not codes[1].float().any()


@pytest.mark.parametrize("num_tokens, num_rows, width", SIZES)
def test_the_kernel_is_as_exact_as_its_formats(num_tokens, num_rows, width, device):
    x, matrix = problem(num_tokens, num_rows, width, device)
    for rows, tokens, depth in ((32, 8, 128), (64, 16, 64)):
        for splits in range(1, min(3, -(-width // depth)) + 1):
            config = Config(rows, tokens, splits, warps=rows // 32, stages=2, depth=depth)
            assert worst(run_product(*run_round(x), matrix, config), rounded(x), matrix) <= 1


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 700), st.integers(0, 99))
def test_any_size(num_tokens, num_rows, width, seed):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, matrix = problem(num_tokens, num_rows, width, device, seed)
    out = run_product(*run_round(x), matrix, product_config(num_tokens, num_rows, width))
    assert worst(out, rounded(x), matrix) <= 1
    assert worst(matmul_fp8(x, matrix), rounded(x), matrix) <= 1


def test_tokens_go_through_the_weights_in_bands(device):
    x, matrix = problem(18 * 8 + 3, 70, 40, device)  # 19 tiles of tokens: a band of 16, and one of 3
    assert worst(run_product(*run_round(x), matrix, SMALL), rounded(x), matrix) <= 1


def test_rows_of_x_may_lie_apart(device):
    x, matrix = problem(6, 40, 256, device)
    apart = torch.full((6, 300), float("nan"), dtype=torch.bfloat16, device=device)
    apart[:, 7:263] = x
    assert worst(run_product(*run_round(apart[:, 7:263]), matrix, SMALL), rounded(x), matrix) <= 1
    assert worst(matmul_fp8(apart[:, 7:263].T.contiguous().T, matrix), rounded(x), matrix) <= 1


def test_rows_of_a_larger_matrix_are_a_matrix(device):
    x, matrix = problem(4, 70, 101, device)
    part = Fp8Matrix(matrix.codes[7:51], matrix.scale[7:51])
    assert part.codes.data_ptr() == matrix.codes.data_ptr() + 707  # at no multiple of 16 bytes
    assert worst(run_product(*run_round(x), part, SMALL), rounded(x), part) <= 1


def test_zeros_give_zeros_exactly_and_nan_stays_in_its_token(device):
    x, matrix = problem(4, 40, 200, device)
    x[1], x[2, 7] = 0, float("nan")
    matrix.codes[5] = 0
    for out in (run_product(*run_round(x), matrix, replace(SMALL, splits=2)), matmul_fp8_reference(x, matrix)):
        assert not out[1].any() and not out[[0, 3], 5].any() and out[0, :5].all()
        assert out[2].isnan().all() and out[[0, 1, 3]].isfinite().all()


def test_sums_of_parts_are_the_same_every_time_and_counters_end_at_zero(device):
    x, matrix = problem(2, 64, 1280, device)
    config = replace(SMALL, splits=5)
    first = run_product(*run_round(x), matrix, config)
    assert all(torch.equal(run_product(*run_round(x), matrix, config), first) for _ in range(5))


@pytest.mark.parametrize("wrong", ["next row's scale", "order", "rows", "next token's scale", "a scale for all tokens"])
def test_mistakes_are_seen(wrong, device):
    x, matrix = problem(3, 64, 384, device)
    x_codes, x_scale = run_round(x)
    codes, scale = matrix.codes.view(torch.uint8), matrix.scale
    if wrong == "next row's scale":
        scale = scale.roll(1)
    elif wrong == "order":
        codes = codes.view(64, -1, 2).flip(2).reshape(64, -1)
    elif wrong == "rows":
        codes = codes.roll(1, dims=0)
    elif wrong == "next token's scale":
        x_scale = x_scale.roll(1)
    else:
        x_scale = x_scale.max().expand(3).contiguous()
    changed = Fp8Matrix(codes.view(torch.float8_e4m3fn), scale)
    assert worst(run_product(x_codes, x_scale, changed, SMALL), rounded(x), matrix) > 5


def test_codes_are_those_of_the_librarys_preset(device):
    weight = torch.randn(40, 100, generator=torch.Generator().manual_seed(0))
    stored = quantize_tensor(weight, PRESETS["fp8"])
    matrix = Fp8Matrix(stored.codes, stored.scale.squeeze(-1))
    assert torch.equal(dequantize_fp8(matrix), dequantize(stored))
    assert matrix.num_bytes == stored.num_bytes == 40 * 100 + 40 * 2
    x = torch.randn(3, 100, generator=torch.Generator().manual_seed(1)).bfloat16().to(device)
    matrix = Fp8Matrix(matrix.codes.to(device), matrix.scale.to(device))
    assert worst(run_product(*run_round(x), matrix, SMALL), rounded(x), matrix) <= 1


def test_the_example_of_the_specification():
    codes, scale = round_tokens(torch.tensor([7.0, -3.5, 1.0, -0.3, 0.1, 0.0, 0.01, 0.00001]))
    assert scale.item() == 1 / 64
    assert codes.view(torch.uint8).tolist() == [0x7E, 0xF6, 0x68, 0xDA, 0x4D, 0x00, 0x32, 0x00]
    assert codes.float().tolist() == [448, -224, 64, -20, 6.5, 0, 0.625, 0]


def test_leading_axes_stay_and_nothing_gives_nothing(device):
    x, matrix = problem(6, 40, 256, device)
    assert matmul_fp8(x.view(2, 3, 256), matrix).shape == (2, 3, 40)
    assert matmul_fp8(x[0], matrix).shape == (40,)
    assert matmul_fp8(x[:0], matrix).shape == (0, 40)
    assert torch.equal(matmul_fp8(x.view(2, 3, 256), matrix).view(6, 40), matmul_fp8(x, matrix))


def test_without_a_gpu_any_floating_type_runs():
    x, matrix = problem(6, 40, 256, "cpu")
    out = matmul_fp8(x.double(), matrix)
    assert out.dtype == torch.float64 and torch.equal(out, matmul_fp8_reference(x.double(), matrix))
    assert torch.allclose(out, rounded(x) @ dequantize_fp8(matrix, torch.float64).T, rtol=1e-12)
    assert matmul_fp8(x.half(), matrix).dtype == torch.float16


CODES, SCALE = torch.zeros(4, 256, dtype=torch.float8_e4m3fn), torch.ones(4).bfloat16()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x, matrix: matmul_fp8(x[:, 1:], matrix), r"x must be \[\.\.\., 256\] for a matrix \[40, 256\], got"),
        (lambda x, matrix: matmul_fp8(x.int(), matrix), "floating type of 16 bits or more, got torch.int32"),
        (lambda x, matrix: matmul_fp8(x.to(torch.float8_e4m3fn), matrix), "16 bits or more, got torch.float8_e4m3fn"),
        (lambda x, matrix: matmul_fp8(x.to("meta"), matrix), "x is on meta, the matrix on"),
        (lambda x, matrix: Fp8Matrix(CODES.float(), SCALE), "codes must be float8_e4m3fn"),
        (lambda x, matrix: Fp8Matrix(CODES.to(torch.float8_e5m2), SCALE), "got torch.float8_e5m2"),
        (lambda x, matrix: Fp8Matrix(CODES[:, ::2], SCALE), r"row after row, got strides \[256, 2\]"),
        (lambda x, matrix: Fp8Matrix(CODES, SCALE.float()), "scale must be bfloat16"),
        (lambda x, matrix: Fp8Matrix(CODES, SCALE[:, None]), r"scale must be bfloat16 \[4\], .* got .* \[4, 1\]"),
        (lambda x, matrix: Fp8Matrix(CODES, SCALE.to("meta")), "codes are on cpu, scale on meta"),
    ],
)
def test_wrong_inputs_are_named(call, message, device):
    x, matrix = problem(2, 40, 256, device)
    with pytest.raises(ValueError, match=message):
        call(x, matrix)


def test_a_wrong_type_on_cuda_is_named(device):
    if device != "cuda":
        pytest.skip("needs CUDA")
    x, matrix = problem(2, 40, 256, device)
    with pytest.raises(ValueError, match=r"must be bfloat16 on CUDA, got torch\.float16"):
        matmul_fp8(x.half(), matrix)


def test_the_whole_choice_of_sizes_is_possible():
    for num_tokens in (1, 16, 17, 64, 65, 256, 4096):
        for num_rows, width in ((32, 128), (5120, 5120), (16384, 5120), (202048, 5120), (100, 300)):
            config = product_config(num_tokens, num_rows, width)
            assert num_tokens > 16 or config.tokens >= num_tokens  # weights are read once
            assert 1 <= config.splits <= max(1, width // 128 // 4)
