"""Weights into a model, one tensor at a time, and out of it.

A checkpoint's keys are the model's own names, so nothing is renamed. Loading has two steps: the headers of the files
are compared with the model while it has no memory yet; then each tensor is read, moved, cast and put in its place
before the next one is touched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from tqdm.auto import tqdm

from .atomic import written_together
from .config import TextConfig
from .errors import UserError
from .number_formats import QuantizationConfig
from .quantize import QuantizedModule, plan
from .tensor_files import DTYPE_NAMES, INDEX_NAME, SINGLE_NAME, StoredTensor, write_tensors

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# Older files may hold RoPE's frequencies, which the config implies; HF ignores them too.
IMPLIED = "rotary_emb.inv_freq"
WEIGHT_FILES = (SINGLE_NAME, INDEX_NAME, "model-*-of-*.safetensors")
QUANTIZATION_KEY = "llama4_explained_quantization"  # in the config.json of a quantised checkpoint
SHARD_BYTES = 5 * 10**9


class _NoInitialValues(TorchFunctionMode):
    """Leaves tensors as they are where `torch.nn.init` would fill them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextmanager
def without_memory() -> Iterator[None]:
    """Inside, new modules are on the meta device: they have shapes and types, but no memory and no values.

    Differs: `torch.device("meta")` alone imports PyTorch's compiler, for seconds, to draw initial values of nothing.
    """
    with torch.device("meta"), _NoInitialValues():
        yield


def check_weights(model: Any, stored: Mapping[str, StoredTensor], source: str | Path) -> list[StoredTensor]:
    """What is to be read into `model`, in the order of the files, once it is certain that all of it fits.

    Errors: UserError for a missing, unexpected or misshapen tensor, or one of another type: it names file, key,
        expected and found.
    """
    expected = model.state_dict()
    stored = {key: tensor for key, tensor in stored.items() if not key.endswith(IMPLIED)}
    if tied := tied_keys(model):  # one matrix, under either name or under both
        unused = tied[0] if tied[1] in stored else tied[1]
        expected.pop(unused)
        stored.pop(unused, None)
    missing = [key for key in expected if key not in stored]
    unexpected = [key for key in stored if key not in expected]
    if missing:
        found = f"; it has {_listed(unexpected)} instead" if unexpected else ""
        shape = list(expected[missing[0]].shape)
        raise UserError(f"{source} lacks {_listed(missing)}, expected as {shape}{found}: does its config.json fit?")
    if unexpected:
        file = stored[unexpected[0]].file
        raise UserError(f"{file} has {_listed(unexpected)}, expected nowhere in the model: does its config.json fit?")
    codes = {key for key, _ in model.named_buffers()}  # exact as they are; parameters may be of any floating type
    for key, tensor in stored.items():
        shape = expected[key].shape
        if tensor.shape != shape:
            raise UserError(f"{tensor.file}: {key} is {list(tensor.shape)}, expected {list(shape)}")
        allowed = (expected[key].dtype,) if key in codes else FLOATS
        if tensor.dtype not in allowed:
            names = " or ".join(DTYPE_NAMES[each] for each in allowed)
            raise UserError(f"{tensor.file}: {key} is of type {DTYPE_NAMES[tensor.dtype]}, expected {names}")
    return sorted(stored.values(), key=lambda tensor: (tensor.file, tensor.offset))


def load_weights(model: Any, stored: Sequence[StoredTensor], device: torch.device, dtype: torch.dtype) -> None:
    """Fill a model that is on the meta device with what `check_weights` returned.

    Units:  host memory: the largest tensor, beside the model itself if `device` is the CPU.
    Errors: UserError for NaN or infinity, numbers too large for `dtype`, a file that ends early, a full device.
    """
    total = sum(tensor.num_bytes for tensor in stored)
    with torch.no_grad(), tqdm(total=total, unit="B", unit_scale=True, desc="loading weights", delay=1) as bar:
        for tensor in stored:
            try:
                place(model, tensor.key, _read(tensor, device), dtype)  # no name here would keep the last one alive
            except torch.OutOfMemoryError as error:
                raise UserError(
                    f"{device} is full after {bar.n / 1e9:.1f} of {total / 1e9:.1f} GB, at {tensor.key}: quantize, or "
                    "choose another device"
                ) from error
            bar.update(tensor.num_bytes)
    if tied := tied_keys(model):
        parameter = next(each for each in map(model.get_parameter, tied) if not each.is_meta)
        for key in tied:
            path, _, name = key.rpartition(".")
            setattr(model.get_submodule(path), name, parameter)


def _read(stored: StoredTensor, device: torch.device) -> Tensor:
    tensor = stored.read().to(device)
    if tensor.dtype in FLOATS and not _is_finite(tensor):
        raise UserError(f"{stored.file}: {stored.key} has NaN or infinity, expected finite numbers")
    return tensor


