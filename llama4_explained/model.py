"""The whole of Llama 4: vision, fusion and text together, or its language half alone.

Module names are those of the published checkpoints, so weights load without renaming.

Shapes: B batch, T new tokens, D hidden, V vocabulary, N tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import checkpoint, generate
from .config import Llama4Config, TextConfig
from .errors import UserError
from .fusion import Projector, fuse, fuse_in_segments
from .kv_cache import KVCache
from .linear import Linear
from .moe import Experts
from .norms import RMSNorm
from .text_model import TextModel
from .trace import Trace, record
from .vision import VisionModel


class _LanguageModel(nn.Module):
    """What `Llama4` and `Llama4Text` have in common: ids to logits, and everything that is built on that."""

    config: Llama4Config | TextConfig

    @property
    def text_config(self) -> TextConfig:
        """The config of the language half."""
        return self.config if isinstance(self.config, TextConfig) else self.config.text

    def require_ids(self, input_ids: Tensor) -> None:
        """Errors: UserError unless `input_ids` are at least one token of the vocabulary, [B, T]."""
        vocabulary = self.text_config.vocab_size
        if input_ids.ndim != 2 or input_ids.numel() == 0:
            raise UserError(f"input_ids is {list(input_ids.shape)}; expected [batch, tokens] with at least one token")
        if input_ids.is_floating_point():
            raise UserError(f"input_ids are {input_ids.dtype}; expected integers")
        lowest, highest = int(input_ids.min()), int(input_ids.max())
        if lowest < 0 or highest >= vocabulary:
            wrong = lowest if lowest < 0 else highest
            raise UserError(f"token id {wrong} is outside the vocabulary of {vocabulary}")

    def embed_text(self, input_ids: Tensor) -> Tensor:
        """int64 [B, T] -> [B, T, D], patch tokens included, as the text that they are."""
        raise NotImplementedError

    def embed(self, input_ids: Tensor, pixel_values: Tensor | None = None) -> Tensor:
        """int64 [B, T], and tiles [N, C, size, size] -> [B, T, D], the images in their places."""
        raise NotImplementedError

    def embed_in_segments(self, input_ids: Tensor, pixel_values: Tensor | None, length: int) -> Iterator[Tensor]:
        """As `embed`, `length` tokens of every row after the other, for prompts whose embeddings would fill memory."""
        for part in input_ids.split(length, dim=1):
            yield self.embed(part, pixel_values)

    def logits(
        self,
        embeddings: Tensor,
        attention_mask: Tensor | None = None,
        cache: KVCache | None = None,
        position_ids: Tensor | None = None,
        logits_to_keep: int = 0,
    ) -> Tensor:
        """[B, T, D] -> [B, T or logits_to_keep, V]."""
        raise NotImplementedError

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cache: KVCache | None = None,
        position_ids: Tensor | None = None,
        logits_to_keep: int = 0,
    ) -> Tensor:
        """Logits of the next token after every token.

        Shapes: input_ids int64 [B, T]; pixel_values [N, C, size, size], the tiles of all images in order;
            attention_mask [B, T] or [B, past + T], 1 = real, 0 = padding; position_ids [B, T] -> [B, T, V], or only
            the last `logits_to_keep` positions if that is not 0.
        Errors: UserError for ids outside the vocabulary, no tokens, tiles that do not match the patch tokens, or a
            context that is too long.
        Source: HF `Llama4ForConditionalGeneration` and `Llama4ForCausalLM`.
        Differs: a left-padded row gives what it gives alone; HF's temperature counts the padding.
        """
        return self.logits(self.embed(input_ids, pixel_values), attention_mask, cache, position_ids, logits_to_keep)

    def trace(self, input_ids: Tensor, *, names: tuple[str, ...] = ("*",), **inputs: Any) -> Trace:
        """Run once and keep the named intermediate tensors: `trace["layers.3.moe.router_logits"]`.

        `names` are patterns; only matching tensors are computed and kept. The other arguments are `forward`'s.
        """
        with torch.no_grad(), Trace.of(self, names) as trace:
            self(input_ids, **inputs)
        return trace

    def generate(self, input_ids: Tensor, **settings: Any) -> Tensor:
        """The prompt and what the model writes after it, int64 [B, T + new]; see `generate.generate`."""
        return generate.generate(self, input_ids, **settings)

    def stream(self, input_ids: Tensor, *, processor: Any, **settings: Any) -> Iterator[str]:
        """What the model writes, piece by piece; see `generate.stream`."""
        return generate.stream(self, input_ids, processor=processor, **settings)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a checkpoint that `load` and HF's `from_pretrained` read; see `checkpoint.save_pretrained`."""
        checkpoint.save_pretrained(self, folder)

    def save_quantized(self, folder: str | Path) -> None:
        """Write a quantised model as it is, which `load` reads; see `checkpoint.save_quantized`."""
        checkpoint.save_quantized(self, folder)

    @torch.no_grad()
    def init_weights(self, std: float | None = None, seed: int | None = None) -> None:
        """Fresh weights: normally distributed matrices, zero biases, norms of one, zeros for the padding token.

        Units:  std None = the config's; the vision tower's class and position embeddings get 1/sqrt of its width.
        Source: HF `Llama4PreTrainedModel._init_weights`.
        """
        device = next(self.parameters()).device
        generator = None if seed is None else torch.Generator(device).manual_seed(seed)

        def fill(module: nn.Module, std: float) -> None:
            for child in module.modules():
                if isinstance(child, nn.Linear | nn.Embedding):
                    child.weight.normal_(0, std, generator=generator)
                if isinstance(child, nn.Linear) and child.bias is not None:
                    child.bias.zero_()
                if isinstance(child, nn.LayerNorm | RMSNorm):
                    child.weight.fill_(1)
                if isinstance(child, nn.LayerNorm):
                    child.bias.zero_()
                if isinstance(child, Experts):
                    child.gate_up_proj.normal_(0, std, generator=generator)
                    child.down_proj.normal_(0, std, generator=generator)
                if isinstance(child, VisionModel):
                    scale = child.config.hidden_size**-0.5
                    child.class_embedding.normal_(0, scale, generator=generator)
                    child.positional_embedding_vlm.normal_(0, scale, generator=generator)

        for name, child in self.named_children():
            vision = self.config.vision if isinstance(self.config, Llama4Config) and name == "vision_model" else None
            default = self.text_config.init_std if vision is None else vision.init_std
            fill(child, default if std is None else std)
        for child in self.modules():  # at the end, because the output head may share the embedding's matrix
            if isinstance(child, nn.Embedding) and child.padding_idx is not None:
                child.weight[child.padding_idx].zero_()


