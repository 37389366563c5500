"""What a check runs on: a config, both models, and inputs that make its mechanisms visible.

A mechanism that does not show is not checked: with 5 tokens and chunks of 8192, a wrong chunk mask changes nothing. So
every setup has chunks and temperature steps that are short, and inputs of an odd length beyond three chunk edges.
"""

from __future__ import annotations

import dataclasses
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..config import Llama4Config, RopeScaling, TextConfig
from ..errors import UserError
from ..model import Llama4
from ..presets import SCOUT, TINY
from .random_configs import IMAGE_IDS, random_text_config, random_vision_config
from .twins import pair


@dataclass(frozen=True)
class Setup:
    """One config with both models, and where its inputs come from.

    Units:  `tiles` of each image in inputs with images; `decode_steps` and `greedy_tokens` in tokens.
    """

    name: str
    config: Llama4Config
    ours: Llama4
    theirs: Any
    dtype: torch.dtype
    seed: int
    tiles: tuple[int, ...]
    decode_steps: int
    batch: int = 2
    greedy_tokens: int = 64
    large: bool = False  # gigabytes of weights: without gradients, and without what another piece shows too
    preprocessing: bool = True  # tokens and pictures, which do not depend on the config: once is enough
    key: str = ""  # inputs are a function of seed and key, so that a piece's inputs do not depend on the others

    def of(self, key: str) -> Setup:
        """The same setup with inputs of its own for the piece `key`."""
        return dataclasses.replace(self, key=key)

    @property
    def text(self) -> TextConfig:
        return self.config.text

    @property
    def chunk(self) -> int:
        """Tokens of a chunk; some small number where there are no chunks."""
        return self.text.chunk_size or 11

    @property
    def num_tokens(self) -> int:
        """An odd number of tokens beyond three chunk edges."""
        return (3 * self.chunk + self.chunk // 3) | 1

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {self.key}".encode()))

    def normal(self, *shape: int, std: float = 1.0) -> Tensor:
        """Normally distributed numbers, the same at every call."""
        return torch.randn(shape, generator=self.generator()) * std

    def token_ids(self, batch: int, num_tokens: int) -> Tensor:
        """Text without special meaning: neither patch tokens nor padding.  int64 [B, T]"""
        ids = torch.randint(self.text.vocab_size - 2, (batch, num_tokens), generator=self.generator())
        for special in sorted({self.config.patch_id, self.text.pad_id or 0}):
            ids = ids + (ids >= special)
        return ids

    def pixel_values(self, num_tiles: int) -> Tensor:
        """Noise in [-1, 1].  [N, C, size, size]"""
        vision = self.config.vision
        shape = (num_tiles, vision.num_channels, vision.image_size, vision.image_size)
        return torch.rand(shape, generator=self.generator()) * 2 - 1

    def with_images(self) -> tuple[Tensor, Tensor]:
        """A text around several images: input_ids [1, T] and pixel_values [N, C, size, size]."""
        gap = max(3, self.chunk // 3)
        text = self.token_ids(1, gap * (len(self.tiles) + 1) | 1)
        parts = [text[:, :gap]]
        for i, tiles in enumerate(self.tiles):
            parts.append(torch.full((1, tiles * self.config.vision.tokens_per_tile), self.config.patch_id))
            parts.append(text[:, (i + 1) * gap : None if i + 1 == len(self.tiles) else (i + 2) * gap])
        missing = self.num_tokens - sum(part.shape[1] for part in parts)
        if missing > 0:  # few tiles, or long chunks: the text goes on beyond the third chunk edge
            parts.append(self.token_ids(1, missing))
        return torch.cat(parts, dim=1), self.pixel_values(sum(self.tiles))

    def layer(self, **kind: bool) -> int | None:
        """The first layer of a kind, such as `uses_rope=True, is_moe=True`; None if the config has none."""
        for i, spec in enumerate(self.text.layer_plan):
            if all(getattr(spec, name) == value for name, value in kind.items()):
                return i
        return None


EPSILON = 1e-3  # of norms: Scout's 1e-5 hides below rounding where activations are of size 1


def tiny_config() -> Llama4Config:
    """`TINY` with fewer layers, shorter chunks and temperature steps, one dense layer, and an epsilon that shows.

    No two widths are equal: equal ones hide a matrix that is used the wrong way round.
    """
    text = dataclasses.replace(
        TINY.text, num_layers=5, chunk_size=16, floor_scale=8, expert_width=80, dense_width=176,
        moe_layers=(0, 1, 3, 4), rms_norm_eps=EPSILON,
    )  # fmt: skip
    vision = dataclasses.replace(TINY.vision, num_layers=2, adapter_width=112)
    return dataclasses.replace(TINY, text=text, vision=vision)


def scout_slice_config() -> Llama4Config:
    """Scout's true widths with few layers, experts and words; chunks and temperature steps that 200 tokens show."""
    text = dataclasses.replace(
        SCOUT.text, vocab_size=1024, num_layers=4, num_experts=4, chunk_size=64, floor_scale=64, max_positions=4096,
        rms_norm_eps=EPSILON, rope_scaling=RopeScaling(original_max_positions=64),
        bos_id=1000, eos_ids=(1001, 1002, 1003), pad_id=1004,
    )  # fmt: skip
    vision = dataclasses.replace(SCOUT.vision, num_layers=2)
    return Llama4Config(text, vision, image_start_id=1005, image_end_id=1006, patch_id=1007)


def random_config(seed: int) -> Llama4Config:
    """Any Llama 4 that the published files could describe, small: every field that changes the model is drawn.

    But no chunks of one token: HF's cache then keeps everything instead of nothing, and HF disagrees with itself.
    """
    choose = random.Random(seed)
    text, vision = random_text_config(choose), random_vision_config(choose)
    if text.chunk_size == 1:
        text = dataclasses.replace(text, chunk_size=2)
    return Llama4Config(text, vision, **IMAGE_IDS)


SETUPS: dict[str, Callable[[int], Llama4Config]] = {
    "tiny": lambda seed: tiny_config(),
    "scout-slice": lambda seed: scout_slice_config(),
    "random": random_config,
}


def make_setup(name: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> Setup:
    """Build both models of a named setup.

    Errors: UserError for an unknown name.
    """
    if name not in SETUPS:
        raise UserError(f"no setup {name!r}; choose from {', '.join(SETUPS)}")
    config = SETUPS[name](seed)
    large = name == "scout-slice"
    # The wider a layer, the smaller its weights must be for attention not to look at one token only.
    ours, theirs = pair(config, seed, std=0.02 if large else 0.1, dtype=dtype)
    return Setup(
        name, config, ours, theirs, dtype, seed,
        tiles=(1,) if large else (1, 3), decode_steps=5 if large else (config.text.chunk_size or 11) + 5,
        batch=1 if large else 2, greedy_tokens=8 if large else 64, large=large, preprocessing=name == "tiny",
    )  # fmt: skip
