"""Attention of one new token a row over a long cache, and caches in fewer bits: the kernels' specification.

Query heads share the keys and values of their group (grouped queries): query head h looks at key head h // (Hq / Hkv).
Only the first `length` keys of a row are looked at.

Keys and values may be stored in 8 or 4 bits. Each token and head has a scale and a zero of its own for the key, and for
the value:

    number = (code - zero) * scale        scale and zero are the halves of one 32-bit number, as in `matmul_int4`

8 bits: a byte for each of the 128 channels. 4 bits: 32 words of 16 bits, word j holding channels j, j + 32, j + 64 and
j + 96, lowest bits first, as words of weights do.

Shapes: B rows, Hq query heads, Hkv key heads, S room in the cache, Dh = 128 head width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

HEAD_WIDTH = 128
LARGEST = {8: 255, 4: 15}  # codes


@dataclass(frozen=True)
class QuantizedKeys:
    """Keys or values in 8 or 4 bits. `quantize_keys` makes them."""

    codes: Tensor  # uint8 [B, Hkv, S, 128], or int16 [B, Hkv, S, 32] for 4 bits
    scales: Tensor  # int32 [B, Hkv, S], a bfloat16 scale below a bfloat16 zero

    @property
    def bits(self) -> int:
        return 8 if self.codes.dtype == torch.uint8 else 4


Keys = Tensor | QuantizedKeys  # or values: bfloat16 [B, Hkv, S, 128] as they are, or in fewer bits


def quantize_keys(numbers: Tensor, bits: int) -> QuantizedKeys:
    """Round keys or values to `bits` (8 or 4), each token and head in the range of its own 128 numbers.

    Shapes: [B, Hkv, S, 128].
    Errors: ValueError for another number of bits or another head width.
    """
    if bits not in LARGEST or numbers.shape[-1] != HEAD_WIDTH:
        raise ValueError(f"needs 8 or 4 bits and heads of {HEAD_WIDTH}, got {bits} and {numbers.shape[-1]}")
    numbers = numbers.float()
    low, high = numbers.amin(-1).clamp_max(0), numbers.amax(-1).clamp_min(0)
    scale = ((high - low) / LARGEST[bits]).clamp_min(torch.finfo(torch.bfloat16).tiny)
    scale = ((scale.view(torch.int32) + 0xFFFF) & -0x10000).view(torch.float32)  # up to the next bfloat16
    zero = (-low / scale).round()
    codes = ((numbers / scale[..., None]).round() + zero[..., None]).clamp_(0, LARGEST[bits])
    scales = (scale.view(torch.int32) >> 16 & 0xFFFF) | zero.view(torch.int32)  # zero is exact: its lower half is empty
    if bits == 8:
        return QuantizedKeys(codes.to(torch.uint8), scales)
    fours = codes.int().unflatten(-1, (4, 32))
    words = sum(fours[..., i, :] << (4 * i) for i in range(4))
    return QuantizedKeys(words.to(torch.int16), scales)


def dequantize_keys(keys: Keys) -> Tensor:
    """The numbers that codes stand for, float32 [B, Hkv, S, 128]."""
    if isinstance(keys, Tensor):
        return keys.float()
    if keys.bits == 8:
        codes = keys.codes.float()
    else:
        shifts = torch.arange(0, 16, 4, device=keys.codes.device)[:, None]
        codes = ((keys.codes.int()[..., None, :] >> shifts) & 15).flatten(-2).float()
    scale, zero = (keys.scales << 16).view(torch.float32), (keys.scales & -0x10000).view(torch.float32)
    return (codes - zero[..., None]) * scale[..., None]


def attention_decode_reference(query: Tensor, keys: Keys, values: Keys, length: Tensor, scale: float) -> Tensor:
    """softmax(scale * query @ keys) @ values, over the first `length` keys of each row.

    Shapes: query [B, Hq, 128]; length int [B], at least 1 -> [B, Hq, 128], of query's type.
    """
    key, value = dequantize_keys(keys).to(query.dtype), dequantize_keys(values).to(query.dtype)
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = torch.einsum("bhd,bhsd->bhs", query, key) * scale
    is_seen = torch.arange(key.shape[2], device=key.device) < length[:, None]
    weights = scores.masked_fill(~is_seen[:, None], float("-inf")).softmax(-1)
    return torch.einsum("bhs,bhsd->bhd", weights, value.masked_fill(~is_seen[:, None, :, None], 0))
