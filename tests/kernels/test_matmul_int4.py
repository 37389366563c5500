"""int4 multiplications equal float64's within what their number formats allow, in sizes that fit no tile."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llama4_kernels.matmul_int4 import dequantize_int4, matmul_int4, matmul_int4_reference, pack_int4
from llama4_kernels.matmul_int4.configs import Config, decode_config, fused_config
from llama4_kernels.matmul_int4.launch import run_decode, run_dequantize, run_fused

DECODE = Config(rows=32, tokens=8, splits=1, groups=1, warps=1, stages=2)
FUSED = Config(rows=32, tokens=16, splits=1, groups=1, warps=4, stages=2)
HALF_STEP = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24}  # of numbers at 1


def problem(num_tokens, num_rows, width, device, symmetric=False, seed=0):
    """x, codes, scale, zero, and the exact numbers that codes stand for."""
    draw = torch.Generator().manual_seed(seed)
    groups = -(-width // 128)
    codes = torch.randint(0, 16, (num_rows, width), generator=draw, dtype=torch.uint8)
    scale = (torch.rand(num_rows, groups, generator=draw) + 0.1).bfloat16()
    zero = None if symmetric else torch.randint(0, 16, (num_rows, groups), generator=draw).bfloat16()
    x = torch.randn(num_tokens, width, generator=draw).bfloat16()
    zeros = torch.full_like(scale, 8) if zero is None else zero
    spread_zero, spread_scale = (part.double().repeat_interleave(128, dim=1)[:, :width] for part in (zeros, scale))
    weight = (codes.double() - spread_zero) * spread_scale
    moved = (None if value is None else value.to(device) for value in (x, codes, scale, zero, weight))
    return tuple(moved)


def worst(out, x, weight, weights_are_rounded):
    """The largest error in parts of what is allowed: the result's rounding, float32 sums, and rounded weights."""
    exact, size = x.double() @ weight.T, x.double().abs() @ weight.abs().T
    per_product = x.shape[1] * HALF_STEP[torch.float32] + weights_are_rounded * HALF_STEP[torch.bfloat16]
    allowed = exact.abs() * HALF_STEP[torch.bfloat16] + size * per_product * 1.01 + 1e-30
    return float(((out.double() - exact).abs() / allowed).nan_to_num(float("inf")).max()) if out.numel() else 0.0


SIZES = [(1, 32, 128), (3, 33, 129), (8, 70, 300), (5, 1, 5), (2, 96, 1024), (7, 31, 127)]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("num_tokens, num_rows, width", SIZES)
def test_numbers_come_back(num_tokens, num_rows, width, symmetric, device):
    _, codes, scale, zero, weight = problem(num_tokens, num_rows, width, device, symmetric)
    matrix = pack_int4(codes, scale, zero)
    assert torch.equal(dequantize_int4(matrix, torch.float64), weight)
    assert torch.equal(run_dequantize(matrix), weight.bfloat16())


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("num_tokens, num_rows, width", SIZES)
def test_every_kernel_is_as_exact_as_its_formats(num_tokens, num_rows, width, symmetric, device):
    x, codes, scale, zero, weight = problem(num_tokens, num_rows, width, device, symmetric)
    matrix = pack_int4(codes, scale, zero)
    for rows in (32, 64):
        for splits in range(1, min(3, matrix.words.shape[1]) + 1):
            out = run_decode(x, matrix, replace(DECODE, rows=rows, splits=splits, warps=rows // 32))
            assert worst(out, x, weight, False) <= 1
            out = run_fused(x, matrix, replace(FUSED, rows=rows, splits=splits))
            assert worst(out, x, weight, True) <= 1


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20), st.integers(1, 100), st.integers(1, 700), st.booleans(), st.integers(0, 99))
def test_any_size(num_tokens, num_rows, width, symmetric, seed):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, codes, scale, zero, weight = problem(num_tokens, num_rows, width, device, symmetric, seed)
    matrix = pack_int4(codes, scale, zero)
    if num_tokens <= 16:
        config = decode_config(num_tokens, num_rows, matrix.words.shape[1])
        assert worst(run_decode(x, matrix, config), x, weight, False) <= 1
    assert worst(run_fused(x, matrix, fused_config(num_tokens, num_rows)), x, weight, True) <= 1
    assert worst(matmul_int4(x, matrix), x, weight, True) <= 1


def test_steps_of_two_groups_and_uneven_parts(device):
    x, codes, scale, zero, weight = problem(4, 40, 128 * 10, device)
    out = run_decode(x, pack_int4(codes, scale, zero), replace(DECODE, groups=2, splits=3))
    assert worst(out, x, weight, False) <= 1


def test_rows_of_x_may_lie_apart(device):
    x, codes, scale, zero, weight = problem(6, 40, 256, device)
    matrix = pack_int4(codes, scale, zero)
    apart = torch.full((6, 300), float("nan"), dtype=torch.bfloat16, device=device)
    apart[:, 7:263] = x
    for out in (run_decode(apart[:, 7:263], matrix, DECODE), run_fused(apart[:, 7:263], matrix, FUSED)):
        assert worst(out, x, weight, True) <= 1
    assert worst(matmul_int4(apart[:, 7:263].T.contiguous().T, matrix), x, weight, True) <= 1


