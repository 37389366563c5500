"""Numbers in fewer bits: how weights become small integers that share a scale, and how they come back.

Weights that share a scale are a *group*: neighbours along the input axis, or a whole output channel. A weight w is
stored as a code, and comes back as

    w' = (code - zero) * scale

where `code` is 0 ... 2^bits - 1, `scale` is the distance between two codes and `zero` is the code that means 0.

Eight numbers in int4, one group, asymmetric. They span 1.875, which 15 steps cover, so scale = 1.875 / 15 = 0.125;
the lowest lies 7 steps below 0, so zero = 7:

    w         -0.875   -0.5   -0.2   0.0    0.1   0.3   0.625   1.0
    w/scale     -7      -4    -1.6    0     0.8   2.4     5      8
    code         0       3      5     7      8     9     12     15      round(w/scale) + zero
    bytes         0x30          0x75          0x98          0xFC        even places in the low half
    w'        -0.875   -0.5   -0.25  0.0  0.125  0.25   0.625   1.0     never more than scale/2 away

Stored are, for a matrix [N out, K in] with G = ceil(K / group) groups a row (the last one may be short):
    codes  uint8 [N, K/8 * bits]: eight codes fill `bits` bytes, code i being bits i*bits ... i*bits + bits - 1 of their
           little-endian integer (lowest first); K is filled up to a multiple of 8 with zeros. int8 needs no packing:
           uint8 [N, K]. fp8: float8_e4m3fn [N, K], its own zero.
    scale  bfloat16 [N, G], rounded up, so that the largest weight of a group still has a code.
    zero   bfloat16 [N, G], a whole number; only asymmetric formats store it. Symmetric: 2^(bits - 1), a constant.

The presets of 4 bits and less search for the range of each group: a few large weights are worth clipping if all
others get smaller steps. Of eight ranges, from the whole one down to 0.44 of it, the one with the least squared error
is taken. It looks at weights alone, and changes nothing in what is stored. The trained tiny model gains much by it in
int2 (KL 0.009 for 0.101, 254 for 221 of 256 answers right), in int3 and int4 nothing that 256 questions show.

    error in decibels below the weights, groups of 128      4 bits         3 bits        2 bits
    normal weights, to the nearest / with the search     19.9 / 20.4    13.3 / 14.6    6.0 / 8.7
    heavy-tailed weights (Student's t, 3 degrees)        15.6 / 16.0     9.7 / 10.7    4.6 / 6.5

Shapes: N output channels, K input channels, G groups of a row. Leading axes (experts) stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import UserError

BITS = {"int8": 8, "int4": 4, "int3": 3, "int2": 2, "fp8": 8}
FP8_LARGEST = torch.finfo(torch.float8_e4m3fn).max  # 448

# Parts of a group's range that are tried. Twice as many would gain 0.1 decibels at most.
RANGES = tuple(1 - 0.08 * i for i in range(8))

# Weights that are converted at once: 16 MB in float32, which stay near the processor.
BLOCK = 2**22


@dataclass(frozen=True)
class QuantizationConfig:
    """How a matrix is stored. The names in `PRESETS` are the usual choices.

    Errors: UserError for a format that does not exist, or settings that it does not have.
    """

    format: str = "int4"  # a key of BITS
    group_size: int | None = 128  # weights along the input axis that share a scale; None: a whole output channel
    symmetric: bool = False  # True: no zero is stored, and as many codes lie above 0 as below
    clip_search: bool = False  # True: each group's range is the best of `RANGES`, not always the whole one

    def __post_init__(self) -> None:
        if self.format not in BITS:
            raise UserError(f"there is no number format {self.format!r}; choose one of {', '.join(BITS)}")
        size = self.group_size
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise UserError(f"group_size must be a whole number of at least 1, or None for whole rows, got {size!r}")
        for name in ("symmetric", "clip_search"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.format == "fp8" and (size is not None or not self.symmetric or self.clip_search):
            raise UserError(
                "fp8 has one scale per output channel, no zero and no search: set group_size=None, symmetric=True"
            )

    @property
    def bits(self) -> int:
        """Bits of one code, scales and zeros not counted."""
        return BITS[self.format]

    @classmethod
    def of(cls, value: QuantizationConfig | Mapping[str, Any] | str) -> QuantizationConfig:
        """A config from the name of a preset, from what `to_dict` gave, or as it is.

        Errors: UserError if there is no such preset, or the dict has other keys than the fields.
        """
        if isinstance(value, QuantizationConfig):
            return value
        if isinstance(value, Mapping):
            return cls.from_dict(value)
        if value not in PRESETS:
            raise UserError(f"there is no number format {value!r}; choose one of {', '.join(PRESETS)}")
        return PRESETS[value]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> QuantizationConfig:
        """The config that `to_dict` wrote; one from before the search has no `clip_search`.

        Errors: UserError if keys are missing or unknown, or as the class.
        """
        if {"clip_search", *values} != set(cls.__dataclass_fields__):
            raise UserError(
                f"a quantisation config has the keys {', '.join(cls.__dataclass_fields__)}; got {', '.join(values)}"
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a config.json."""
        return asdict(self)

    def __str__(self) -> str:
        if self.group_size is None:
            return f"{self.format} per output channel" + ("" if self.symmetric else ", asymmetric")
        return f"{self.format} in groups of {self.group_size}, {'' if self.symmetric else 'a'}symmetric"


