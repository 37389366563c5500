"""What a run will need, before anything is loaded: weights, keys and values, activations, and which devices hold them.

Weights are exact, counted by `weight_count`; keys and values are exact, they follow from the kinds of layers;
activations are an upper estimate, made by `activations`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from . import memory_table
from .activations import dequantized_bytes, text_step_bytes, vision_bytes
from .checkpoint import QUANTIZATION_KEY
from .config import Llama4Config, TextConfig, read_config, read_config_file
from .devices import DEVICES
from .errors import UserError
from .generate import PREFILL_SEGMENT
from .hub import local_file
from .number_formats import QuantizationConfig
from .presets import MAVERICK, SCOUT, TINY
from .quantize import Quantization
from .weight_count import Weights, active_parameters, count_weights, text_parameters

PRESETS = {"scout": SCOUT, "maverick": MAVERICK, "tiny": TINY}
DTYPES = {str(x).removeprefix("torch."): x for x in (torch.bfloat16, torch.float16, torch.float32, torch.float64)}
USUAL_CONTEXT = 8192
MOST_TILES = 17  # of one image: 16 and the global one


@dataclass(frozen=True)
class KeysAndValues:
    """The cache of all layers of one kind."""

    kind: str  # "global" or "chunked"
    layers: int
    tokens: int  # that a layer holds of each row: the context, or one chunk
    num_bytes: int


@dataclass(frozen=True)
class Activations:
    """One phase of a run, at its peak."""

    phase: str
    detail: str
    num_bytes: int


@dataclass(frozen=True)
class MemoryPlan:
    """What a run needs. Print it, or take `to_dict`.

    Units: bytes; `context` in tokens of each of `batch` rows, prompt and answer together; `tiles` per row.
    """

    name: str
    quantization: QuantizationConfig | None
    dtype: str
    context: int
    batch: int
    tiles: int
    num_layers: int
    text_parameters: int
    active_parameters: int  # of these, what one token passes through
    weights: tuple[Weights, ...]
    kv_cache: tuple[KeysAndValues, ...]
    activations: tuple[Activations, ...]

    @property
    def parameters(self) -> int:
        """Of the whole model."""
        return sum(part.parameters for part in self.weights)

    @property
    def weight_bytes(self) -> int:
        """Codes, scales, zeros and full-precision weights."""
        return sum(part.num_bytes for part in self.weights)

    @property
    def kv_bytes(self) -> int:
        """Keys and values of the full context."""
        return sum(layers.num_bytes for layers in self.kv_cache)

    @property
    def activation_bytes(self) -> int:
        """Those of the phase that has the most: phases follow one another."""
        return max(phase.num_bytes for phase in self.activations)

    @property
    def total_bytes(self) -> int:
        """Weights, keys and values, activations."""
        return self.weight_bytes + self.kv_bytes + self.activation_bytes

    def devices_needed(self) -> dict[str, int | None]:
        """For every device of `DEVICES`, how many of them hold the run; None where no number does.

        Weights and cache are taken to be divided equally, which a division by whole layers only approaches;
        activations are needed on each.
        """
        divided = self.weight_bytes + self.kv_bytes
        return {x.name: x.num_needed(divided, self.activation_bytes, self.num_layers) for x in DEVICES}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        totals = ("parameters", "weight_bytes", "kv_bytes", "activation_bytes", "total_bytes")
        values = asdict(self) | {name: getattr(self, name) for name in totals}
        return values | {"devices_needed": self.devices_needed()}

    def __str__(self) -> str:
        return memory_table.render(self)


def plan(
    source: Llama4Config | TextConfig | str | Path,
    quantize: Quantization | None = None,
    *,
    context: int | None = None,
    batch: int = 1,
    dtype: torch.dtype | str | None = None,
    vision: bool = True,
    tiles: int | None = None,
) -> MemoryPlan:
    """What it will take to run a model, from its config alone.

    `source`: a config, "scout", "maverick", "tiny", a checkpoint's folder or a hub id.

    Units:  context in tokens of each row, prompt and answer together (None: 8192, or the longest the model has); dtype
        None = the checkpoint's, or bfloat16; tiles of images in each row (None: one image of the largest size).
    Errors: UserError for an unknown name, a format that does not exist, a context longer than the model's, a batch
        below 1, more tiles than the context has room for.
    """
    name, config, stored_dtype, stored_as = _read(source)
    quantization = None if quantize is None else QuantizationConfig.of(quantize)
    if stored_as and quantization not in (None, stored_as):
        raise UserError(f"{source} is stored as {stored_as}: plan it without quantize, or plan the original")
    quantization, chosen_dtype = quantization or stored_as, _dtype(dtype or stored_dtype or "bfloat16")
    config = config if vision or isinstance(config, TextConfig) else config.text
    text = config if isinstance(config, TextConfig) else config.text
    context = min(USUAL_CONTEXT, text.max_positions) if context is None else context
    if not 1 <= context <= text.max_positions:
        raise UserError(f"a context of {context:,} tokens is not possible: {name} has 1 to {text.max_positions:,}")
    if batch < 1:
        raise UserError(f"the batch must be at least 1, got {batch}")

    weights, tiles = count_weights(config, quantization, chosen_dtype), _tiles(config, context, tiles)
    return MemoryPlan(
        name=name,
        quantization=quantization,
        dtype=str(chosen_dtype).removeprefix("torch."),
        context=context,
        batch=batch,
        tiles=tiles,
        num_layers=text.num_layers,
        text_parameters=text_parameters(weights),
        active_parameters=active_parameters(weights, text),
        weights=weights,
        kv_cache=_kv_cache(text, context, batch, chosen_dtype.itemsize),
        activations=_activations(config, context, batch, tiles, chosen_dtype.itemsize, quantization),
    )


def _read(
    source: Llama4Config | TextConfig | str | Path,
) -> tuple[str, Llama4Config | TextConfig, str | None, QuantizationConfig | None]:
    """A name to print, the config, and the type and the number format of a checkpoint's weights."""
    if isinstance(source, Llama4Config | TextConfig):
        known = (name for name, config in PRESETS.items() if source in (config, config.text))
        return next(known, "this model").capitalize(), source, None, None
    if str(source).lower() in PRESETS:
        return str(source).capitalize(), PRESETS[str(source).lower()], None, None
    if isinstance(source, str) and "/" not in source and not Path(source).is_dir():
        raise UserError(f"there is no model {source!r}: give {', '.join(PRESETS)}, a folder or a full hub id")
    hf = read_config_file(local_file(source, "config.json"))
    if "quantization_config" in hf:
        raise UserError(f"{source} is quantised in another library's format: plan the original, with quantize")
    stored_as = hf.get(QUANTIZATION_KEY)
    types = (part.get(key) for part in (hf, hf.get("text_config") or {}) for key in ("dtype", "torch_dtype"))
    stored_dtype = next((dtype for dtype in types if dtype), None)
    return str(source), read_config(hf), stored_dtype, None if stored_as is None else QuantizationConfig.of(stored_as)


