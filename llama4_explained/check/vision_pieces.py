"""The pieces from pixels to image tokens, and their way into the text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.models.llama4 import modeling_llama4 as hf

from .. import fusion
from ..vision import VisionModel, adapter, encoder, patches
from .registry import Case, piece
from .setups import Setup


def our_rotation(setup: Setup) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every patch, as `VisionModel` gives them to its layers."""
    vision = setup.config.vision
    return encoder.patch_rotation(vision.patches_per_side, vision.hidden_size // vision.num_heads, vision.rope_theta)


def hf_rotation(model: Any) -> Tensor:
    """HF's complex counterpart, computed anew, because inside `in_float64` it is then more precise."""
    rotary = model.vision_model.rotary_embedding
    return rotary._compute_freqs_ci(rotary.config)


def _patch_states(setup: Setup) -> Tensor:
    """Hidden states of all patches and the class token of two tiles.  [2, P + 1, Dv]"""
    return setup.normal(2, setup.config.vision.num_patches + 1, setup.config.vision.hidden_size)


@piece("vision.cut", "09_tiles_and_patches", patches.cut_into_patches, "Llama4UnfoldConvolution", exact=True)
def cut(setup: Setup) -> Case:
    """Tiles cut into patches: only the order of numbers changes."""
    return Case(
        lambda model, tiles: patches.cut_into_patches(tiles, setup.config.vision.patch_size),
        lambda model, tiles: model.vision_model.patch_embedding.unfold(tiles).transpose(1, 2),
        (setup.pixel_values(2),),
    )


@piece("vision.patches", "09_tiles_and_patches", patches.PatchEmbedding, "Llama4UnfoldConvolution")
def patch_embedding(setup: Setup) -> Case:
    """Every patch through one linear map."""
    run = lambda model, tiles: model.vision_model.patch_embedding(tiles)  # noqa: E731
    return Case(run, run, (setup.pixel_values(2),))


@piece("vision.rope", "10_vision_encoder", encoder.patch_rotation, "Llama4VisionRotaryEmbedding", float32_only=True)
def vision_rope(setup: Setup) -> Case:
    """The rotation of every patch by x and by y; the class token's is none."""

    def ours(model: Any) -> dict[str, Tensor]:
        cos, sin = our_rotation(setup)
        return {"cos": cos[0, :, 0], "sin": sin[0, :, 0]}

    def theirs(model: Any) -> dict[str, Tensor]:
        rotation = hf_rotation(model)[:, 0]
        return {"cos": rotation.real, "sin": rotation.imag}

    return Case(ours, theirs)


@piece("vision.attention", "10_vision_encoder", encoder.VisionAttention, "Llama4VisionAttention")
def vision_attention(setup: Setup) -> Case:
    """Every patch looks at every patch of its tile."""
    return Case(
        lambda model, x: model.vision_model.model.layers[0].self_attn(x, our_rotation(setup)),
        lambda model, x: model.vision_model.model.layers[0].self_attn(x, hf_rotation(model))[0],
        (_patch_states(setup),),
    )


@piece("vision.feed_forward", "10_vision_encoder", encoder.VisionFeedForward, "Llama4VisionMLP")
def vision_feed_forward(setup: Setup) -> Case:
    """Two linear maps with a GELU between."""
    run = lambda model, x: model.vision_model.model.layers[0].mlp(x)  # noqa: E731
    return Case(run, run, (_patch_states(setup),))


@piece("vision.layer", "10_vision_encoder", encoder.VisionLayer, "Llama4VisionEncoderLayer")
def vision_layer(setup: Setup) -> Case:
    """Attention and feed-forward with their layer norms."""
    return Case(
        lambda model, x: model.vision_model.model.layers[0](x, our_rotation(setup)),
        lambda model, x: model.vision_model.model.layers[0](x, hf_rotation(model))[0],
        (_patch_states(setup),),
    )


@piece("vision.encoder", "10_vision_encoder", encoder.VisionEncoder, "Llama4VisionEncoder")
def vision_encoder(setup: Setup) -> Case:
    """The stack of layers."""
    return Case(
        lambda model, x: model.vision_model.model(x, our_rotation(setup)),
        lambda model, x: model.vision_model.model(x, hf_rotation(model)).last_hidden_state,
        (_patch_states(setup),),
    )


@piece("vision.pixel_shuffle", "10_vision_encoder", adapter.pixel_shuffle, "pixel_shuffle", exact=True)
def pixel_shuffle(setup: Setup) -> Case:
    """Neighbouring patches become one token: only the order of numbers changes."""
    vision = setup.config.vision
    return Case(
        lambda model, x: adapter.pixel_shuffle(x, vision.shuffle),
        lambda model, x: hf.pixel_shuffle(x, vision.pixel_shuffle_ratio),
        (setup.normal(2, vision.num_patches, vision.hidden_size),),
    )


@piece("vision.adapter_mlp", "10_vision_encoder", adapter.AdapterMLP, "Llama4VisionMLP2")
def adapter_mlp(setup: Setup) -> Case:
    """Two linear maps with a GELU after each."""
    run = lambda model, x: model.vision_model.vision_adapter.mlp(x)  # noqa: E731
    return Case(run, run, (setup.normal(2, 9, setup.config.vision.mlp_width),))


@piece("vision.adapter", "10_vision_encoder", adapter.VisionAdapter, "Llama4VisionPixelShuffleMLP")
def vision_adapter(setup: Setup) -> Case:
    """Pixel shuffle, then the MLP."""
    run = lambda model, x: model.vision_model.vision_adapter(x)  # noqa: E731
    return Case(run, run, (setup.normal(2, setup.config.vision.num_patches, setup.config.vision.hidden_size),))


@piece("vision", "10_vision_encoder", VisionModel, "Llama4VisionModel")
def vision(setup: Setup) -> Case:
    """The whole tower, from pixels to image tokens."""
    return Case(
        lambda model, tiles: model.vision_model(tiles),
        lambda model, tiles: model.vision_model(tiles).last_hidden_state,
        (setup.pixel_values(sum(setup.tiles)),),
    )


@piece("fusion.projector", "11_early_fusion", fusion.Projector, "Llama4MultiModalProjector")
def projector(setup: Setup) -> Case:
    """From the adapter's width to the text's."""
    run = lambda model, x: model.multi_modal_projector(x)  # noqa: E731
    return Case(run, run, (setup.normal(9, setup.config.vision.adapter_width),))


@piece("fusion", "11_early_fusion", fusion.fuse, "Llama4ForConditionalGeneration.get_placeholder_mask", exact=True)
def fuse(setup: Setup) -> Case:
    """Image tokens take the places of patch tokens, tile by tile, and nothing else changes."""
    input_ids, _ = setup.with_images()
    text, vision = setup.text, setup.config.vision
    embeddings = setup.normal(*input_ids.shape, text.hidden_size)
    image_tokens = -setup.normal(sum(setup.tiles), vision.tokens_per_tile, text.hidden_size)

    def theirs(model: Any, input_ids: Tensor, embeddings: Tensor, image_tokens: Tensor) -> Tensor:
        mask = model.get_placeholder_mask(input_ids, embeddings, image_tokens)
        return embeddings.masked_scatter(torch.broadcast_to(mask, embeddings.shape), image_tokens)

    return Case(
        lambda model, ids, x, image: fusion.fuse(x, ids == model.config.patch_id, image),
        theirs,
        (input_ids, embeddings, image_tokens),
    )
