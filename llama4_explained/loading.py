"""`load`: a checkpoint's folder or hub id -> a model that runs, and the processor that feeds it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .checkpoint import FLOATS, QUANTIZATION_KEY, check_weights, load_weights, without_memory
from .config import Llama4Config, TextConfig, read_config, read_config_file
from .errors import UserError
from .hub import local_file, local_folder
from .model import Llama4, Llama4Text
from .number_formats import QuantizationConfig
from .processor import Processor
from .quantize import Quantization, empty_model_
from .tensor_files import StoredTensor, stored_tensors
from .tokenizer import FILE_NAMES


def load(
    source: str | Path,
    quantize: Quantization | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
) -> tuple[Llama4 | Llama4Text, Processor | None]:
    """Read a checkpoint: HF's layout, of one or many files, multimodal or text-only, or what `save_quantized` wrote.

    `source` is a folder, a hub id (`revision` says which commit, branch or tag), or "tiny", the checkpoint in this
    package. A checkpoint without a tokenizer gives None for the processor, and a warning: its model takes token ids.

    Units:  quantize: None, or a number format for the weights of all large matrices, applied as they arrive; device
        None = torch's default; dtype None = the checkpoint's. Host memory: the largest tensor, beside the model itself
        on the CPU.
    Errors: UserError if anything about the checkpoint is not as it should be, before weights are read where that can be
        known before.
    """
    chosen_device, chosen_dtype = usable_device(device), None if dtype is None else _dtype(dtype, "dtype")
    quantization = None if quantize is None else QuantizationConfig.of(quantize)
    config_file = local_file(source, "config.json", revision)
    hf = read_config_file(config_file)
    config, stored_as = _config(hf, config_file)
    if stored_as and quantization not in (None, stored_as):
        raise UserError(f"{source} is stored as {stored_as}: load it without quantize, or quantize the original")

    folder = local_folder(source, revision)
    with without_memory():
        model = Llama4(config) if isinstance(config, Llama4Config) else Llama4Text(config)
    if stored_as:
        empty_model_(model, stored_as)
    tensors = check_weights(model, stored_tensors(folder), folder)
    if quantization and not stored_as:
        empty_model_(model, quantization)
    processor = _processor(folder)
    load_weights(model, tensors, chosen_device, chosen_dtype or _stored_dtype(hf, tensors, config_file))
    return model.eval(), processor


def usable_device(device: str | torch.device | None) -> torch.device:
    """The device of that name, or torch's default for None.

    Errors: UserError if there is no such device here.
    """
    try:
        found = torch.empty(0, device=device).device
    except (AssertionError, RuntimeError) as error:  # torch raises the former where it is built without CUDA
        raise UserError(f"device {str(device)!r} cannot be used: {str(error).splitlines()[0]}") from error
    if found.type == "meta":
        raise UserError("device 'meta' cannot be used: it holds no numbers")
    return found


def _dtype(dtype: str | torch.dtype, where: str) -> torch.dtype:
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if found not in FLOATS:
        raise UserError(f"{where} is {dtype!r}; expected {', '.join(map(str, FLOATS))}")
    return found


def _config(hf: Mapping[str, Any], file: Path) -> tuple[Llama4Config | TextConfig, QuantizationConfig | None]:
    """What the model is, and how its weights are quantised in the files, if they are."""
    try:
        if foreign := hf.get("quantization_config"):
            method = foreign.get("quant_method", "another library")
            raise UserError(f"the weights are quantised by {method}: load the original, with quantize=...")
        stored_as = hf.get(QUANTIZATION_KEY)
        return read_config(hf), None if stored_as is None else QuantizationConfig.of(stored_as)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def _stored_dtype(hf: Mapping[str, Any], tensors: Sequence[StoredTensor], file: Path) -> torch.dtype:
    """The type that config.json names, as with HF; if it names none, that of the largest share of the weights."""
    text = hf.get("text_config") or {}
    for name in (hf.get("dtype"), hf.get("torch_dtype"), text.get("dtype"), text.get("torch_dtype")):
        if name is not None:
            return _dtype(name, f"{file}: dtype")
    sizes: Counter[torch.dtype] = Counter()
    for tensor in tensors:
        if tensor.dtype in FLOATS:
            sizes[tensor.dtype] += tensor.num_bytes
    return sizes.most_common(1)[0][0]


def _processor(folder: Path) -> Processor | None:
    if any((folder / name).is_file() for name in FILE_NAMES):
        return Processor.from_pretrained(folder)
    warnings.warn(
        f"{folder} has no tokenizer ({' or '.join(FILE_NAMES)}): there is no processor, the model takes token ids only",
        stacklevel=3,
    )
    return None