def place(model: nn.Module, key: str, tensor: Tensor, dtype: torch.dtype) -> None:
    """Put one tensor where it belongs: cast to `dtype`, or, where the model holds codes, quantised.

    Errors: UserError for numbers too large for `dtype`.
    """
    path, _, name = key.rpartition(".")
    module = model.get_submodule(path)
    wanted = getattr(module, name)
    if isinstance(wanted, nn.Parameter):
        cast = tensor.to(dtype)
        if torch.finfo(dtype).max < torch.finfo(tensor.dtype).max and not _is_finite(cast):
            raise UserError(f"{key} has numbers too large for {dtype}: choose a wider dtype")
        setattr(module, name, nn.Parameter(cast))
    elif isinstance(module, QuantizedModule) and tensor.dtype in FLOATS and wanted.dtype not in FLOATS:
        module.quantize_(name, tensor)
    else:
        setattr(module, name, tensor)


def _is_finite(tensor: Tensor) -> bool:
    # The extremes tell, NaN included, and take no memory of the tensor's size.
    return tensor.numel() == 0 or all(math.isfinite(extreme) for extreme in tensor.aminmax())


def tied_keys(model: Any) -> tuple[str, str] | None:
    """The keys of output head and input embedding, if they are one matrix."""
    if not model.text_config.tie_embeddings:
        return None
    prefix = "language_model." if hasattr(model, "language_model") else ""
    return f"{prefix}lm_head.weight", f"{prefix}model.embed_tokens.weight"


def save_pretrained(model: Any, folder: str | Path, max_shard_bytes: int = SHARD_BYTES) -> None:
    """Write a checkpoint that `load` and HF's `from_pretrained` read: weights, config, and what ends an answer.

    Other files of the folder, such as the tokenizer's, stay. If writing fails or is interrupted, the folder is as it
    was.

    Units:  max_shard_bytes per file of weights; only a tensor that is larger by itself makes a larger file.
    Errors: UserError if the folder cannot be written, or the model is quantised or has no weights yet.
    """
    if quantized_modules(model):
        raise UserError("the model is quantised, in formats that HF does not read: use save_quantized")
    _save(model, folder, max_shard_bytes, {})


def save_quantized(model: Any, folder: str | Path, max_shard_bytes: int = SHARD_BYTES) -> None:
    """Write a quantised model as it is, for `load`; otherwise as `save_pretrained`.

    Errors: UserError if the folder cannot be written, or the model is not quantised, or not as `quantize.plan` does it.
    """
    formats = quantized_modules(model)
    config = next((config for path, config in formats.items() if not path.endswith("lm_head")), None)
    if config is None:
        raise UserError("the model is not quantised: load it with quantize=..., or use save_pretrained")
    with without_memory():
        planned = plan(type(model)(model.config), config)
    if formats != planned:
        path = next(path for path in {**planned, **formats} if formats.get(path) != planned.get(path))
        raise UserError(f"{path} is {formats.get(path) or 'not quantised'}; a saved model has it {planned.get(path)}")
    _save(model, folder, max_shard_bytes, {QUANTIZATION_KEY: config.to_dict()})


def quantized_modules(model: nn.Module) -> dict[str, QuantizationConfig]:
    """Which modules hold codes, by path, and how."""
    return {path: module.config for path, module in model.named_modules() if isinstance(module, QuantizedModule)}


def _save(model: Any, folder: str | Path, max_shard_bytes: int, more_config: Mapping[str, Any]) -> None:
    state = dict(model.state_dict())
    if tied := tied_keys(model):
        state.pop(tied[0])
    if any(tensor.is_meta for tensor in state.values()):
        raise UserError("the model has no weights yet (it is on the meta device): load or initialise them first")
    shards = _shards(state, max_shard_bytes)
    names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    with written_together(folder, obsolete=WEIGHT_FILES) as new:
        if len(shards) == 1:
            names = [SINGLE_NAME]
        else:
            total = sum(tensor.nbytes for tensor in state.values())
            weight_map = {key: name for name, keys in zip(names, shards, strict=True) for key in keys}
            _write_json(new / INDEX_NAME, {"metadata": {"total_size": total}, "weight_map": weight_map})
        _write_json(new / "config.json", {**model.config.to_hf_dict(), "dtype": _dtype_name(state), **more_config})
        _write_json(new / "generation_config.json", _generation_config(model.text_config))
        for name, keys in zip(names, shards, strict=True):
            write_tensors(new / name, {key: state[key] for key in keys})


def _shards(state: Mapping[str, Tensor], max_shard_bytes: int) -> list[list[str]]:
    """Keys in their order, cut before a file would become too large."""
    if max_shard_bytes < 1:
        raise UserError(f"max_shard_bytes must be positive, got {max_shard_bytes}")
    shards: list[list[str]] = [[]]
    size = 0
    for key, tensor in state.items():
        if shards[-1] and size + tensor.nbytes > max_shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(key)
        size += tensor.nbytes
    return shards


def _dtype_name(state: Mapping[str, Tensor]) -> str:
    """The type of the embeddings, which is the type that the model computes in."""
    embedding = next(tensor for key, tensor in state.items() if key.endswith("embed_tokens.weight"))
    return str(embedding.dtype).removeprefix("torch.")


def _generation_config(text: TextConfig) -> dict[str, Any]:
    ids = {"bos_token_id": text.bos_id, "eos_token_id": list(text.eos_ids), "pad_token_id": text.pad_id}
    return {name: value for name, value in ids.items() if value not in (None, [])}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _listed(keys: Sequence[str]) -> str:
    return keys[0] + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