def _dtype(value: torch.dtype | str) -> torch.dtype:
    found = DTYPES.get(value) if isinstance(value, str) else value
    if found is None or found not in DTYPES.values():
        raise UserError(f"dtype is {value!r}; expected {', '.join(DTYPES)}")
    return found


def _tiles(config: Llama4Config | TextConfig, context: int, tiles: int | None) -> int:
    if isinstance(config, TextConfig):
        if tiles:
            raise UserError(f"{tiles} tiles need a model with vision")
        return 0
    room = context // config.vision.tokens_per_tile
    if tiles is not None and not 0 <= tiles <= room:
        raise UserError(f"{tiles} tiles are not possible: {context:,} tokens have room for 0 to {room}")
    return min(MOST_TILES, room) if tiles is None else tiles


def _kv_cache(text: TextConfig, context: int, batch: int, itemsize: int) -> tuple[KeysAndValues, ...]:
    chunks = Counter(layer.chunk_size for layer in text.layer_plan)
    per_token = 2 * text.num_kv_heads * text.head_dim * itemsize  # of one layer
    kinds = []
    for chunk_size, layers in sorted(chunks.items(), key=lambda item: item[0] is not None):
        kind, tokens = ("global", context) if chunk_size is None else ("chunked", min(chunk_size, context))
        kinds.append(KeysAndValues(kind, layers, tokens, batch * layers * tokens * per_token))
    return tuple(kinds)


def _activations(
    config: Llama4Config | TextConfig,
    context: int,
    batch: int,
    tiles: int,
    itemsize: int,
    quantization: QuantizationConfig | None,
) -> tuple[Activations, ...]:
    text = config if isinstance(config, TextConfig) else config.text
    segment = min(PREFILL_SEGMENT, context)
    is_fp8 = quantization is not None and quantization.format == "fp8"
    held = batch * segment * text.hidden_size * itemsize  # this segment's embeddings, while the layers run
    step = text_step_bytes(text, batch, segment, context - segment, itemsize, rounds_inputs=is_fp8)
    if quantization is not None:
        step += dequantized_bytes(text)
    phases = []
    if tiles and isinstance(config, Llama4Config):
        image_tokens = batch * tiles * config.vision.tokens_per_tile * text.hidden_size * itemsize  # of all segments
        looking = vision_bytes(config.vision, batch * tiles, itemsize)
        phases.append(Activations("reading images", f"{batch} x {tiles} tiles", image_tokens + looking))
        held += image_tokens
    phases.append(Activations("reading the prompt", f"{batch} x {segment:,} tokens at once", held + step))
    return tuple(phases)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `llama4-explained plan`."""
    parser.add_argument("model", help="scout, maverick, tiny, a checkpoint's folder, or a hub id")
    parser.add_argument("--quantize", metavar="FORMAT", help="int8, int4, int3, int2 or fp8 (default: none)")
    parser.add_argument("--context", help="tokens of each row, prompt and answer: 8192, 128k, 1M (k = 1,000)")
    parser.add_argument("--batch", type=int, default=1, help="rows that run together (default: 1)")
    parser.add_argument("--dtype", help="bfloat16, float16 or float32 (default: the checkpoint's, or bfloat16)")
    parser.add_argument("--tiles", type=int, help="image tiles in each row (default: one image of the largest size)")
    parser.add_argument("--no-vision", action="store_true", help="the language half alone")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Print a plan; returns the exit code."""
    made = plan(
        arguments.model,
        arguments.quantize,
        context=None if arguments.context is None else read_count(arguments.context),
        batch=arguments.batch,
        dtype=arguments.dtype,
        vision=not arguments.no_vision,
        tiles=arguments.tiles,
    )
    print(json.dumps(made.to_dict(), indent=2) if arguments.json else made)
    return 0


def read_count(text: str) -> int:
    """A number of tokens as people write it: 131072, 131,072, 128k (128,000), 1M or 1.5m.

    Errors: UserError if it is none.
    """
    digits, times = text.strip().lower().replace(",", "").replace("_", ""), 1
    if digits.endswith(("k", "m")):
        digits, times = digits[:-1], {"k": 1000, "m": 10**6}[digits[-1]]
    try:
        number = float(digits) * times
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise UserError(f"{text!r} is no number of tokens: write 131072, 128k or 1M")
