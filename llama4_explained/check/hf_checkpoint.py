"""One checkpoint read twice, by us and by Hugging Face's own `from_pretrained`; and Hugging Face's processor."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from ..errors import UserError
from ..hub import local_folder
from ..loading import load
from ..model import Llama4
from ..processor import Processor
from .twins import quiet


def read_both(source: str | Path) -> tuple[Llama4, Any, Processor]:
    """Our model of a checkpoint, HF's, and our processor; both models in float32 on the CPU.

    HF's has eager attention, which `hf_trace` needs.

    Errors: UserError if the checkpoint is text-only, has no tokenizer, or as `load`.
    """
    model, processor = load(source, device="cpu", dtype=torch.float32)
    if not isinstance(model, Llama4) or processor is None:
        raise UserError(f"{source} lacks vision or a tokenizer; to compare both, it must have them")
    with quiet(), _no_bars():
        theirs = transformers.AutoModelForImageTextToText.from_pretrained(
            local_folder(source), dtype=torch.float32, attn_implementation="eager"
        )
    return model, theirs.eval(), processor


@contextmanager
def _no_bars() -> Iterator[None]:
    """Inside, HF draws no bars; it has a bar even for what loads at once."""
    drawn = transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            transformers.logging.enable_progress_bar()


def hf_processor(source: str | Path | Processor) -> Any:
    """HF's processor, from a checkpoint or from what a processor of ours saves.

    Errors: UserError if torchvision, which HF's image processor needs, is not installed.
    """
    if find_spec("torchvision") is None:
        raise UserError("Hugging Face's image processor, the one to compare with, needs: pip install torchvision")
    if not isinstance(source, Processor):
        return transformers.AutoProcessor.from_pretrained(local_folder(source))
    with tempfile.TemporaryDirectory() as folder:
        source.save_pretrained(folder)
        return transformers.AutoProcessor.from_pretrained(folder)


def hf_inputs(processor: Any, messages: list[dict[str, Any]]) -> dict[str, Tensor]:
    """What HF's processor makes of messages: input_ids, attention_mask, pixel_values, as ours has them."""
    return processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
