"""How much the choice of an expert tells about a token, in bits.

The mutual information of choice X and label Y is H(X) + H(Y) - H(X, Y): 0 if they know nothing of each other, H(Y) if
the choice gives the label away.

Shapes: N tokens, G groups of tokens that share their label, such as all tokens of one conversation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SHUFFLES = 8


def entropy(labels: Tensor) -> float:
    """H of labels as they are counted, int64 [N], each at least 0, in bits."""
    probability = labels.bincount().double() / len(labels)
    return float(torch.special.entr(probability).sum() / torch.log(torch.tensor(2.0, dtype=torch.float64)))


def mutual_information(choices: Tensor, labels: Tensor) -> float:
    """I of two sorts of labels as they are counted, int64 [N] both, in bits."""
    both = choices * (int(labels.max()) + 1) + labels
    return entropy(choices) + entropy(labels) - entropy(both)


@dataclass(frozen=True)
class Information:
    """What choices tell of labels, in bits.

    `bits` is what is left after `shuffled` is taken away: what the same choices seem to tell of the same labels in
    random order. Finitely many tokens always seem to tell a little. `entropy` is that of the labels, the most there is.
    """

    bits: float
    shuffled: float
    entropy: float

    @property
    def share(self) -> float:
        """Which part of all there is to know is known, about 0 to 1."""
        return self.bits / self.entropy if self.entropy else 0.0


def information(choices: Tensor, labels: Tensor, group: Tensor | None = None, seed: int = 0) -> Information:
    """What choices, int64 [N], tell of labels.

    Without groups, labels are int64 [N]. With them they are [G], and `group` is [N]: tokens of a group are shuffled
    together, because they are no independent witnesses.
    """
    group = torch.arange(len(labels)) if group is None else group
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(labels), generator=generator) for _ in range(SHUFFLES)]
    shuffled = sum(mutual_information(choices, labels[order][group]) for order in orders) / SHUFFLES
    of_tokens = labels[group]
    return Information(mutual_information(choices, of_tokens) - shuffled, shuffled, entropy(of_tokens))
