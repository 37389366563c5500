"""The two launches of a mixture of experts equal float64's, whoever chose whom."""

from dataclasses import replace

import pytest
import torch

from llama4_kernels import Int4Expert, moe_int4, pack_int4, stack_experts
from llama4_kernels.matmul_int4 import dequantize_int4
from llama4_kernels.moe_int4.configs import MoeConfig, moe_config
from llama4_kernels.moe_int4.launch import run_moe, run_routed

HIDDEN, WIDTH, EXPERTS = 128, 256, 5
CONFIG = MoeConfig(pairs=8, few=8, rows=32, splits=1, warps=2, stages=2)


def matrix(num_rows, width, draw, symmetric, device):
    codes = torch.randint(0, 16, (num_rows, width), generator=draw, dtype=torch.uint8)
    scale = (torch.rand(num_rows, width // 128, generator=draw) * 0.01 + 0.01).bfloat16()
    zero = None if symmetric else torch.randint(5, 11, scale.shape, generator=draw).bfloat16()
    return pack_int4(codes.to(device), scale.to(device), None if zero is None else zero.to(device))


def mixture(device, symmetric=False, seed=0):
    draw = torch.Generator().manual_seed(seed)
    made = [
        Int4Expert(matrix(2 * WIDTH, HIDDEN, draw, symmetric, device), matrix(HIDDEN, WIDTH, draw, symmetric, device))
        for _ in range(EXPERTS + 1)
    ]
    return stack_experts(made[1:]), made[0]


def exact(x, index, score, experts, shared):
    """In float64, but for `hidden`, which is rounded to bfloat16 as the kernels do."""

    def feed_forward(x, factor, expert):
        gate, up = (factor * (x @ dequantize_int4(expert.gate_up, torch.float64).T)).chunk(2, dim=-1)
        hidden = (torch.nn.functional.silu(gate) * up).bfloat16().double()
        return hidden @ dequantize_int4(expert.down, torch.float64).T

    x = x.double()
    rows = []
    for token in range(len(x)):
        row = feed_forward(x[token], 1.0, shared)
        for expert, factor in zip(index[token].tolist(), score[token].double(), strict=True):
            row = row + feed_forward(x[token], factor, experts[expert])
        rows.append(row)
    return torch.stack(rows)


def error(out, expected):
    """Root of the mean square, in parts of the expected one's. The floor is bfloat16's rounding, 2^-9 to 2^-8."""
    return float((out.double() - expected).norm() / expected.norm())


TOLERANCE = 4e-3  # measured: 1.5e-3 to 1.7e-3; hidden and the result are rounded to bfloat16
MANY_TOLERANCE = 7e-3  # 3.6e-3 to 4.1e-3: the weights are rounded too


def inputs(num_tokens, choices, device, index=None, seed=1):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(num_tokens, HIDDEN, generator=draw).bfloat16()
    if index is None:
        index = torch.stack([torch.randperm(EXPERTS, generator=draw)[:choices] for _ in range(num_tokens)])
    score = torch.rand(index.shape, generator=draw).bfloat16() + 0.2
    return x.to(device), index.to(device), score.to(device)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("num_tokens, choices", [(1, 1), (3, 1), (4, 1), (6, 1), (3, 2), (8, 2), (1, 4)])
def test_equals_float64(num_tokens, choices, symmetric, device):
    experts, shared = mixture(device, symmetric)
    x, index, score = inputs(num_tokens, choices, device)
    config = moe_config(num_tokens, index.numel(), EXPERTS)
    assert error(run_moe(x, index, score, experts, shared, config), exact(x, index, score, experts, shared)) < TOLERANCE


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, rows=64, splits=2), replace(CONFIG, pairs=32, few=8)])
@pytest.mark.parametrize("choice", ["one for all", "two of five", "one each"])
def test_whoever_chose_whom(config, choice, device):
    index = {"one for all": [3] * 7, "two of five": [4, 0, 0, 4, 0, 0, 0], "one each": [4, 3, 2, 1, 0, 1, 2]}[choice]
    experts, shared = mixture(device)
    x, index, score = inputs(7, 1, device, torch.tensor(index)[:, None])
    assert error(run_moe(x, index, score, experts, shared, config), exact(x, index, score, experts, shared)) < TOLERANCE