def test_sums_of_parts_are_the_same_every_time_and_counters_end_at_zero(device):
    x, codes, scale, zero, _ = problem(2, 64, 1280, device)
    matrix = pack_int4(codes, scale, zero)
    config = replace(DECODE, splits=5)
    first = run_decode(x, matrix, config)
    assert all(torch.equal(run_decode(x, matrix, config), first) for _ in range(5))


@pytest.mark.parametrize("wrong", ["zero", "next group's scale", "order of codes", "rows"])
def test_mistakes_are_seen(wrong, device):
    x, codes, scale, zero, weight = problem(3, 64, 384, device)
    matrix = pack_int4(codes, scale, zero)
    if wrong == "zero":
        matrix = pack_int4(codes, scale, zero + 1)
    elif wrong == "next group's scale":
        matrix = pack_int4(codes, scale.roll(1, dims=1), zero)
    elif wrong == "order of codes":
        words = matrix.words.int() & 0xFFFF
        swapped = (words & 0x0F0F) << 4 | (words >> 4) & 0x0F0F
        matrix = replace(matrix, words=swapped.to(torch.int16))
    else:
        matrix = replace(matrix, words=matrix.words.roll(1, dims=2))
    for out, rounded in ((run_decode(x, matrix, DECODE), False), (run_fused(x, matrix, FUSED), True)):
        assert worst(out, x, weight, rounded) > 5


def test_the_example_of_the_specification():
    codes = torch.zeros(1, 128, dtype=torch.uint8)
    codes[0, [0, 1, 32, 33, 64, 65, 96, 97]] = torch.tensor([3, 15, 0, 1, 9, 8, 12, 7], dtype=torch.uint8)
    words = pack_int4(codes, torch.ones(1, 1).bfloat16()).words[0, 0, 0].int() & 0xFFFF
    assert words[:3].tolist() == [0xC903, 0x781F, 0]


def test_bytes_are_those_of_the_format():
    codes, scale = torch.zeros(64, 256, dtype=torch.uint8), torch.ones(64, 2).bfloat16()
    assert pack_int4(codes, scale, scale).num_bytes * 8 == 64 * 256 * 4.25
    assert pack_int4(codes, scale).num_bytes * 8 == 64 * 256 * 4.125


def test_leading_axes_stay_and_nothing_gives_nothing(device):
    x, codes, scale, zero, _ = problem(6, 40, 256, device)
    matrix = pack_int4(codes, scale, zero)
    assert matmul_int4(x.view(2, 3, 256), matrix).shape == (2, 3, 40)
    assert matmul_int4(x[0], matrix).shape == (40,)
    assert matmul_int4(x[:0], matrix).shape == (0, 40)
    assert torch.equal(matmul_int4(x.view(2, 3, 256), matrix).view(6, 40), matmul_int4(x, matrix))


def test_without_a_gpu_any_floating_type_runs():
    x, codes, scale, zero, weight = problem(6, 40, 256, "cpu")
    out = matmul_int4(x.double(), pack_int4(codes, scale, zero))
    assert out.dtype == torch.float64 and torch.allclose(out, x.double() @ weight.T, rtol=1e-12)
    assert torch.equal(out, matmul_int4_reference(x.double(), pack_int4(codes, scale, zero)))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x, matrix: matmul_int4(x[:, 1:], matrix), r"x must be \[\.\.\., 256\] for a matrix \[40, 256\], got"),
        (lambda x, matrix: matmul_int4(x.int(), matrix), "floating type of 16 bits or more, got torch.int32"),
        (lambda x, matrix: matmul_int4(x.to("meta"), matrix), "x is on meta, the matrix on"),
        (lambda x, matrix: pack_int4(torch.zeros(4, 256), torch.ones(4, 2).bfloat16()), "codes must be uint8"),
        (
            lambda x, matrix: pack_int4(torch.zeros(4, 256, dtype=torch.uint8), torch.ones(4, 2)),
            "scale must be bfloat16",
        ),
        (
            lambda x, matrix: pack_int4(torch.zeros(4, 256, dtype=torch.uint8), torch.ones(4, 3).bfloat16()),
            r"scale must be bfloat16 \[4, 2\], one a group of 128, got .* \[4, 3\]",
        ),
    ],
)
def test_wrong_inputs_are_named(call, message, device):
    x, codes, scale, zero, _ = problem(2, 40, 256, device)
    with pytest.raises(ValueError, match=message):
        call(x, pack_int4(codes, scale, zero))


def test_a_wrong_type_on_cuda_is_named(device):
    if device != "cuda":
        pytest.skip("needs CUDA")
    x, codes, scale, zero, _ = problem(2, 40, 256, device)
    with pytest.raises(ValueError, match=r"must be bfloat16 on CUDA, got torch\.float16"):
        matmul_int4(x.half(), pack_int4(codes, scale, zero))


def test_the_whole_choice_of_sizes_is_possible():
    for num_tokens in (1, 8, 9, 16):
        for num_rows, groups in ((32, 1), (5120, 40), (5120, 64), (16384, 40), (7168, 40), (100, 3)):
            config = decode_config(num_tokens, num_rows, groups)
            assert config.tokens >= num_tokens and config.splits <= max(1, groups // config.groups)
            assert groups % config.groups == 0
