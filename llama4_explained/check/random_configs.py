"""Random models with random inputs: every field that changes a Llama 4 is drawn, and HF is the judge of each.

A `Case` is plain data, drawn from a `random.Random`; it can be written down as JSON and run again elsewhere.

Shapes: B rows, T tokens of the longest row, V vocabulary, N tiles, E experts, A experts per token.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama4.modeling_llama4 import Llama4Router

from ..config import Llama4Config, RopeScaling, TextConfig, VisionConfig
from ..errors import UserError
from ..kv_cache import KVCache
from ..model import Llama4, Llama4Text
from .routing import pinned_decisions
from .twins import in_float64, pair

# A result may be this many floors away from HF's. Measured over 1,700 cases: at most 3.4.
TIMES_FLOOR = 20

# Ids with a meaning come first in every random vocabulary; text is drawn from FIRST_WORD on.
SPECIAL_IDS = {"bos_id": 1, "eos_ids": (2, 3)}
IMAGE_IDS = {"image_start_id": 4, "image_end_id": 5, "patch_id": 6}
FIRST_WORD = 7


@dataclass(frozen=True)
class Case:
    """One model and what it is to read.

    Errors: UserError for texts or cuts that do not fit each other or the model.

    `rows` describes the texts of a batch: numbers of text tokens and of tiles in turn, so (5, 2, 3) is 5 tokens, an
    image of 2 tiles, 3 tokens. Shorter rows are padded on the left. `cuts` are the slots at which a cached run is
    interrupted.
    """

    config: Llama4Config | TextConfig
    seed: int  # of weights, ids and pixels
    std: float  # of the weights
    rows: tuple[tuple[int, ...], ...]
    cuts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.rows or min(self.lengths) < 1:
            raise UserError(f"every row of a case needs a token, got rows {self.rows}")
        if self.text.vocab_size <= FIRST_WORD:
            raise UserError(f"text is drawn from id {FIRST_WORD} on, got a vocabulary of {self.text.vocab_size}")
        if list(self.cuts) != sorted(set(self.cuts) & set(range(1, max(self.lengths)))):
            raise UserError(f"cuts must grow and lie inside {max(self.lengths)} tokens, got {self.cuts}")

    @property
    def text(self) -> TextConfig:
        """The config of the language half."""
        return self.config.text if isinstance(self.config, Llama4Config) else self.config

    @property
    def lengths(self) -> list[int]:
        """Tokens of every row, padding not counted."""
        return [sum(row[::2]) + sum(row[1::2]) * self._tokens_per_tile for row in self.rows]

    @property
    def _tokens_per_tile(self) -> int:
        return self.config.vision.tokens_per_tile if isinstance(self.config, Llama4Config) else 0

    def inputs(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        """input_ids int64 [B, T], attention_mask int64 [B, T], and every row's tiles [N, C, size, size]."""
        generator = torch.Generator().manual_seed(self.seed)
        length, tiles = max(self.lengths), []
        input_ids = torch.zeros(len(self.rows), length, dtype=torch.long)
        attention_mask = torch.zeros_like(input_ids)
        for i, row in enumerate(self.rows):
            parts = [
                torch.full((count * self._tokens_per_tile,), IMAGE_IDS["patch_id"])
                if j % 2
                else torch.randint(FIRST_WORD, self.text.vocab_size, (count,), generator=generator)
                for j, count in enumerate(row)
            ]
            input_ids[i, length - self.lengths[i] :] = torch.cat(parts)
            attention_mask[i, length - self.lengths[i] :] = 1
            if isinstance(self.config, Llama4Config):
                vision = self.config.vision
                shape = (sum(row[1::2]), vision.num_channels, vision.image_size, vision.image_size)
                tiles.append(torch.rand(shape, generator=generator) * 2 - 1)
        return input_ids, attention_mask, tiles

    def to_json(self) -> str:
        """One line from which `from_json` makes the same case."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Case:
        """Errors: UserError if this is not what `to_json` writes."""
        try:
            fields = json.loads(line)
            config = fields["config"]
            if "text" in config:
                config["text"], config["vision"] = _text_config(config["text"]), VisionConfig(**config["vision"])
                fields["config"] = Llama4Config(**config)
            else:
                fields["config"] = _text_config(config)
            fields["rows"], fields["cuts"] = tuple(map(tuple, fields["rows"])), tuple(fields["cuts"])
            return cls(**fields)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"this is not a case as Case.to_json writes it: {error}") from None


def random_case(choose: random.Random, with_images: bool) -> Case:
    """A small model of any shape, and a batch for it."""
    text = random_text_config(choose)
    config = Llama4Config(text, random_vision_config(choose), **IMAGE_IDS) if with_images else text
    rows = []
    for _ in range(choose.choice([1, 2, 3])):
        row = [choose.randint(1, 12 if with_images else 40)]
        for _ in range(choose.choice([0, 1, 1, 2]) if with_images else 0):
            row += [choose.choice([1, 2, 3, 5]), choose.randint(0, 8)]
        rows.append(tuple(row))
    if choose.random() < 0.2:
        rows = rows[:1] * choose.choice([2, 3])  # rows of one length, which need no padding
    case = Case(config, choose.randrange(2**31), choose.choice([0.1, 0.2]), tuple(rows))
    length = max(case.lengths)
    cuts = choose.choice([
        range(choose.randint(1, length), length),  # a prompt, then token by token
        [slot for slot in range(1, length) if choose.random() < 0.1],  # a few long segments
        [slot for slot in range(1, length) if choose.random() < 0.4],  # many short ones
    ])  # fmt: skip
    return replace(case, cuts=tuple(cuts))


def random_text_config(choose: random.Random) -> TextConfig:
    """The language half: every field that changes the result."""
    num_layers, num_kv_heads = choose.randint(1, 5), choose.choice([1, 2, 3])
    num_experts = choose.choice([1, 2, 3, 5, 8, 16])
    factor = choose.choice([1.0, 2.0, 4.0])  # 1: equal factors, as Scout has them, so that scaling is a step
    scaling = RopeScaling(choose.choice([2.0, 16.0]), 1.0, factor, choose.choice([8, 16, 64]))
    return TextConfig(
        **SPECIAL_IDS,
        pad_id=choose.choice([None, 0]),
        vocab_size=choose.randint(FIRST_WORD + 1, 60),
        hidden_size=choose.choice([16, 24, 40, 64]),
        num_layers=num_layers,
        num_query_heads=num_kv_heads * choose.choice([1, 2, 3, 4]),
        num_kv_heads=num_kv_heads,
        head_dim=choose.choice([2, 4, 6, 8, 16, 18]),
        expert_width=choose.choice([8, 12, 36]),
        dense_width=choose.choice([20, 44]),
        num_experts=num_experts,
        experts_per_token=choose.randint(1, min(4, num_experts)),
        moe_interval=choose.choice([1, 2, 3]),
        moe_layers=choose.choice([None, tuple(i for i in range(num_layers) if choose.random() < 0.6)]),
        nope_interval=choose.choice([1, 2, 3, 4]),
        rope_layers=choose.choice([None, tuple(choose.random() < 0.7 for _ in range(num_layers))]),
        chunk_size=choose.choice([None, 1, 2, 3, 4, 5, 8, 13]),
        qk_norm=choose.choice([True, False]),
        temperature_tuning=choose.choice([True, True, False]),
        floor_scale=choose.choice([1, 2, 3, 4, 7]),
        temperature_scale=choose.choice([0.1, 0.3, 1.0]),
        rope_theta=choose.choice([100.0, 10000.0, 500000.0]),
        rope_scaling=choose.choice([None, scaling]),
        rms_norm_eps=choose.choice([1e-6, 1e-5, 1e-2]),
        max_positions=256,
        tie_embeddings=choose.choice([True, False]),
    )


def random_vision_config(choose: random.Random) -> VisionConfig:
    """The vision half: tiles of a few image tokens."""
    shuffle, num_heads, patch_size = choose.choice([1, 2, 3]), choose.choice([1, 2, 3]), choose.choice([2, 3, 5])
    hidden_size = 4 * num_heads * choose.choice([1, 2, 3])
    return VisionConfig(
        image_size=patch_size * shuffle * choose.choice([1, 2, 3]),
        patch_size=patch_size,
        num_channels=choose.choice([1, 3]),
        hidden_size=hidden_size,
        num_layers=choose.choice([1, 2, 3]),
        num_heads=num_heads,
        mlp_width=hidden_size * shuffle**2,
        pixel_shuffle_ratio=1 / shuffle,
        adapter_width=choose.choice([12, 28]),
        rope_theta=choose.choice([100.0, 10000.0]),
    )


@dataclass(frozen=True)
class Outcome:
    """How far ours is from HF, over all real tokens of a case: in one pass, and in cached segments.

    `near_tie`: some token's best expert that was not chosen comes so close to the last one that was, that rounding may
    decide between them. Then the two implementations may rightly disagree, and the case says nothing.
    """

    error: float
    cached_error: float
    floor: float
    near_tie: bool

    @property
    def passed(self) -> bool:
        return self.error <= TIMES_FLOOR * self.floor and self.cached_error <= TIMES_FLOOR * self.floor  # False for NaN

    def __str__(self) -> str:
        one_pass, cached = self.error / self.floor, self.cached_error / self.floor
        return f"{one_pass:.3g} floors from HF in one pass, {cached:.3g} in cached segments; {TIMES_FLOOR} are allowed"


@torch.no_grad()
def run_case(case: Case) -> Outcome:
    """Build both models and compare ours, on the padded batch, with HF on every row alone.

    Alone, because HF's temperature counts padding: its own padded rows differ from what it says without padding.
    """
    ours, theirs = pair(case.config, case.seed, case.std)
    input_ids, attention_mask, tiles = case.inputs()
    expected, floor, near_tie = [], 0.0, False
    for i, length in enumerate(case.lengths):
        pixels = tiles[i] if tiles and len(tiles[i]) else None
        row = _run_hf_row(theirs, input_ids[i : i + 1, -length:], pixels, case.text.experts_per_token)
        expected.append(row.logits[0])
        floor, near_tie = max(floor, row.floor), near_tie or row.near_tie
    expected = torch.cat(expected)  # [all real tokens, V]

    pixel_values = torch.cat(tiles) if tiles and sum(map(len, tiles)) else None
    mask = None if bool(attention_mask.all()) else attention_mask
    logits = ours(input_ids, pixel_values, attention_mask=mask)
    cached = _run_cached(ours, ours.embed(input_ids, pixel_values), mask, case.cuts)
    real = attention_mask.bool()
    return Outcome(
        float((logits[real] - expected).abs().max()), float((cached[real] - expected).abs().max()), floor, near_tie
    )


def _run_cached(ours: Llama4 | Llama4Text, embeddings: Tensor, mask: Tensor | None, cuts: tuple[int, ...]) -> Tensor:
    """Logits [B, T, V] of a run in segments, with masks of all slots so far and of the new ones in turn."""
    cache, logits = KVCache(ours.text_config), []
    for i, (start, stop) in enumerate(pairwise([0, *cuts, embeddings.shape[1]])):
        part = None if mask is None else mask[:, start if i % 2 else 0 : stop]
        logits.append(ours.logits(embeddings[:, start:stop], attention_mask=part, cache=cache))
    return torch.cat(logits, dim=1)


@dataclass(frozen=True)
class _HfRow:
    logits: Tensor  # [1, T, V]
    floor: float
    near_tie: bool


def _run_hf_row(theirs: Any, input_ids: Tensor, pixel_values: Tensor | None, top_k: int) -> _HfRow:
    """HF on one row without padding, how far rounding moves it, and whether it could move its routers' choices."""
    images = {} if pixel_values is None else {"pixel_values": pixel_values}
    with _router_logits(theirs) as narrow:
        logits = theirs(input_ids=input_ids, **images).logits
    images = {name: pixels.double() for name, pixels in images.items()}
    with (
        pinned_decisions(theirs, [router.topk(top_k, dim=-1).indices for router in narrow]),
        _router_logits(theirs) as wide,
        in_float64(theirs),
    ):
        exact = theirs(input_ids=input_ids, **images).logits
    near_tie = any(_is_near_tie(a, b, top_k) for a, b in zip(narrow, wide, strict=True))
    return _HfRow(logits, _floor(logits, exact), near_tie)


