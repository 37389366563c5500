"""Mixture of experts: a router sends each token to its best expert, and a shared expert sees every token.

Llama 4's own turn: the router's score multiplies the expert's *input*, not its output.

Shapes: BT tokens of all rows, D hidden, E experts, A experts per token, F width of an expert.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import TextConfig
from .feed_forward import FeedForward
from .linear import product
from .trace import record


class Router(nn.Linear):
    """Chooses A of E experts for every token, and how strongly each is to be fed.

    Source: HF `Llama4Router`.
    Differs: HF returns [BT, E] scores with zeros for experts that were not chosen; here only the chosen ones exist.
    """

    def __init__(self, hidden_size: int, num_experts: int, experts_per_token: int) -> None:
        super().__init__(hidden_size, num_experts, bias=False)
        self.experts_per_token = experts_per_token

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """[BT, D] -> expert_index int64 [BT, A] and score [BT, A], the sigmoid of each chosen logit."""
        logits = super().forward(tokens)  # [BT, E]
        chosen_logits, expert_index = logits.topk(self.experts_per_token, dim=-1)
        # Sigmoid, not softmax: a score does not depend on the other experts.
        score = chosen_logits.float().sigmoid().type_as(logits)
        record("router_logits", logits)
        record("expert_index", expert_index)
        record("router_score", score)
        return expert_index, score


class Experts(nn.Module):
    """E gated feed-forwards, stored as two tensors, each run on its own tokens only.

    Shapes: gate_up_proj [E, D, 2F], the gate's columns first; down_proj [E, F, D]. Inputs come from the left: x @ W.
    Source: HF `Llama4TextExperts`.
    Differs: HF runs every expert on every token, on zeros where it was not chosen: E / A times the work, same result.
    """

    def __init__(self, num_experts: int, hidden_size: int, width: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(num_experts, hidden_size, 2 * width))
        self.down_proj = nn.Parameter(torch.empty(num_experts, width, hidden_size))
        for weight in (self.gate_up_proj, self.down_proj):  # as `nn.Linear` starts
            nn.init.uniform_(weight, -(weight.shape[1] ** -0.5), weight.shape[1] ** -0.5)

    @property
    def num_experts(self) -> int:
        return self.gate_up_proj.shape[0]

    def weights(self, experts: list[int]) -> list[tuple[Tensor, Tensor]]:
        """The named experts' matrices: gate and up [D, 2F], down [F, D]."""
        gate_up, down = self.gate_up_proj.unbind(), self.down_proj.unbind()  # one gradient buffer, not one an expert
        return [(gate_up[expert], down[expert]) for expert in experts]

    def multiply(self, x: Tensor, matrix: Tensor) -> Tensor:
        """x @ matrix, for one that `weights` gave."""
        return product(x, matrix)

    def forward(self, tokens: Tensor, expert_index: Tensor, score: Tensor) -> Tensor:
        """tokens [BT, D], expert_index and score [BT, A] -> [BT, D], the sum over each token's experts."""
        order = expert_index.flatten().argsort(stable=True)  # token-expert pairs, sorted by expert  [BT*A]
        token = order.div(expert_index.shape[1], rounding_mode="floor")  # the token of each pair
        inputs = tokens[token] * score.flatten()[order, None]  # the input is scaled, not the output
        counts = expert_index.flatten().bincount(minlength=self.num_experts).tolist()
        active = [expert for expert, count in enumerate(counts) if count]
        groups = inputs.split([counts[expert] for expert in active])
        outputs = []
        for group, (gate_up_proj, down_proj) in zip(groups, self.weights(active), strict=True):
            gate, up = self.multiply(group, gate_up_proj).chunk(2, dim=-1)  # [tokens of this expert, F] each
            outputs.append(self.multiply(F.silu(gate) * up, down_proj))
        return torch.zeros_like(tokens).index_add(0, token, torch.cat(outputs))


class MixtureOfExperts(nn.Module):
    """Routed experts plus the shared expert, whose input is not scaled.

    Shapes: [B, T, D] -> [B, T, D].
    Source: HF `Llama4TextMoe`.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.router = Router(config.hidden_size, config.num_experts, config.experts_per_token)
        self.experts = Experts(config.num_experts, config.hidden_size, config.expert_width)
        self.shared_expert = FeedForward(config.hidden_size, config.expert_width)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(0, -2)  # [BT, D]
        expert_index, score = self.router(tokens)
        routed = self.experts(tokens, expert_index, score)
        shared = self.shared_expert(tokens)
        record("routed_output", routed)
        record("shared_output", shared)
        return (shared + routed).view_as(x)
