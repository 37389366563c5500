"""Mistakes between pixels and the text: patches, their positions, pixel shuffle, adapter, fusion."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import fusion, rope
from ..model import Llama4
from ..vision import VisionModel, adapter, encoder, patches
from .mutation import Change, all_of, mutant, replaced, replaced_method

ENCODER = ("vision.attention", "vision.layer", "vision.encoder", "vision", "model.images")


@mutant("patches go column by column", "vision.cut", "vision.patches", "vision")
def patches_by_column(model: Llama4) -> Change:
    side = model.vision_model.config.patches_per_side
    return replaced(
        patches.cut_into_patches,
        lambda cut: lambda tiles, size: cut(tiles, size).unflatten(1, (side, side)).transpose(1, 2).flatten(1, 2),
    )


@mutant("a patch's colours come last", "vision.cut", "vision.patches", "vision")
def colours_last(model: Llama4) -> Change:
    channels = model.vision_model.config.num_channels
    return replaced(
        patches.cut_into_patches,
        lambda cut: lambda tiles, size: cut(tiles, size).unflatten(-1, (channels, -1)).transpose(-1, -2).flatten(-2),
    )


def _rotation(make: Any) -> Change:
    """Other rotations of patches: `make(cos, sin)`, each [1, P + 1, 1, Dh/2]."""
    return replaced(encoder.patch_rotation, lambda original: lambda *arguments: make(*original(*arguments)))


@mutant("vision RoPE takes y before x", "vision.rope", *ENCODER)
def y_before_x(model: Llama4) -> Change:
    return _rotation(lambda *rotation: tuple(part.roll(part.shape[-1] // 2, dims=-1) for part in rotation))


@mutant("vision RoPE counts from zero", "vision.rope", *ENCODER)
def coordinates_from_zero(model: Llama4) -> Change:
    """Patches see each other as before; but the class token, which does not turn, now sits on the first patch."""

    def shifted(cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        angle = torch.atan2(sin, cos)
        angle = angle - angle[:, :1]  # the first patch is at (1, 1)
        angle[:, -1] = 0
        return angle.cos(), angle.sin()

    return _rotation(shifted)


@mutant("the class token turns like a patch", "vision.rope", *ENCODER)
def class_token_turns(model: Llama4) -> Change:
    return _rotation(lambda *rotation: tuple(torch.cat([part[:, :-1], part[:, :1]], dim=1) for part in rotation))


@mutant("vision RoPE is missing", "vision.rope", *ENCODER)
def no_vision_rope(model: Llama4) -> Change:
    return _rotation(lambda cos, sin: (torch.ones_like(cos), torch.zeros_like(sin)))


@mutant("vision RoPE pairs halves instead of neighbours", *ENCODER)
def vision_rope_halves(model: Llama4) -> Change:
    def by_halves(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        cos, sin = rotation
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)

    return replaced(rope.rotate_pairs, lambda _: by_halves)


@mutant("vision attention is not scaled", *ENCODER)
def vision_unscaled(model: Llama4) -> Change:
    def make(forward: Any) -> Any:
        def unscaled(self: encoder.VisionAttention, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
            factor = self.head_dim**0.5
            return forward(self, x, tuple(part * factor**0.5 for part in rotation))  # queries and keys both turn

        return unscaled

    return replaced_method(encoder.VisionAttention, "forward", make)


@mutant("tiles see each other", "vision.attention", "vision", "model.images")
def tiles_see_each_other(model: Llama4) -> Change:
    def make(forward: Any) -> Any:
        def together(self: encoder.VisionAttention, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
            repeated = tuple(part.expand(len(x), -1, -1, -1).flatten(0, 1)[None] for part in rotation)
            return forward(self, x.flatten(0, 1)[None], repeated).view_as(x)

        return together

    return replaced_method(encoder.VisionAttention, "forward", make)


@mutant("GELU by the tanh formula", "vision.feed_forward", "vision.adapter_mlp", "vision")
def tanh_gelu(model: Llama4) -> Change:
    def feed_forward(self: encoder.VisionFeedForward, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))

    def adapter_mlp(self: adapter.AdapterMLP, x: Tensor) -> Tensor:
        return F.gelu(self.fc2(F.gelu(self.fc1(x), approximate="tanh")), approximate="tanh")

    return all_of(
        replaced_method(encoder.VisionFeedForward, "forward", lambda _: feed_forward),
        replaced_method(adapter.AdapterMLP, "forward", lambda _: adapter_mlp),
    )


def _tower(join: Any, leave: Any) -> Change:
    """The tower with another place for the class token: `join(patches, class)` and `leave(encoded)`."""

    def forward(self: VisionModel, pixel_values: Tensor) -> Tensor:
        config = self.config
        x = self.patch_embedding(pixel_values)
        x = join(x, self.class_embedding.expand(len(x), 1, -1))
        x = self.layernorm_pre(x + self.positional_embedding_vlm)
        head_dim = config.hidden_size // config.num_heads
        rotation = encoder.patch_rotation(config.patches_per_side, head_dim, config.rope_theta)
        return self.vision_adapter(leave(self.layernorm_post(self.model(x, rotation))))

    return replaced_method(VisionModel, "forward", lambda _: forward)


@mutant("the class token comes first", "vision", "model.images")
def class_token_first(model: Llama4) -> Change:
    return _tower(lambda patch, token: torch.cat([token, patch], dim=1), lambda encoded: encoded[:, 1:])


@mutant("the first patch is dropped instead of the class token", "vision", "model.images")
def wrong_token_dropped(model: Llama4) -> Change:
    return _tower(lambda patch, token: torch.cat([patch, token], dim=1), lambda encoded: encoded[:, 1:])


@mutant("pixel shuffle reads a square by columns", "vision.pixel_shuffle", "vision.adapter", "vision")
def shuffle_by_columns(model: Llama4) -> Change:
    def by_columns(x: Tensor, shuffle: int) -> Tensor:
        side = round(x.shape[1] ** 0.5)
        grid = x.unflatten(1, (side // shuffle, shuffle, side // shuffle, shuffle))
        return grid.permute(0, 1, 3, 4, 2, 5).flatten(3).flatten(1, 2)

    return replaced(adapter.pixel_shuffle, lambda _: by_columns)


@mutant("pixel shuffle puts tokens in columns", "vision.pixel_shuffle", "vision.adapter", "vision")
def shuffled_tokens_by_columns(model: Llama4) -> Change:
    side = model.vision_model.config.patches_per_side // model.vision_model.config.shuffle
    return replaced(
        adapter.pixel_shuffle,
        lambda original: (
            lambda x, shuffle: original(x, shuffle).unflatten(1, (side, side)).transpose(1, 2).flatten(1, 2)
        ),
    )


@mutant("the adapter has no GELU at its end", "vision.adapter_mlp", "vision.adapter", "vision")
def no_last_gelu(model: Llama4) -> Change:
    def forward(self: adapter.AdapterMLP, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))

    return replaced_method(adapter.AdapterMLP, "forward", lambda _: forward)


def _fuse(make: Any) -> Change:
    """Other fusion: `make(fuse, embeddings, is_patch, image_tokens)`."""
    return replaced(fusion.fuse, lambda original: lambda *arguments: make(original, *arguments))


@mutant("tiles enter the text in reverse order", "fusion", "fusion.embeddings")
def tiles_reversed(model: Llama4) -> Change:
    return _fuse(lambda fuse, embeddings, is_patch, image_tokens: fuse(embeddings, is_patch, image_tokens.flip(0)))


@mutant("image tokens are added to the patch token's embedding", "fusion", "fusion.embeddings", "model.images")
def image_tokens_added(model: Llama4) -> Change:
    return _fuse(
        lambda fuse, embeddings, is_patch, image_tokens: (
            fuse(embeddings, is_patch, image_tokens) + embeddings * is_patch[..., None]
        )
    )


@mutant("image tokens come one place early", "fusion", "fusion.embeddings", "model.images")
def image_tokens_early(model: Llama4) -> Change:
    return _fuse(
        lambda fuse, embeddings, is_patch, image_tokens: fuse(embeddings, is_patch.roll(-1, dims=1), image_tokens)
    )


@mutant("the projector sees normalised image tokens", "fusion.projector", "fusion.embeddings")
def projector_normalises(model: Llama4) -> Change:
    return replaced_method(
        fusion.Projector, "forward", lambda forward: lambda self, x: forward(self, F.layer_norm(x, x.shape[-1:]))
    )
