"""`attention_decode`: checks what it is given, and starts the kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from .configs import DecodeConfig, decode_config
from .reference import HEAD_WIDTH, Keys, QuantizedKeys, attention_decode_reference

LARGEST_GROUP = 16  # query heads that share a key head


def attention_decode(query: Tensor, keys: Keys, values: Keys, length: Tensor, scale: float | None = None) -> Tensor:
    """One new token a row looks at the first `length` keys of its cache, whose length is read on the device.

    On a machine without CUDA this is `attention_decode_reference`.

    Shapes: query [B, Hq, 128], bfloat16 on CUDA; keys and values [B, Hkv, S, 128], bfloat16 or `QuantizedKeys`;
        length int32 [B], 1 ... S -> [B, Hq, 128].
    Units:  scale multiplies the products; None: 1 / sqrt(128).
    Errors: ValueError for other shapes, types or devices.
    """
    key, value = (part.codes if isinstance(part, QuantizedKeys) else part for part in (keys, values))
    if query.ndim != 3 or query.shape[-1] != HEAD_WIDTH:
        raise ValueError(f"query must be [B, Hq, {HEAD_WIDTH}], got {list(query.shape)}")
    if key.shape != value.shape or key.ndim != 4 or key.dtype != value.dtype:
        raise ValueError(
            f"keys and values must be alike, got {key.dtype} {list(key.shape)}, {value.dtype} {list(value.shape)}"
        )
    if isinstance(keys, Tensor) and key.shape[-1] != HEAD_WIDTH:
        raise ValueError(f"keys must be [B, Hkv, S, {HEAD_WIDTH}], got {list(key.shape)}")
    group, rest = divmod(query.shape[1], key.shape[1])
    if len(query) != len(key) or rest or not 1 <= group <= LARGEST_GROUP:
        raise ValueError(
            f"query {list(query.shape)} does not fit keys {list(key.shape)}: as many rows, and 1 to {LARGEST_GROUP} "
            "query heads for each key head"
        )
    if length.shape != query.shape[:1] or length.is_floating_point():
        raise ValueError(f"length must be a whole number for each of {len(query)} rows, got {list(length.shape)}")
    devices = {tensor.device for tensor in (query, key, value, length)}
    if len(devices) > 1:
        raise ValueError(f"everything must be on one device, got {', '.join(sorted(map(str, devices)))}")
    scale = HEAD_WIDTH**-0.5 if scale is None else scale
    if not query.is_cuda:
        return attention_decode_reference(query, keys, values, length, scale)
    if query.dtype != torch.bfloat16 or (isinstance(keys, Tensor) and key.dtype != torch.bfloat16):
        raise ValueError(f"query and keys must be bfloat16 on CUDA, got {query.dtype} and {key.dtype}")
    bits = keys.bits if isinstance(keys, QuantizedKeys) else 16
    return run_decode(query, keys, values, length, scale, decode_config(len(key) * key.shape[1], key.shape[2], bits))


def run_decode(query: Tensor, keys: Keys, values: Keys, length: Tensor, scale: float, config: DecodeConfig) -> Tensor:
    """The kernel with given sizes."""
    from ..primitives import counters, launch_options
    from .kernel import decode_kernel

    if isinstance(keys, QuantizedKeys) and isinstance(values, QuantizedKeys):
        (key, key_scale), (value, value_scale), bits = (
            (keys.codes, keys.scales),
            (values.codes, values.scales),
            keys.bits,
        )
    else:
        assert isinstance(keys, Tensor) and isinstance(values, Tensor)
        (key, key_scale), (value, value_scale), bits = (keys, length), (values, length), 16  # scales are not used
    key, value, query = key.contiguous(), value.contiguous(), query.contiguous()
    rows, heads, room = key.shape[:3]
    group = query.shape[1] // heads
    out = torch.empty_like(query)
    partial = torch.empty(rows * heads, config.splits, LARGEST_GROUP, 130, dtype=torch.float32, device=query.device)
    decode_kernel[(rows * heads, config.splits)](
        query, key, key_scale, value, value_scale, length, out, partial, counters(query.device, rows * heads), room,
        scale, heads, group, LARGEST_GROUP, bits, config.keys, config.splits, config.stages, num_warps=config.warps,
        **launch_options(),
    )  # fmt: skip
    return out
