"""A mixture of experts in a decode step, at Llama 4 Scout's sizes: shared and routed gate, up and down. No norm, no
router, except for Hugging Face's module, which has its own inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llama4_explained.number_formats import QuantizationConfig, quantize_tensor, unpack_bits
from llama4_kernels import Int4Expert, Int4Matrix, moe_int4, pack_int4, stack_experts
from llama4_kernels.matmul_int4 import dequantize_int4

from .tasks import Task, Work

HIDDEN, WIDTH, EXPERTS = 5120, 8192, 16
TOKENS = (1, 2, 4, 8, 16, 32, 64)
INPUTS = 16  # that take turns: with one token each, they choose experts of hundreds of megabytes
WEIGHT_STD = 0.02

Router = Callable[[Tensor], tuple[Tensor, Tensor]]


def tasks(device: torch.device) -> Iterator[Task]:
    """Ours, then Hugging Face's module in bfloat16 with the same numbers."""
    yield Task("scout", "ours", TOKENS, lambda: _ours(device))
    yield Task("scout", "HF Llama4TextMoe", TOKENS, lambda: _hugging_face(device))


def _ours(device: torch.device) -> Callable[[int], Work]:
    experts, shared = mixture(device)
    route = router(device)

    def run(x: Tensor, index: Tensor, score: Tensor) -> Tensor:
        return moe_int4(x, index, score, experts, shared)

    return lambda num_tokens: work(run, num_tokens, experts, shared, route)


def _hugging_face(device: torch.device) -> Callable[[int], Work]:
    from transformers import Llama4TextConfig
    from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

    experts, shared = mixture(device)
    config = Llama4TextConfig(
        hidden_size=HIDDEN, intermediate_size=WIDTH, num_local_experts=EXPERTS, num_experts_per_tok=1
    )
    with torch.device("meta"):
        module = Llama4TextMoe(config)
    module = module.to_empty(device=device).to(torch.bfloat16).eval()
    module.router.weight.copy_(_router_weight(device))
    for number in range(EXPERTS):
        module.experts.gate_up_proj[number] = dequantize_int4(experts[number].gate_up, torch.bfloat16).T
        module.experts.down_proj[number] = dequantize_int4(experts[number].down, torch.bfloat16).T
    gate, up = dequantize_int4(shared.gate_up, torch.bfloat16).chunk(2)
    for linear, weight in (
        (module.shared_expert.gate_proj, gate),
        (module.shared_expert.up_proj, up),
        (module.shared_expert.down_proj, dequantize_int4(shared.down, torch.bfloat16)),
    ):
        assert isinstance(linear, nn.Linear)
        linear.weight.copy_(weight)

    def run(x: Tensor, index: Tensor, score: Tensor) -> Tensor:
        return module(x[None])[0].view(len(x), HIDDEN)

    bytes_a_weight = 2
    return lambda num_tokens: work(run, num_tokens, experts, shared, router(device), bytes_a_weight)


def work(
    run: Callable[..., Tensor],
    num_tokens: int,
    experts: Int4Expert,
    shared: Int4Expert,
    route: Router,
    bytes_a_weight: float | None = None,
) -> Work:
    """`bytes` counts the shared expert and every expert that some token chose once, on average over the inputs."""
    device = shared.down.words.device
    draw = torch.Generator(device).manual_seed(num_tokens)
    inputs = [torch.randn(num_tokens, HIDDEN, device=device, generator=draw).bfloat16() for _ in range(INPUTS)]
    copies = [(x, *route(x)) for x in inputs]
    touched = sum(len(index.unique()) for _, index, _ in copies) / INPUTS
    weights = 3 * HIDDEN * WIDTH
    stored = bytes_a_weight * weights if bytes_a_weight else shared.gate_up.num_bytes + shared.down.num_bytes
    product = run(*copies[0])
    expected = exact(*copies[0], experts, shared)
    rel_error = float((product.double() - expected).norm() / expected.norm())
    return Work(
        call=run,
        copies=copies,
        sizes={"M": num_tokens, "N": HIDDEN, "K": WIDTH},
        num_bytes=round((1 + touched) * stored) + 2 * inputs[0].nbytes,
        flops=2 * 2 * num_tokens * weights,
        rel_error=float(f"{rel_error:.3g}"),
    )


def exact(x: Tensor, index: Tensor, score: Tensor, experts: Int4Expert, shared: Int4Expert) -> Tensor:
    """The same in float64, expert by expert."""

    def feed_forward(x: Tensor, expert: Int4Expert) -> Tensor:
        gate, up = (x @ dequantize_int4(expert.gate_up).double().T).chunk(2, dim=-1)
        return (F.silu(gate) * up) @ dequantize_int4(expert.down).double().T

    out = feed_forward(x.double(), shared)
    scaled = x.double() * score.double()
    for expert in index.unique().tolist():
        tokens = index[:, 0] == expert
        out[tokens] += feed_forward(scaled[tokens], experts[expert])
    return out


def mixture(device: torch.device) -> tuple[Int4Expert, Int4Expert]:
    """16 experts and the shared one, of normal weights rounded to int4."""
    draw = torch.Generator(device).manual_seed(0)

    def matrix(num_rows: int, width: int) -> Int4Matrix:
        weight = torch.randn(num_rows, width, device=device, generator=draw) * WEIGHT_STD
        quantized = quantize_tensor(weight, QuantizationConfig.of("int4"))
        return pack_int4(unpack_bits(quantized.codes, 4, width), quantized.scale, quantized.zero)

    made = [Int4Expert(matrix(2 * WIDTH, HIDDEN), matrix(HIDDEN, WIDTH)) for _ in range(EXPERTS + 1)]
    return stack_experts(made[1:]), made[0]


def router(device: torch.device) -> Router:
    """Llama 4's: the largest logit's expert, and the sigmoid of that logit."""
    weight = _router_weight(device)

    def route(x: Tensor) -> tuple[Tensor, Tensor]:
        logit, index = F.linear(x, weight).max(dim=-1, keepdim=True)
        return index, torch.sigmoid(logit.float()).bfloat16()

    return route


def _router_weight(device: torch.device) -> Tensor:
    draw = torch.Generator(device).manual_seed(1)
    return (torch.randn(EXPERTS, HIDDEN, device=device, generator=draw) * WEIGHT_STD).bfloat16()
