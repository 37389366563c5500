"""Which expert each token goes to, and what that tells of the token: is it of an image, what does it say, in which
language?

Shapes: L layers with experts, N tokens of Q questions, padding left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model import Llama4
from ..special_tokens import PATCH
from ..tokenizer import Tokenizer
from .exam import Examiner, Question
from .information import Information, information
from .interventions import hooked, mixtures, untrained_weights
from .languages import BY_CODE
from .tasks import Turn
from .word_kinds import KINDS, word_kinds


@dataclass(frozen=True)
class Choices:
    """The expert of every token in every layer that has experts."""

    layers: list[int]
    experts: Tensor  # int64 [L, N]; of a token's several experts, the one with the highest score
    tokens: Tensor  # int64 [N], their ids
    question: Tensor  # int64 [N], the place in `turns` of what each token belongs to
    turns: list[Turn]


def expert_choices(
    model: Llama4, examiner: Examiner, questions: Sequence[Question], untrained_seed: int | None = None
) -> Choices:
    """The experts of all tokens of the questions and their right answers.

    With `untrained_seed`: those that the routers of `untrained_weights` would choose for the very same tokens if they
    had to use all experts alike, see `even_choice`. The tokens still go where they always go.
    """
    weights = None if untrained_seed is None else untrained_weights(model, untrained_seed)
    noted: dict[int, list[Tensor]] = {layer: [] for layer in mixtures(model)}
    batches: list[Tensor] = []

    def note_choice(layer: int) -> Callable[..., None]:
        def hook(router: nn.Module, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
            noted[layer].append((output[0][:, 0] if weights is None else F.linear(inputs[0], weights[layer])).cpu())

        return hook

    turns: list[Turn] = []
    lengths: list[int] = []
    with ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(lambda _, inputs: batches.append(inputs[0].cpu())).remove)
        for layer, mixture in mixtures(model).items():
            stack.enter_context(hooked([mixture.router], note_choice(layer)))
        for answer in examiner.answers(model, questions):  # in the order of the rows of all batches
            turns.append(answer.question.turn)
            lengths.append(answer.position + len(answer.target))
    length = torch.tensor(lengths)
    rows = length.split([len(batch) for batch in batches])
    is_used = torch.cat(
        [(torch.arange(batch.shape[1]) < row[:, None]).flatten() for batch, row in zip(batches, rows, strict=True)]
    )
    per_layer = [torch.cat(each)[is_used] for each in noted.values()]  # experts [N], or logits of all of them [N, E]
    return Choices(
        layers=list(noted),
        experts=torch.stack(per_layer if weights is None else [even_choice(logits) for logits in per_layer]),
        tokens=torch.cat([batch.flatten() for batch in batches])[is_used],
        question=torch.arange(len(turns)).repeat_interleave(length),
        turns=turns,
    )


def even_choice(logits: Tensor, rounds: int = 100) -> Tensor:
    """Each token's best expert after every expert's logits are moved by one number, so that all get alike many tokens.

    Training has routers spread their tokens evenly, and who spreads them more can tell more. An untrained router that
    is made to do so as well differs from a trained one only in what it has not learnt.

    Shapes: [N, E] -> int64 [N].
    Source: the bias of DeepSeek-V3 (arXiv 2412.19437), section 2.1.2; here its steps shrink.
    """
    logits, num_experts = logits.float(), logits.shape[1]
    bias = -logits.mean(0)
    for step in range(rounds):
        share = (logits + bias).argmax(-1).bincount(minlength=num_experts) / len(logits)
        bias = bias - logits.std() * (share - 1 / num_experts) * 4 / (1 + step / 10)
    return (logits + bias).argmax(-1)


@dataclass(frozen=True)
class Labels:
    """What one may want to know of some tokens, n of the N; tokens of one of G groups have the same label."""

    which: Tensor  # bool [N]
    label: Tensor  # int64 [G]
    group: Tensor  # int64 [n]


def token_labels(choices: Choices, tokenizer: Tokenizer) -> dict[str, Labels]:
    """Three things to know: `modality` (image token or text), and of text `kind of word` and `language`.

    A language belongs to a whole question, so that a question is a group; else every token is one of its own.
    """
    is_image = choices.tokens == tokenizer.token_id(PATCH)
    text, question = choices.tokens[~is_image], choices.question[~is_image]
    codes = sorted({turn.language for turn in choices.turns})
    language = torch.tensor([codes.index(turn.language) for turn in choices.turns])  # [Q]
    kinds = torch.tensor([[KINDS.index(kind) for kind in word_kinds(tokenizer, BY_CODE[code])] for code in codes])
    return {
        "modality": Labels(torch.ones_like(is_image), is_image.long(), torch.arange(len(is_image))),
        "kind of word": Labels(~is_image, kinds[language[question], text], torch.arange(len(text))),
        "language": Labels(~is_image, language, question),
    }


def told_by_choices(choices: Choices, labels: Labels) -> list[Information]:
    """What the choice of an expert tells of a token, in each of the layers."""
    return [information(experts[labels.which], labels.label, labels.group) for experts in choices.experts]
