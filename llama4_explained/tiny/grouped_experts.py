"""The routed experts for training on a GPU: each runs on its own tokens, and the CPU need not know how many those are.

`Experts` asks the GPU for the number of tokens of every expert, and so waits for it in every layer. Here the counts
stay on the GPU, where one grouped multiplication reads them; a step can be recorded as one CUDA graph.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..moe import Experts


class GroupedExperts(Experts):
    """`Experts` in bfloat16, on a GPU, for any number of tokens of each.

    Shapes: as `Experts`.
    """

    def forward(self, tokens: Tensor, expert_index: Tensor, score: Tensor) -> Tensor:
        """tokens [BT, D], expert_index and score [BT, A] -> [BT, D]."""
        chosen = expert_index.flatten()
        order = chosen.argsort(stable=True)
        token = order.div(expert_index.shape[1], rounding_mode="floor")
        inputs = (tokens[token] * score.flatten()[order, None]).bfloat16()
        ends = (chosen[:, None] <= torch.arange(self.num_experts, device=chosen.device)).sum(0, dtype=torch.int32)
        gate, up = F.grouped_mm(inputs, self.gate_up_proj.bfloat16(), offs=ends).chunk(2, dim=-1)
        outputs = F.grouped_mm(F.silu(gate) * up, self.down_proj.bfloat16(), offs=ends)
        return torch.zeros_like(tokens).index_add(0, token, outputs.to(tokens.dtype))


def group_experts_(model: nn.Module) -> None:
    """Let the experts of a model run grouped, with the parameters that they have."""
    for module in model.modules():
        if type(module) is Experts:
            module.__class__ = GroupedExperts
