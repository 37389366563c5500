"""`moe_int4`: checks what it is given, and starts the kernels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..matmul_int4 import matmul_int4
from .configs import DECODE_TOKENS, MoeConfig, moe_config
from .reference import Int4Expert, moe_int4_reference


def moe_int4(x: Tensor, index: Tensor, score: Tensor, experts: Int4Expert, shared: Int4Expert) -> Tensor:
    """Shared and routed experts of every token, summed: two launches for up to 64 tokens.

    More tokens are sorted by expert, and every expert multiplies its own. Which expert has which is read on the device
    alone. On a machine without CUDA this is `moe_int4_reference`.

    Shapes: x [T, D], bfloat16 on CUDA; index int [T, A], the chosen experts; score [T, A] -> [T, D].
    Errors: ValueError for other shapes, types or devices.
    Differs: HF rounds score * x to bfloat16; here the score multiplies the exact sums of gate and up, in float32.
    """
    hidden_size = experts.hidden_size
    if x.ndim != 2 or x.shape[1] != hidden_size:
        raise ValueError(f"x must be [T, {hidden_size}], got {list(x.shape)}")
    if index.ndim != 2 or len(index) != len(x) or score.shape != index.shape:
        raise ValueError(f"index and score must be [{len(x)}, A], got {list(index.shape)} and {list(score.shape)}")
    if index.is_floating_point() or not score.is_floating_point():
        raise ValueError(f"index must be whole numbers and score floating, got {index.dtype} and {score.dtype}")
    devices = {tensor.device for tensor in (x, index, score, experts.down.words, shared.down.words)}
    if len(devices) > 1:
        raise ValueError(f"everything must be on one device, got {', '.join(sorted(map(str, devices)))}")
    if (shared.hidden_size, shared.width) != (hidden_size, experts.width):
        raise ValueError(f"the shared expert is {shared.down.shape}, routed ones are {experts.down.shape}")
    if not x.is_cuda:
        return moe_int4_reference(x, index, score, experts, shared)
    if x.dtype != torch.bfloat16:
        raise ValueError(f"x must be bfloat16 on CUDA, got {x.dtype}")
    if hidden_size % 128 or experts.width % 128:
        raise ValueError(f"widths must be multiples of 128 on CUDA, got D = {hidden_size} and F = {experts.width}")
    if index.numel() > DECODE_TOKENS:
        gate, up = matmul_int4(x, shared.gate_up).chunk(2, dim=-1)
        out = matmul_int4(F.silu(gate) * up, shared.down)
        return out + run_routed(x, index, score, experts).view(len(x), -1, hidden_size).sum(1)
    return run_moe(x, index, score, experts, shared, moe_config(len(x), index.numel(), experts.gate_up.words.shape[0]))


def run_moe(
    x: Tensor, index: Tensor, score: Tensor, experts: Int4Expert, shared: Int4Expert, config: MoeConfig
) -> Tensor:
    """[T, D] -> [T, D] by the two kernels; T * A is at most 64."""
    from ..primitives import counters, launch_options
    from .kernel import down_kernel, gate_up_kernel

    hidden_size, width, num_experts = experts.hidden_size, experts.width, experts.gate_up.words.shape[0]
    num_tokens, num_pairs = len(x), index.numel()
    x, index, score = x.contiguous(), index.contiguous(), score.contiguous()
    hidden = x.new_empty(num_pairs + num_tokens, width)
    partial = torch.empty(config.splits, num_pairs + num_tokens, hidden_size, dtype=torch.float32, device=x.device)
    out = torch.empty_like(x)
    slots = 1 + min(num_pairs, num_experts)
    by_pair = num_pairs < num_experts
    symmetric = experts.down.is_symmetric
    groups, wide_groups = (2 if size // 128 % 2 == 0 else 1 for size in (hidden_size, width))
    gate_up_kernel[(width // 32, slots)](
        x, index, score, experts.gate_up.words, experts.gate_up.scales, shared.gate_up.words, shared.gate_up.scales,
        hidden, num_tokens, num_pairs, index.shape[1], hidden_size, width, symmetric, by_pair, config.pairs, config.few,
        groups, config.stages, num_warps=config.warps, **launch_options(),
    )  # fmt: skip
    down_kernel[(hidden_size // config.rows, slots * config.splits)](
        hidden, index, experts.down.words, experts.down.scales, shared.down.words, shared.down.scales, partial,
        counters(x.device, hidden_size // config.rows), out, num_tokens, num_pairs, index.shape[1], width, hidden_size,
        symmetric, by_pair, config.pairs, config.few, config.splits, config.rows, wide_groups, config.stages,
        num_warps=config.warps, **launch_options(),
    )  # fmt: skip
    return out


def run_routed(x: Tensor, index: Tensor, score: Tensor, experts: Int4Expert) -> Tensor:
    """The routed experts' results alone, for any number of tokens: x [T, D] -> [T * A, D], pair by pair."""
    from ..primitives import INTERPRETED
    from .prefill_kernel import prefill_down_kernel, prefill_gate_up_kernel

    hidden_size, width, num_experts = experts.hidden_size, experts.width, experts.gate_up.words.shape[0]
    num_pairs, choices = index.numel(), index.shape[1]
    padded = 1 << (num_experts - 1).bit_length()
    chosen, pair = index.flatten().sort(stable=True)
    end = torch.searchsorted(chosen, torch.arange(padded, device=x.device, dtype=chosen.dtype), right=True).int()
    x, token, sorted_score = x.contiguous(), (pair // choices).int(), score.flatten()[pair]
    hidden = x.new_empty(num_pairs, width)
    out = x.new_empty(num_pairs, hidden_size)
    most_tiles = -(-num_pairs // 128) + min(num_experts, num_pairs)  # every expert's last tile may be short
    options = {"SYMMETRIC": experts.down.is_symmetric, "STAGES": 3, "PTX": not INTERPRETED, "num_warps": 8}
    prefill_gate_up_kernel[(most_tiles * width // 64,)](
        x, token, sorted_score, end, experts.gate_up.words, experts.gate_up.scales, hidden, hidden_size, width,
        num_experts, padded, **options,
    )  # fmt: skip
    prefill_down_kernel[(most_tiles * hidden_size // 128,)](
        hidden, pair.int(), end, experts.down.words, experts.down.scales, out, width, hidden_size, num_experts, padded,
        **options,
    )  # fmt: skip
    return out