PRESETS = {
    "int8": QuantizationConfig("int8", group_size=None, symmetric=True),
    "int4": QuantizationConfig("int4", clip_search=True),
    "int3": QuantizationConfig("int3", clip_search=True),
    "int2": QuantizationConfig("int2", clip_search=True),
    "fp8": QuantizationConfig("fp8", group_size=None, symmetric=True),
}


def pack_bits(codes: Tensor, bits: int) -> Tensor:
    """Put codes of 2, 3, 4 or 8 bits side by side, without gaps.

    Shapes: uint8 [..., K] -> uint8 [..., ceil(K / 8) * bits], or [..., K] for 8 bits.
    """
    if bits == 8:
        return codes
    eights = F.pad(codes, (0, -codes.shape[-1] % 8)).unflatten(-1, (-1, 8))
    packed = codes.new_zeros(*eights.shape[:-1], bits)
    for i in range(8):
        byte, shift = divmod(i * bits, 8)
        packed[..., byte] |= eights[..., i] << shift
        if shift + bits > 8:  # the rest of a code that crosses into the next byte
            packed[..., byte + 1] |= eights[..., i] >> (8 - shift)
    return packed.flatten(-2)


def unpack_bits(packed: Tensor, bits: int, width: int) -> Tensor:
    """The codes that `pack_bits` packed.

    Shapes: uint8 [..., ceil(width / 8) * bits] -> uint8 [..., width].
    """
    if bits == 8:
        return packed
    packed = packed.unflatten(-1, (-1, bits))
    eights = packed.new_empty(*packed.shape[:-1], 8)
    for i in range(8):
        byte, shift = divmod(i * bits, 8)
        code = packed[..., byte] >> shift
        if shift + bits > 8:
            code |= packed[..., byte + 1] << (8 - shift)
        eights[..., i] = code & (2**bits - 1)
    return eights.flatten(-2)[..., :width]