class Llama4Text(_LanguageModel):
    """The language half of Llama 4.

    Source: HF `Llama4ForCausalLM`, whose state dict loads unchanged.
    """

    config: TextConfig

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.model = TextModel(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size)
        if config.tie_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def embed(self, input_ids: Tensor, pixel_values: Tensor | None = None) -> Tensor:
        """int64 [B, T] -> [B, T, D]."""
        if pixel_values is not None:
            raise UserError("Llama4Text sees no images; use Llama4")
        return self.embed_text(input_ids)

    def embed_text(self, input_ids: Tensor) -> Tensor:
        """int64 [B, T] -> [B, T, D]."""
        self.require_ids(input_ids)
        embeddings = self.model.embed_tokens(input_ids)
        record("embeddings", embeddings)
        return embeddings

    def logits(
        self,
        embeddings: Tensor,
        attention_mask: Tensor | None = None,
        cache: KVCache | None = None,
        position_ids: Tensor | None = None,
        logits_to_keep: int = 0,
    ) -> Tensor:
        """[B, T, D] -> [B, T or logits_to_keep, V]."""
        length = embeddings.shape[1] + (cache.length if cache is not None else 0)
        if length > self.config.max_positions:
            raise UserError(f"{length} tokens exceed the context of {self.config.max_positions}")
        x = self.model(embeddings, attention_mask, cache, position_ids)
        logits = self.lm_head(x[:, -logits_to_keep:])
        record("logits", logits)
        return logits


class Llama4(_LanguageModel):
    """Vision, fusion and text.

    Source: HF `Llama4ForConditionalGeneration`, whose state dict loads unchanged.
    """

    config: Llama4Config

    def __init__(self, config: Llama4Config) -> None:
        super().__init__()
        self.config = config
        self.vision_model = VisionModel(config.vision)
        self.multi_modal_projector = Projector(config)
        self.language_model = Llama4Text(config.text)

    def embed_text(self, input_ids: Tensor) -> Tensor:
        """int64 [B, T] -> [B, T, D], patch tokens included, as the text that they are."""
        return self.language_model.embed_text(input_ids)

    def embed(self, input_ids: Tensor, pixel_values: Tensor | None = None) -> Tensor:
        """int64 [B, T], and tiles [N, C, size, size] -> [B, T, D], the images in their places."""
        embeddings = self.embed_text(input_ids)
        if pixel_values is None:
            self._require_no_patches(input_ids)
            return embeddings
        return fuse(embeddings, input_ids == self.config.patch_id, self._image_tokens(pixel_values))

    def embed_in_segments(self, input_ids: Tensor, pixel_values: Tensor | None, length: int) -> Iterator[Tensor]:
        """As `embed`, `length` tokens of every row after the other. The images are seen once."""
        if pixel_values is None:
            self._require_no_patches(input_ids)
            return super().embed_in_segments(input_ids, None, length)
        is_patch = input_ids == self.config.patch_id
        return fuse_in_segments(self.embed_text, input_ids, is_patch, self._image_tokens(pixel_values), length)

    def _image_tokens(self, pixel_values: Tensor) -> Tensor:
        """Tiles [N, C, size, size] -> [N, tokens per tile, D]."""
        return self.multi_modal_projector(self.vision_model(pixel_values))

    def _require_no_patches(self, input_ids: Tensor) -> None:
        if places := int((input_ids == self.config.patch_id).sum()):
            raise UserError(f"the text has {places} patch tokens but there are no pixel_values")

    def logits(
        self,
        embeddings: Tensor,
        attention_mask: Tensor | None = None,
        cache: KVCache | None = None,
        position_ids: Tensor | None = None,
        logits_to_keep: int = 0,
    ) -> Tensor:
        """[B, T, D] -> [B, T or logits_to_keep, V]."""
        return self.language_model.logits(embeddings, attention_mask, cache, position_ids, logits_to_keep)
