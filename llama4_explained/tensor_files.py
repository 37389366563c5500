"""safetensors files: what they hold, one tensor at a time, and how they are written.

A file is eight bytes (the length of the header), the header in JSON (for every tensor: dtype, shape, range of bytes),
and the bytes of all tensors. The headers alone tell everything about a checkpoint, so it is checked whole before
anything large is allocated.

Files are read, not memory-mapped: the pages of a mapped file count as this process's memory until it is closed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .config import read_config_file
from .errors import UserError

SINGLE_NAME, INDEX_NAME = "model.safetensors", "model.safetensors.index.json"
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
# Pickles, in the order in which they tell most about a folder.
PICKLES = ("pytorch_model*.bin", "*.pth", "*.pt", "*.bin", "*.ckpt")
LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file, not yet read."""

    file: Path
    key: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int  # of its first byte, from the start of the file

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    def read(self) -> Tensor:
        """The tensor, on the CPU, in memory of its own.

        Errors: UserError if the file ends early.
        """
        data = torch.empty(self.num_bytes, dtype=torch.uint8)
        rest = data.numpy().data
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.offset)
            while rest:
                count = file.readinto(rest)
                if not count:
                    raise UserError(f"{self.file} is truncated: it ends inside {self.key}; copy or download it again")
                rest = rest[count:]
        return data.view(self.dtype).view(self.shape)


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a checkpoint folder, by key, from the headers of its files.

    Errors: UserError for no weights, pickles, an index that disagrees with the files, or a damaged or truncated file.
    """
    if (folder / SINGLE_NAME).is_file():
        return read_header(folder / SINGLE_NAME)
    index = folder / INDEX_NAME
    if not index.is_file():
        raise UserError(_no_weights(folder))
    weight_map = read_config_file(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise UserError(f"{index} has no weight_map, which says what file holds which tensor")
    tensors: dict[str, StoredTensor] = {}
    for name in sorted(set(weight_map.values())):
        if not (folder / name).is_file():
            raise UserError(f"{index} names {name}, which is missing: copy or download it too")
        held = read_header(folder / name)
        tensors |= {key: tensor for key, tensor in held.items() if weight_map.get(key, name) == name}
    for key, name in weight_map.items():
        if key not in tensors:
            raise UserError(f"{index} says that {key} is in {name}, which has no such tensor")
    return tensors


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Every tensor of one file, by key.

    Errors: UserError if it is not a safetensors file, or is damaged or truncated.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LONGEST_HEADER):
            file.seek(0)
            if file.read(7) == b"version":
                raise UserError(f"{path} is a Git LFS pointer, not the weights themselves: run `git lfs pull`")
            raise UserError(f"{path} is truncated or not a safetensors file: its header does not fit in {size} bytes")
        text = file.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        tensors = {key: _stored_tensor(path, key, entry, start=8 + length) for key, entry in header.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is damaged or not a safetensors file: its header cannot be read") from error
    end = max((tensor.offset + tensor.num_bytes for tensor in tensors.values()), default=8 + length)
    if end > size:
        raise UserError(f"{path} is truncated: its header tells of {end} bytes, the file has {size}; copy it again")
    return tensors


def _stored_tensor(path: Path, key: str, entry: Mapping[str, Any], start: int) -> StoredTensor:
    begin, end = entry["data_offsets"]
    if entry["dtype"] not in DTYPES:
        raise UserError(f"{path}: {key} is of type {entry['dtype']}; expected one of {', '.join(DTYPES)}")
    tensor = StoredTensor(path, key, DTYPES[entry["dtype"]], tuple(entry["shape"]), start + begin)
    if begin < 0 or min(tensor.shape, default=0) < 0 or end - begin != tensor.num_bytes:
        raise UserError(
            f"{path}: {key} is {entry['dtype']} {list(tensor.shape)}, which takes {tensor.num_bytes} bytes; "
            f"the header gives it {end - begin}"
        )
    return tensor


def _no_weights(folder: Path) -> str:
    for pattern in PICKLES:
        for path in sorted(folder.glob(pattern)):
            return (
                f"{path} is a pickle, which can run any code when it is read: convert it to safetensors first "
                "(load it with transformers where you trust it, then save_pretrained)"
            )
    return f"{folder} has no weights: neither {SINGLE_NAME} nor {INDEX_NAME}"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file. Tensors that are not on the CPU are brought there one at a time.

    Differs: the safetensors library writes files that only their owner may read, and holds all tensors on the CPU.
    """
    # The widest types first, as the library does it: whoever maps the file gets every tensor aligned.
    keys = sorted(tensors, key=lambda key: -tensors[key].dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for key in keys:
        tensor = tensors[key]
        end = begin + tensor.nbytes
        header[key] = {
            "dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]
        }  # fmt: skip
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for key in keys:
            data = tensors[key].detach().cpu().contiguous().flatten().view(torch.uint8)
            file.write(data.numpy().data)