@dataclass(frozen=True)
class QuantizedTensor:
    """A matrix in few bits, or a stack of them. The module's docstring says what the tensors hold.

    Shapes: stands for [..., N, K].
    """

    codes: Tensor
    scale: Tensor
    zero: Tensor | None
    config: QuantizationConfig
    width: int  # K

    @classmethod
    def empty(
        cls, shape: tuple[int, ...], config: QuantizationConfig, device: torch.device | str | None = None
    ) -> QuantizedTensor:
        """Room for a matrix of `shape` [..., N, K], its contents undefined."""
        *rows, width = shape
        num_groups = -(-width // (config.group_size or width))
        num_codes = width if config.bits == 8 else -(-width // 8) * config.bits
        codes_dtype = torch.float8_e4m3fn if config.format == "fp8" else torch.uint8
        return cls(
            torch.empty(*rows, num_codes, dtype=codes_dtype, device=device),
            torch.empty(*rows, num_groups, dtype=torch.bfloat16, device=device),
            None if config.symmetric else torch.empty(*rows, num_groups, dtype=torch.bfloat16, device=device),
            config,
            width,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """[..., N, K] of the matrix that this stands for."""
        return (*self.codes.shape[:-1], self.width)

    @property
    def num_bytes(self) -> int:
        """Memory of codes, scales and zeros."""
        tensors = (self.codes, self.scale) if self.zero is None else (self.codes, self.scale, self.zero)
        return sum(tensor.nbytes for tensor in tensors)

    def __getitem__(self, index: Any) -> QuantizedTensor:
        """Part of it, without a copy: `stack[expert]`, `matrix[first_row:last_row]`. K stays whole."""
        zero = None if self.zero is None else self.zero[index]
        return QuantizedTensor(self.codes[index], self.scale[index], zero, self.config, self.width)


def quantize_tensor(weight: Tensor, config: QuantizationConfig) -> QuantizedTensor:
    """Round every weight to the nearest number that the format has, in the range that the config asks for.

    Shapes: weight [..., N, K]; groups run along K, the input axis.
    Errors: UserError if the weights are not all finite.
    """
    quantized = QuantizedTensor.empty(tuple(weight.shape), config, weight.device)
    quantize_into(quantized, weight)
    return quantized


@torch.no_grad()
def quantize_into(target: QuantizedTensor, weight: Tensor) -> None:
    """As `quantize_tensor`, into memory that is there already, on the target's device.

    Shapes: weight is of the target's shape, on any device. Of a stack (experts), one matrix at a time is moved there.
    """
    device = target.codes.device
    if weight.ndim > 2:
        for i, matrix in enumerate(weight):
            quantize_into(target[i], matrix.to(device))
        return
    for rows in row_blocks(target):
        block = weight[rows].to(device).float().contiguous()
        codes, scale, zero = _quantized(block, target.config)
        target.codes[rows], target.scale[rows] = codes, scale
        if target.zero is not None:
            target.zero[rows] = zero


def row_blocks(matrix: QuantizedTensor) -> Iterator[slice]:
    """Slices of N that hold about `BLOCK` numbers each, so that what is computed on the way stays small."""
    num_rows, width = matrix.shape
    step = max(1, BLOCK // width)
    for start in range(0, num_rows, step):
        yield slice(start, start + step)


def dequantize(quantized: QuantizedTensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The numbers that the codes stand for, computed in float32 and rounded once to `dtype`.

    Shapes: [..., N, K].
    """
    config = quantized.config
    if config.format == "fp8":
        codes, zero = quantized.codes.float(), 0
    else:
        codes = unpack_bits(quantized.codes, config.bits, quantized.width).float()
        zero = 2 ** (config.bits - 1) if quantized.zero is None else quantized.zero.float()[..., None]
    values = (_in_groups(codes, config) - zero) * quantized.scale.float()[..., None]  # [..., N, G, group]
    return values.flatten(-2)[..., : quantized.width].to(dtype)


def round_to_fp8(x: Tensor) -> Tensor:
    """Activations as an fp8 multiplication sees them: every token rounded to e4m3 with a scale of its own.

    Shapes: [..., K] -> [..., K], of the same type. For inference: the rounding passes no useful gradients.
    """
    largest = x.abs().amax(-1, keepdim=True).float()
    scale = _divided(largest, FP8_LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
    return (x / scale).to(torch.float8_e4m3fn).float().mul_(scale).type_as(x)


def _quantized(weight: Tensor, config: QuantizationConfig) -> tuple[Tensor, Tensor, Tensor | float]:
    """float32 [..., N, K] -> codes as stored, scale and zero [..., N, G]."""
    groups = _in_groups(weight, config)  # [..., N, G, group]
    # 0 always lies between `low` and `high`: it has an exact code, and filling up a short group changes nothing.
    low, high = groups.amin(-1).clamp_max(0), groups.amax(-1).clamp_min(0)
    if not bool((high - low).isfinite().all()):
        raise UserError("the weights have NaN or infinite values, which cannot be quantised")
    if config.format == "fp8":
        scale = _round_up(_divided(torch.maximum(-low, high), FP8_LARGEST))
        return _in_rows(groups / scale[..., None], weight).to(torch.float8_e4m3fn), scale, 0.0

    codes, scale, zero = _round_to_nearest(groups, low, high, config)
    if config.clip_search:
        least = _squared_error(groups, codes, scale, zero)
        for part in RANGES[1:]:
            tried = _round_to_nearest(groups, low * part, high * part, config)
            error = _squared_error(groups, *tried)
            better = error < least
            least = torch.where(better, error, least)
            codes = torch.where(better[..., None], tried[0], codes)
            scale, zero = torch.where(better, tried[1], scale), torch.where(better, tried[2], zero)
    return pack_bits(_in_rows(codes, weight).to(torch.uint8), config.bits), scale, zero


def _round_to_nearest(
    groups: Tensor, low: Tensor, high: Tensor, config: QuantizationConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes as float32 [..., N, G, group], scale and zero [..., N, G], for a range; beyond it, the outermost codes."""
    largest_code, middle = 2**config.bits - 1, 2.0 ** (config.bits - 1)
    if config.symmetric:
        scale = _round_up(_divided(torch.maximum(-low, high), middle - 1))
        zero = torch.full_like(scale, middle)
    else:
        scale = _round_up(_divided(high - low, largest_code))
        zero = (-low / scale).round_()
    codes = (groups / scale[..., None]).round_().add_(zero[..., None]).clamp_(0, largest_code)
    return codes, scale, zero


def _squared_error(groups: Tensor, codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """[..., N, G]: how far the numbers that come back are from the groups' own."""
    return ((codes - zero[..., None]) * scale[..., None]).sub_(groups).pow_(2).sum(-1)


def _in_groups(x: Tensor, config: QuantizationConfig) -> Tensor:
    """[..., K] -> [..., G, group], the last group filled up with zeros."""
    size = config.group_size or x.shape[-1]
    return F.pad(x, (0, -x.shape[-1] % size)).unflatten(-1, (-1, size))


def _in_rows(groups: Tensor, like: Tensor) -> Tensor:
    """[..., G, group] -> [..., K] again."""
    return groups.flatten(-2)[..., : like.shape[-1]]


def _divided(x: Tensor, divisor: float) -> Tensor:
    """x / divisor, rounded alike on every device: CUDA divides by a bare number by multiplying with its inverse."""
    return x / torch.full((), divisor, dtype=x.dtype, device=x.device)


def _round_up(scale: Tensor) -> Tensor:
    """Positive float32 -> the next bfloat16 that is not smaller, as float32. Never 0: one can divide by it."""
    scale = scale.clamp_min(torch.finfo(torch.float32).tiny)
    return ((scale.view(torch.int32) + 0xFFFF) & ~0xFFFF).view(torch.float32)  # bfloat16 is float32's upper half