def test_an_expert_with_more_tokens_than_few(device):
    index = torch.tensor([2] * 11 + [1, 4])[:, None]
    experts, shared = mixture(device)
    x, index, score = inputs(13, 1, device, index)
    out = run_moe(x, index, score, experts, shared, replace(CONFIG, pairs=16, few=8))
    assert error(out, exact(x, index, score, experts, shared)) < TOLERANCE


@pytest.mark.parametrize(
    "num_tokens, choices, symmetric", [(1, 1, False), (70, 1, False), (150, 1, True), (40, 2, False)]
)
def test_many_tokens_equal_float64(num_tokens, choices, symmetric, device):
    experts, shared = mixture(device, symmetric)
    x, index, score = inputs(num_tokens, choices, device)
    out = run_routed(x, index, score, experts).view(num_tokens, choices, HIDDEN).double().sum(1)
    expected = exact(x, index, score, experts, shared)
    assert error(out, expected - exact(x, index[:, :0], score[:, :0], experts, shared)) < MANY_TOLERANCE


@pytest.mark.parametrize("expert", [0, 4])
def test_many_tokens_for_one_expert(expert, device):
    experts, shared = mixture(device)
    x, index, score = inputs(200, 1, device, torch.full((200, 1), expert))
    expected = exact(x, index, score, experts, shared) - exact(x, index[:, :0], score[:, :0], experts, shared)
    assert error(run_routed(x, index, score, experts), expected) < MANY_TOLERANCE


@pytest.mark.parametrize("wrong", ["expert", "score", "score on the output", "shared", "gate and up", "token"])
def test_mistakes_are_seen(wrong, device):
    experts, shared = mixture(device)
    x, index, score = inputs(4, 1, device)
    expected = exact(x, index, score, experts, shared)
    if wrong == "expert":
        index = (index + 1) % EXPERTS
    elif wrong == "score":
        score = score * 1.05
    elif wrong == "score on the output":
        score = torch.ones_like(score)
    elif wrong == "shared":
        shared = experts[0]
    elif wrong == "gate and up":
        words, scales = (
            part.roll(part.shape[1] // 2, dims=1) for part in (experts.gate_up.words, experts.gate_up.scales)
        )
        experts = replace(experts, gate_up=replace(experts.gate_up, words=words, scales=scales))
    else:
        x = x.roll(1, dims=0)
    out = run_moe(x, index, score, experts, shared, CONFIG)
    assert error(out, expected) > 5 * TOLERANCE


def test_without_a_gpu_the_specification_runs():
    experts, shared = mixture("cpu")
    x, index, score = inputs(9, 2, "cpu")
    expected = exact(x, index, score, experts, shared)
    out = moe_int4(x.double(), index, score.double(), experts, shared)
    assert out.dtype == torch.float64 and error(out, expected) < TOLERANCE


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x, index, score: (x[:, 1:], index, score), r"x must be \[T, 128\], got \[4, 127\]"),
        (lambda x, index, score: (x, index[1:], score), r"index and score must be \[4, A\], got \[3, 1\] and \[4, 1\]"),
        (lambda x, index, score: (x, score, score), "index must be whole numbers and score floating"),
        (lambda x, index, score: (x.to("meta"), index, score), "everything must be on one device, got"),
    ],
)
def test_wrong_inputs_are_named(change, message, device):
    experts, shared = mixture(device)
    with pytest.raises(ValueError, match=message):
        moe_int4(*change(*inputs(4, 1, device)), experts, shared)
