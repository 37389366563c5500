"""What a Llama 4 is made of, as data: sizes, layer kinds, and the table that maps our names to Hugging Face's.

Nothing here computes. A config says, for every layer, how it attends and which feed-forward it has (`layer_plan`);
the modules only follow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .config_hf import IMAGE_TOKEN_NAMES, text_arguments, text_to_hf, vision_arguments, vision_to_hf
from .errors import UserError
from .hub import local_file


@dataclass(frozen=True)
class RopeScaling:
    """How RoPE's slow frequencies are stretched for contexts longer than those of pre-training ("llama3" scaling).

    Units:  `factor` divides frequencies; `original_max_positions` in tokens; the two others are dimensionless.
    Source: HF `_compute_llama3_parameters`. Scout: 16, 1, 1, 8192, which leaves no band between kept and stretched.
    """

    factor: float = 16.0
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 1.0
    original_max_positions: int = 8192

    def __post_init__(self) -> None:
        _require(self.factor >= 1, f"rope scaling factor must be at least 1, got {self.factor}")
        _require(
            self.high_frequency_factor >= self.low_frequency_factor > 0,
            f"rope scaling needs high_frequency_factor >= low_frequency_factor > 0, "
            f"got {self.high_frequency_factor} and {self.low_frequency_factor}",
        )
        _positive(self, "original_max_positions")


@dataclass(frozen=True)
class LayerSpec:
    """One decoder layer: how it sees positions, how far it looks, and what follows attention."""

    uses_rope: bool  # False: a NoPE layer, which has no position encoding and scales its queries instead
    chunk_size: int | None  # tokens a layer may look at within its own chunk; None: all earlier tokens
    is_moe: bool  # mixture of experts, or one dense feed-forward


@dataclass(frozen=True)
class TextConfig:
    """The language half of Llama 4. Defaults are Scout's.

    Errors: UserError for values that cannot make a model, naming the field.
    Source: HF `Llama4TextConfig`; `TEXT_NAMES` maps the fields.
    """

    vocab_size: int = 202048
    hidden_size: int = 5120  # D
    num_layers: int = 48
    num_query_heads: int = 40  # H
    num_kv_heads: int = 8  # Hkv: each serves H / Hkv query heads
    head_dim: int = 128  # Dh
    expert_width: int = 8192  # F of one routed expert, and of the shared expert
    dense_width: int = 16384  # F of the feed-forward in layers without experts
    num_experts: int = 16  # E, the shared expert not counted
    experts_per_token: int = 1  # A, the shared expert not counted
    moe_interval: int = 1  # every n-th layer has experts: Scout 1 (all), Maverick 2
    moe_layers: tuple[int, ...] | None = None  # explicit layer numbers; None: from `moe_interval`
    nope_interval: int = 4  # every n-th layer has no position encoding
    rope_layers: tuple[bool, ...] | None = None  # explicit pattern, True = uses RoPE; None: from `nope_interval`
    chunk_size: int | None = 8192  # tokens; RoPE layers look only inside their chunk; None: everywhere
    qk_norm: bool = True  # RMS-normalise queries and keys of RoPE layers, after rotating them
    temperature_tuning: bool = True  # scale the queries of NoPE layers by position
    floor_scale: int = 8192  # tokens per step of that scale
    temperature_scale: float = 0.1  # how fast that scale grows
    rope_theta: float = 500000.0  # base of the rotation frequencies
    rope_scaling: RopeScaling | None = field(default_factory=RopeScaling)
    rms_norm_eps: float = 1e-5
    max_positions: int = 10485760  # longest context, in tokens
    tie_embeddings: bool = False  # one matrix for the input embedding and the output head
    init_std: float = 0.02  # of normally distributed initial weights
    bos_id: int | None = 200000
    eos_ids: tuple[int, ...] = (200001, 200007, 200008)
    pad_id: int | None = 200018

    def __post_init__(self) -> None:
        for name in ("vocab_size", "hidden_size", "num_layers", "num_query_heads", "num_kv_heads", "head_dim",
                     "expert_width", "dense_width", "num_experts", "experts_per_token", "moe_interval",
                     "nope_interval", "floor_scale", "max_positions", "rms_norm_eps", "rope_theta"):  # fmt: skip
            _positive(self, name)
        if self.chunk_size is not None:
            _positive(self, "chunk_size")
        _require(
            self.num_query_heads % self.num_kv_heads == 0,
            f"num_query_heads ({self.num_query_heads}) must be a multiple of num_kv_heads ({self.num_kv_heads})",
        )
        _require(self.head_dim % 2 == 0, f"head_dim must be even, because RoPE rotates pairs; got {self.head_dim}")
        _require(
            self.experts_per_token <= self.num_experts,
            f"experts_per_token ({self.experts_per_token}) is larger than num_experts ({self.num_experts})",
        )
        if self.rope_layers is not None:
            _require(
                len(self.rope_layers) >= self.num_layers,
                f"rope_layers has {len(self.rope_layers)} entries for {self.num_layers} layers",
            )
        for layer in self.moe_layers or ():
            _require(0 <= layer < self.num_layers, f"moe_layers names layer {layer} of {self.num_layers}")
        for name, ids in (("bos_id", [self.bos_id]), ("eos_ids", self.eos_ids), ("pad_id", [self.pad_id])):
            for token in ids:
                if token is not None:
                    _require_id(name, token, self.vocab_size)

    @property
    def layer_plan(self) -> tuple[LayerSpec, ...]:
        """Every layer's kind, in order. Position encoding and experts follow patterns of their own."""
        rope = self.rope_layers or [(i + 1) % self.nope_interval != 0 for i in range(self.num_layers)]
        moe = self.moe_layers if self.moe_layers is not None else [
            i for i in range(self.num_layers) if (i + 1) % self.moe_interval == 0
        ]  # fmt: skip
        return tuple(
            LayerSpec(uses_rope=bool(rope[i]), chunk_size=self.chunk_size if rope[i] else None, is_moe=i in moe)
            for i in range(self.num_layers)
        )

    @classmethod
    def from_hf(cls, hf: Any) -> TextConfig:
        """Read HF's text config, old or new spelling: its object, or the dict of a config.json.

        Errors: UserError for settings that no Llama 4 has, or that cannot make a model.
        Differs: `attention_chunk_size` null (full attention everywhere), `attn_temperature_tuning` 4 and a
            `floor_scale` of 8192.0 are read; HF itself refuses some of them, depending on its version.
        """
        arguments = text_arguments(_as_dict(hf))
        if arguments["rope_scaling"] is not None:
            arguments["rope_scaling"] = RopeScaling(**arguments["rope_scaling"])
        config = cls(**arguments)
        # Files write out what an interval gives anyway, and a chunk as long as the context for none: equal models shall
        # have equal configs.
        for name in ("rope_layers", "moe_layers"):
            by_interval = replace(config, **{name: None})
            if by_interval.layer_plan == config.layer_plan:
                config = by_interval
        if config.chunk_size is not None and config.chunk_size >= config.max_positions:
            config = replace(config, chunk_size=None)
        return config

    def to_hf_dict(self) -> dict[str, Any]:
        """The config.json of HF's `Llama4ForCausalLM`, readable by every supported version of HF."""
        return text_to_hf(self)


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower, the same for Scout and Maverick. Defaults are theirs.

    Units:  `image_size` and `patch_size` in pixels, one side of a square.
    Errors: UserError for values that cannot make a tower, naming the field.
    Source: HF `Llama4VisionConfig`; `VISION_NAMES` maps the fields.
    Differs: HF has three names (`projector_input_dim`, `projector_output_dim`, `vision_output_dim`) for widths that
        its own modules force to be equal; here they are one, `adapter_width`.
    """

    image_size: int = 336  # one tile
    patch_size: int = 14
    num_channels: int = 3
    hidden_size: int = 1408
    num_layers: int = 34
    num_heads: int = 16
    mlp_width: int = 5632
    pixel_shuffle_ratio: float = 0.5  # 0.5: 2 x 2 patches become one image token
    adapter_width: int = 4096  # width of an image token before it is projected to the text's hidden size
    rope_theta: float = 10000.0
    init_std: float = 0.02

    def __post_init__(self) -> None:
        for name in ("image_size", "patch_size", "num_channels", "hidden_size", "num_layers", "num_heads",
                     "mlp_width", "pixel_shuffle_ratio", "adapter_width", "rope_theta"):  # fmt: skip
            _positive(self, name)
        _require(
            self.image_size % self.patch_size == 0,
            f"image_size ({self.image_size}) must be a multiple of patch_size ({self.patch_size})",
        )
        _require(
            self.hidden_size % (4 * self.num_heads) == 0,
            f"vision hidden_size ({self.hidden_size}) must be a multiple of 4 * num_heads ({self.num_heads}): "
            "each head rotates pairs by x and as many by y",
        )
        _require(
            abs(1 / self.pixel_shuffle_ratio - self.shuffle) < 1e-6,
            f"pixel_shuffle_ratio must be 1/2, 1/3, 1/4, ..., got {self.pixel_shuffle_ratio}",
        )
        _require(
            self.patches_per_side % self.shuffle == 0,
            f"{self.patches_per_side} patches a side cannot be merged {self.shuffle} by {self.shuffle}",
        )
        _require(
            self.mlp_width == self.hidden_size * self.shuffle**2,
            f"mlp_width must be hidden_size / pixel_shuffle_ratio^2 = {self.hidden_size * self.shuffle**2}, "
            f"got {self.mlp_width}: the adapter takes shuffled patches of that width",
        )

    @property
    def shuffle(self) -> int:
        """Patches merged per side into one image token (2)."""
        return round(1 / self.pixel_shuffle_ratio)

    @property
    def patches_per_side(self) -> int:
        """Patches per side of a tile (24)."""
        return self.image_size // self.patch_size

    @property
    def num_patches(self) -> int:
        """Patches of a tile (576), the class token not counted."""
        return self.patches_per_side**2

    @property
    def tokens_per_tile(self) -> int:
        """Image tokens that the language model receives for one tile (144)."""
        return self.num_patches // self.shuffle**2

    @classmethod
    def from_hf(cls, hf: Any) -> VisionConfig:
        """Read HF's vision config: its object, or the dict of a config.json."""
        return cls(**vision_arguments(_as_dict(hf)))

    def to_hf_dict(self) -> dict[str, Any]:
        """HF's `Llama4VisionConfig` as a dict."""
        return vision_to_hf(self)


