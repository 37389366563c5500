"""The routed experts of a mixture for many tokens, at Llama 4 Scout's sizes. No norm, no router, no shared expert."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from llama4_kernels import Int4Expert
from llama4_kernels.matmul_int4 import dequantize_int4
from llama4_kernels.moe_int4.launch import run_routed

from .moe_decode import EXPERTS, HIDDEN, WIDTH, mixture, router
from .tasks import Task, Work

TOKENS = (256, 1024, 4096, 16384)
INPUTS = 2


def tasks(device: torch.device) -> Iterator[Task]:
    """Ours, then PyTorch's grouped product of the same numbers in bfloat16."""
    yield Task("scout", "ours", TOKENS, lambda: _ours(device))
    yield Task("scout", "torch grouped_mm bf16", TOKENS, lambda: _grouped(device))


def _ours(device: torch.device) -> Callable[[int], Work]:
    experts, _ = mixture(device)
    stored = experts.gate_up.num_bytes + experts.down.num_bytes
    run = lambda x, index, score: run_routed(x, index, score, experts)  # noqa: E731
    return lambda num_tokens: _work(run, num_tokens, experts, stored)


def _grouped(device: torch.device) -> Callable[[int], Work]:
    experts, _ = mixture(device)
    numbers = [(dequantize_int4(experts[e].gate_up, torch.bfloat16), dequantize_int4(experts[e].down, torch.bfloat16))
               for e in range(EXPERTS)]  # fmt: skip
    gate_up, down = (torch.stack(matrices).transpose(1, 2) for matrices in zip(*numbers, strict=True))
    every = torch.arange(EXPERTS, device=device)

    def run(x: Tensor, index: Tensor, score: Tensor) -> Tensor:
        chosen, order = index.flatten().sort(stable=True)
        ends = torch.searchsorted(chosen, every, right=True).int()
        scaled = (x * score)[order]
        gate, up = F.grouped_mm(scaled, gate_up, offs=ends).chunk(2, dim=-1)
        out = torch.empty_like(x)
        out[order] = F.grouped_mm(F.silu(gate) * up, down, offs=ends)
        return out

    return lambda num_tokens: _work(run, num_tokens, experts, gate_up.nbytes + down.nbytes)


def _work(run: Callable[..., Tensor], num_tokens: int, experts: Int4Expert, stored: int) -> Work:
    """The error is that of the first expert's tokens: all of them in float64 would take longer than the measurement."""
    device = experts.down.words.device
    draw, route = torch.Generator(device).manual_seed(num_tokens), router(device)
    inputs = [torch.randn(num_tokens, HIDDEN, device=device, generator=draw).bfloat16() for _ in range(INPUTS)]
    copies = [(x, *route(x)) for x in inputs]
    x, index, score = copies[0]
    tokens = (index[:, 0] == index[0, 0]).nonzero()[:64, 0]
    scaled, expert = x[tokens].double() * score[tokens].double(), experts[int(index[0, 0])]
    gate, up = (scaled @ dequantize_int4(expert.gate_up).double().T).chunk(2, dim=-1)
    exact = (F.silu(gate) * up) @ dequantize_int4(expert.down).double().T
    rel_error = float((run(*copies[0])[tokens].double() - exact).norm() / exact.norm())
    return Work(
        call=run,
        copies=copies,
        sizes={"M": num_tokens, "N": HIDDEN, "K": WIDTH},
        num_bytes=stored + 2 * x.nbytes,
        flops=2 * num_tokens * 3 * HIDDEN * WIDTH,
        rel_error=float(f"{rel_error:.3g}"),
    )
