"""What it costs a model to be stored in fewer bits: right answers, and how far its distribution moves."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model import Llama4
from ..number_formats import QuantizationConfig
from ..quantize import quantize_model_
from ..weight_count import count_weights
from .accuracy import Exam, Mark, answers_to, share, tabulate
from .exam import Examiner

# The tiny model's matrices are 128 wide, dense ones 256: groups of 128 are whole rows there.
FORMATS = (
    QuantizationConfig("int8", group_size=None, symmetric=True),
    *(QuantizationConfig("int4", group_size=size) for size in (128, 32)),
    *(QuantizationConfig("int3", group_size=size) for size in (128, 32)),
    *(QuantizationConfig("int2", group_size=size) for size in (128, 32, 16)),
)
UNQUANTIZED = "unquantised"


def format_name(config: QuantizationConfig) -> str:
    """As a table names a format: "int8", "int4, groups of 32"."""
    return config.format if config.group_size is None else f"{config.format}, groups of {config.group_size}"


def measure_formats(
    model: Llama4, examiner: Examiner, exam: Exam, dtype: torch.dtype
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The model as it is, then in each of `FORMATS`, all on the same questions: name and

        {"bytes": of all weights, where `dtype` is the type of those that stay as they are,
         "kl": mean of KL(unquantised || quantised) over all tokens of the answers, "tokens": how many those are,
         "all questions": the share that is right, "summary": as `tabulate` has it}.

    Units:  KL in nats.
    Errors: UserError if the model is quantised already.
    """
    expected: list[Tensor] = []
    for config in (None, *FORMATS):
        rounded = model
        if config is not None:
            rounded = deepcopy(model)
            quantize_model_(rounded, config)
        marks, nats = [], 0.0
        for number, (part, answer) in enumerate(answers_to(exam, rounded, examiner)):
            marks.append(Mark.of(part, answer))
            if config is None:
                expected.append(answer.logits.log_softmax(-1))
            else:
                nats += divergence(expected[number], answer.logits.log_softmax(-1))
        tokens = sum(mark.tokens for mark in marks)
        yield UNQUANTIZED if config is None else format_name(config), {
            "bytes": sum(weights.num_bytes for weights in count_weights(model.config, config, dtype)),
            "kl": nats / tokens,
            "tokens": tokens,
            "all questions": share(marks),
            "summary": tabulate(marks, model.text_config.chunk_size)["summary"],
        }  # fmt: skip


def divergence(expected: Tensor, found: Tensor) -> float:
    """The sum over an answer's tokens of KL(expected || found), in nats.

    Shapes: log-probabilities [A, V].
    """
    return float(F.kl_div(found, expected, reduction="sum", log_target=True))
