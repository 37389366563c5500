"""The training loss: how surprised the model is by each next token."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .errors import UserError

IGNORED = -100


def next_token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy between each position's logits and the token that follows it.

    Shapes: logits [B, T, V], labels int64 [B, T], the input ids themselves with -100 where no prediction counts -> [].
    Units:  nats.
    Errors: UserError if there is not one label for every position of the logits.
    Source: HF `ForCausalLMLoss`. Computed in float32, as there.
    """
    if labels.shape != logits.shape[:-1]:
        raise UserError(
            f"labels is {list(labels.shape)}; expected {list(logits.shape[:-1])}, one for every position of the logits"
        )
    return F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