@dataclass(frozen=True)
class Llama4Config:
    """Vision and text together, with the ids that mark an image in the text. Defaults are Scout's.

    Source: HF `Llama4Config`.
    """

    text: TextConfig = field(default_factory=TextConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    image_start_id: int = 200080
    image_end_id: int = 200081
    patch_id: int = 200092  # the placeholder that image features replace

    def __post_init__(self) -> None:
        for name in ("image_start_id", "image_end_id", "patch_id"):
            _require_id(name, getattr(self, name), self.text.vocab_size)

    @classmethod
    def from_hf(cls, hf: Any) -> Llama4Config:
        """Read HF's config, old or new spelling: its object, or the dict of a config.json.

        Errors: UserError if it is not a multimodal Llama 4, or as `TextConfig.from_hf` and `VisionConfig.from_hf`.
        """
        config = read_config(hf)
        if not isinstance(config, cls):
            raise UserError("this config has no vision half; read it with TextConfig.from_hf and use Llama4Text")
        return config

    @classmethod
    def from_pretrained(cls, folder: str | Path, revision: str | None = None) -> Llama4Config:
        """Read the config.json of a folder or of a hub id.

        Errors: UserError if there is none, or as `from_hf`.
        """
        return cls.from_hf(read_config_file(local_file(folder, "config.json", revision)))

    def to_hf_dict(self) -> dict[str, Any]:
        """The config.json of HF's `Llama4ForConditionalGeneration`, readable by every supported version of HF."""
        ids = {theirs: getattr(self, name) for name, theirs in IMAGE_TOKEN_NAMES.items()}
        return {
            "model_type": "llama4",
            "architectures": ["Llama4ForConditionalGeneration"],
            **ids,
            "tie_word_embeddings": self.text.tie_embeddings,
            "text_config": self.text.to_hf_dict(),
            "vision_config": self.vision.to_hf_dict(),
        }


def read_config(hf: Any) -> Llama4Config | TextConfig:
    """HF's config of a multimodal or a text-only Llama 4: its object, or the dict of a config.json.

    Errors: UserError for another `model_type`.
    """
    hf = _as_dict(hf)
    model_type = hf.get("model_type")
    if model_type == "llama4_text":
        return TextConfig.from_hf(hf)
    if model_type != "llama4":
        raise UserError(f"model_type is {model_type!r}; expected 'llama4' or 'llama4_text'")
    defaults = {"boi_token_index": 200080, "eoi_token_index": 200081, "image_token_index": 200092}
    hf = {**defaults, **hf}
    return Llama4Config(
        text=TextConfig.from_hf(hf.get("text_config") or {}),
        vision=VisionConfig.from_hf(hf.get("vision_config") or {}),
        **{name: hf[theirs] for name, theirs in IMAGE_TOKEN_NAMES.items()},
    )


def read_config_file(path: Path) -> dict[str, Any]:
    """A config.json as a dict.

    Errors: UserError if the file is missing or is not a JSON object.
    """
    try:
        hf = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path.parent} has no config.json: is it a checkpoint folder?") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(hf, dict):
        raise UserError(f"{path} is not a JSON object")
    return hf


def _as_dict(hf: Any) -> dict[str, Any]:
    return dict(hf) if isinstance(hf, Mapping) else hf.to_dict()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def _positive(config: Any, name: str) -> None:
    value, kind = getattr(config, name), type(getattr(type(config), name))  # the default's type is the field's
    what = "positive" if isinstance(value, int | kind) else "a whole number" if kind is int else "a number"
    _require(isinstance(value, int | kind) and value > 0, f"{name} must be {what}, got {value!r}")


def _require_id(name: str, token: Any, vocab_size: int) -> None:
    _require(isinstance(token, int), f"{name} must be a whole number, got {token!r}")
    _require(0 <= token < vocab_size, f"{name} {token} is outside the vocabulary of {vocab_size}")