def _floor(result: Tensor, exact: Tensor) -> float:
    """How far rounding moved a result: at least by one rounding of its largest number, however lucky the run."""
    return max(float((result - exact).abs().max()), float(result.abs().max()) * torch.finfo(result.dtype).eps)


def _is_near_tie(logits: Tensor, exact: Tensor, top_k: int) -> bool:
    """Whether an error as large as is allowed, in two logits of a token, could change the experts that it chooses.

    Shapes: both [BT, E].
    """
    if top_k == logits.shape[-1]:
        return False
    ordered = logits.sort(dim=-1, descending=True).values
    margin = ordered[:, top_k - 1] - ordered[:, top_k]
    return bool(margin.min() <= 2 * TIMES_FLOOR * _floor(logits, exact))


@contextmanager
def _router_logits(theirs: nn.Module) -> Iterator[list[Tensor]]:
    """The logits [BT, E] of HF's routers, in the order in which they run inside the block."""
    logits: list[Tensor] = []
    with ExitStack() as stack:
        for module in theirs.modules():
            if isinstance(module, Llama4Router):
                hook = module.register_forward_hook(lambda module, inputs, output: logits.append(output[1]))
                stack.callback(hook.remove)
        yield logits


def _text_config(fields: dict[str, Any]) -> TextConfig:
    """A `TextConfig` from what JSON made of it: lists for tuples, a dict for RoPE scaling."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    if fields["rope_scaling"] is not None:
        fields["rope_scaling"] = RopeScaling(**fields["rope_scaling"])
    return TextConfig(**fields)
