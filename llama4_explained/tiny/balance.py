"""How evenly the routers of a model spread their tokens, as a loss for training.

Shapes: BT tokens of all rows, D hidden, E experts, A experts per token.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..moe import Router


class BalancedRouter(Router):
    """`Router` that measures how unevenly it spreads its tokens: 1 is even, E is all to one expert.

    Source: Switch Transformer (arXiv 2101.03961), equation 4: E times the sum over experts of their share of the tokens
        times their mean probability, through which alone gradients flow.
    """

    _imbalance: Tensor

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """[BT, D] -> as `Router`."""
        expert_index, score = super().forward(tokens)
        num_experts = self.weight.shape[0]
        probability = F.linear(tokens, self.weight).float().softmax(-1)  # [BT, E]
        chosen = (expert_index[..., None] == torch.arange(num_experts, device=tokens.device)).any(1)  # [BT, E]
        self._imbalance = num_experts * (chosen.float().mean(0) * probability.mean(0)).sum()
        return expert_index, score

    def take_imbalance(self) -> Tensor:
        """That of the last tokens, once: a gradient's graph that lives on spoils the recording of the next step."""
        imbalance = self._imbalance
        del self._imbalance
        return imbalance


def balance_routers_(model: nn.Module) -> list[BalancedRouter]:
    """Let the routers of a model measure their balance, with the parameters that they have; returns them."""
    routers = [module for module in model.modules() if isinstance(module, Router)]
    for router in routers:
        router.__class__ = BalancedRouter
    return routers  # type: ignore[return-value]
