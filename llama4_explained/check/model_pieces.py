"""The pieces that need a whole model: logits, the cache, padded batches, training, generation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from transformers import DynamicCache

from .. import fusion, generate, kv_cache, loss, masks
from ..model import Llama4, Llama4Text
from ..text_model import TextModel
from .hf_versions import with_cache
from .places import layers
from .registry import Case, piece
from .setups import Setup
from .twins import double


@piece("hidden_states", "07_moe", TextModel, "Llama4TextModel")
def hidden_states(setup: Setup) -> Case | None:
    """All decoder layers and the final norm, from embeddings."""
    if setup.large:  # `model.text` shows it too
        return None
    return Case(
        lambda model, x: model.language_model.model(x),
        lambda model, x: model.language_model.model(inputs_embeds=x, use_cache=False).last_hidden_state,
        (setup.normal(setup.batch, setup.num_tokens, setup.text.hidden_size),),
    )


@piece("model.text", "07_moe", Llama4Text, "Llama4ForCausalLM")
def text_logits(setup: Setup) -> Case:
    """The language half alone, from token ids to logits."""
    return Case(
        lambda model, ids: model.language_model(ids),
        lambda model, ids: model.language_model(input_ids=ids, use_cache=False).logits,
        (setup.token_ids(setup.batch, setup.num_tokens),),
    )


@piece("fusion.embeddings", "11_early_fusion", fusion.fuse, "Llama4ForConditionalGeneration")
def fused_embeddings(setup: Setup) -> Case:
    """Pixels through the tower and the projector into their places in the text: what the first layer sees."""

    class Seen(Exception):
        """HF fuses inside its forward pass, which has nothing more to say after that."""

    def stop(inputs_embeds: Tensor, **inputs: Any) -> None:
        raise Seen(inputs_embeds)

    def theirs(model: Any, ids: Tensor, pixel_values: Tensor) -> Tensor:
        with mock.patch.object(model.language_model, "forward", stop):
            try:
                model(input_ids=ids, pixel_values=pixel_values)
            except Seen as seen:
                return seen.args[0]
        raise AssertionError("HF's forward pass did not reach its language model")

    return Case(lambda model, ids, pixel_values: model.embed(ids, pixel_values), theirs, setup.with_images())


@piece("model.images", "11_early_fusion", Llama4, "Llama4ForConditionalGeneration")
def image_logits(setup: Setup) -> Case:
    """Everything: several images of several tiles in one text, from ids and pixels to logits."""
    return Case(
        lambda model, ids, pixel_values: model(ids, pixel_values),
        lambda model, ids, pixel_values: model(input_ids=ids, pixel_values=pixel_values, use_cache=False).logits,
        setup.with_images(),
    )


@piece("cache.segments", "08_kv_cache", kv_cache.KVCache, "transformers.cache_utils.DynamicCache")
def segments(setup: Setup) -> Case:
    """A prompt given in parts that end before, behind and on a chunk edge, and inside a chunk."""
    chunk, num_tokens = setup.chunk, setup.num_tokens
    ends = sorted({chunk - 1, chunk + 1, 2 * chunk + chunk // 2, 3 * chunk, num_tokens} - {0})

    def ours(model: Llama4, ids: Tensor) -> Tensor:
        cache = kv_cache.KVCache(model.text_config)
        return torch.cat([model(ids[:, start:end], cache=cache) for start, end in _spans(ends)], dim=1)

    def theirs(model: Any, ids: Tensor) -> Tensor:
        cache = DynamicCache(config=model.config.text_config)
        parts = [model(input_ids=ids[:, a:b], use_cache=True, **with_cache(cache)) for a, b in _spans(ends)]
        return torch.cat([part.logits for part in parts], dim=1)

    return Case(ours, theirs, (setup.token_ids(setup.batch, num_tokens),))


@piece("cache.decode", "08_kv_cache", kv_cache.KVCache, "transformers.cache_utils.DynamicCache")
def decode(setup: Setup) -> Case:
    """Token by token over chunk edges, after a prompt that ends shortly before one."""
    prompt = max(1, 3 * setup.chunk - 3)
    ends = [prompt, *range(prompt + 1, prompt + setup.decode_steps + 1)]

    def ours(model: Llama4, ids: Tensor) -> Tensor:
        cache = kv_cache.KVCache(model.text_config)
        parts = [model(ids[:, start:end], cache=cache, logits_to_keep=1) for start, end in _spans(ends)]
        return torch.cat(parts, dim=1)

    def theirs(model: Any, ids: Tensor) -> Tensor:
        cache = DynamicCache(config=model.config.text_config)
        arguments = {"use_cache": True, "logits_to_keep": 1, **with_cache(cache)}
        return torch.cat([model(input_ids=ids[:, a:b], **arguments).logits for a, b in _spans(ends)], dim=1)

    return Case(ours, theirs, (setup.token_ids(setup.batch, ends[-1]),))


def _spans(ends: list[int]) -> list[tuple[int, int]]:
    return list(zip([0, *ends[:-1]], ends, strict=True))


@piece("batch.left_padding", "08_kv_cache", masks.positions_from_mask, "Llama4ForConditionalGeneration",
       float32_only=True)  # fmt: skip
def left_padding(setup: Setup) -> Case:
    """Three texts of different lengths in one batch, then some steps more: each row is what HF gives for it alone.

    Differs: HF's own padded batch is not; its temperature counts the padding.
    """
    steps = setup.decode_steps
    ids, mask, lengths = _padded(setup, steps)
    prompt = ids.shape[1] - steps

    def ours(model: Llama4, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        cache = kv_cache.KVCache(model.text_config)
        parts = [model(ids[:, :prompt], attention_mask=mask[:, :prompt], cache=cache)]
        parts += [model(ids[:, i : i + 1], cache=cache) for i in range(prompt, prompt + steps)]
        logits = torch.cat(parts, dim=1)
        return {f"row {i}": logits[i, -length:] for i, length in enumerate(lengths)}

    def theirs(model: Any, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        rows = (model(input_ids=ids[i : i + 1, -length:], use_cache=False) for i, length in enumerate(lengths))
        return {f"row {i}": row.logits[0] for i, row in enumerate(rows)}

    return Case(ours, theirs, (ids, mask))


@piece("batch.hf_padding", "08_kv_cache", masks.positions_from_mask, "Llama4ForConditionalGeneration",
       float32_only=True)  # fmt: skip
def hf_padding(setup: Setup) -> Case | None:
    """The same batch against HF's padded batch, with the temperature off in both."""
    if setup.large:  # `batch.left_padding` shows it too
        return None
    ids, mask, lengths = _padded(setup, 0)

    def real_rows(logits: Tensor) -> dict[str, Tensor]:
        return {f"row {i}": logits[i, -length:] for i, length in enumerate(lengths)}

    def ours(model: Llama4, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        with _without_temperature(model):
            return real_rows(model(ids, attention_mask=mask))

    def theirs(model: Any, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        with _without_temperature(model):
            return real_rows(model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits)

    return Case(ours, theirs, (ids, mask))


def _padded(setup: Setup, extra: int) -> tuple[Tensor, Tensor, list[int]]:
    """Three rows: the longest, one that is shorter by an odd part of a chunk, and one of two tokens."""
    lengths = [setup.num_tokens, setup.num_tokens - setup.chunk - 1, 2]
    lengths = [length + extra for length in lengths]
    ids = setup.token_ids(3, lengths[0])
    mask = (torch.arange(lengths[0]) >= torch.tensor([lengths[0] - length for length in lengths])[:, None]).long()
    pad = setup.text.pad_id if setup.text.pad_id is not None else 0
    return ids.masked_fill(mask == 0, pad), mask, lengths


@contextmanager
def _without_temperature(model: Any) -> Iterator[None]:
    """Switch the temperature of NoPE layers off, in ours (a config) or HF's (an attribute)."""
    modules = [layer.self_attn for layer in layers(model)]
    name = "config" if isinstance(model, Llama4) else "attn_temperature_tuning"
    saved = [getattr(module, name) for module in modules]
    for module, value in zip(modules, saved, strict=True):
        off = dataclasses.replace(value, temperature_tuning=False) if isinstance(model, Llama4) else False
        setattr(module, name, off)
    try:
        yield
    finally:
        for module, value in zip(modules, saved, strict=True):
            setattr(module, name, value)


@piece("loss", "16_training", loss.next_token_loss, "transformers.loss.loss_utils.ForCausalLMLoss", float32_only=True)
def training_loss(setup: Setup) -> Case:
    """Mean cross-entropy of the next token, for eight texts, the first tokens of each not counted."""
    vocabulary = setup.text.vocab_size
    labels = setup.token_ids(8, 19)
    labels = labels.masked_fill(torch.arange(19) < torch.arange(8)[:, None], loss.IGNORED)

    def theirs(model: Any, logits: Tensor, labels: Tensor) -> Tensor:
        arguments = [{"logits": a[None], "labels": b[None]} for a, b in zip(logits, labels, strict=True)]
        function = model.language_model.loss_function
        return torch.stack([function(vocab_size=vocabulary, **argument) for argument in arguments])

    return Case(
        lambda model, logits, labels: torch.stack(
            [loss.next_token_loss(a[None], b[None]) for a, b in zip(logits, labels, strict=True)]
        ),
        theirs,
        (setup.normal(8, 19, vocabulary), labels),
    )


@piece("gradients", "16_training", Llama4, "Llama4ForConditionalGeneration", float32_only=True)
def gradients(setup: Setup) -> Case | None:
    """The loss of a text with images, and its gradient for every weight of the model."""
    if setup.large:  # they need as much memory again as the weights
        return None
    ids, pixel_values = setup.with_images()
    labels = ids.masked_fill(ids == setup.config.patch_id, loss.IGNORED)

    def gradients_of(model: Any, value: Tensor) -> dict[str, Tensor]:
        value.backward()
        named = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        model.zero_grad(set_to_none=True)
        return named

    def ours(model: Llama4, ids: Tensor, pixel_values: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with torch.enable_grad():
            return gradients_of(model, loss.next_token_loss(model(ids, pixel_values), labels))

    def theirs(model: Any, ids: Tensor, pixel_values: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with torch.enable_grad():
            return gradients_of(model, model(input_ids=ids, pixel_values=pixel_values, labels=labels).loss)

    def theirs_wide(model: Any, *inputs: Tensor) -> dict[str, Tensor]:
        return theirs(double(model), *inputs)

    return Case(ours, theirs, (ids, pixel_values, labels), theirs_wide)


@piece("generate", "12_generation", generate.generate, "transformers.generation.GenerationMixin.generate",
       exact=True, float32_only=True)  # fmt: skip
def greedy(setup: Setup) -> Case:
    """Greedy generation over chunk edges, from text and from images: token for token."""
    text_ids = setup.token_ids(1, setup.chunk - 1)
    image_ids, pixel_values = setup.with_images()
    new = setup.greedy_tokens

    def ours(model: Llama4, text_ids: Tensor, image_ids: Tensor, pixel_values: Tensor) -> dict[str, Tensor]:
        settings: dict[str, Any] = {"max_new_tokens": new, "stop_ids": ()}
        return {
            "text": model.generate(text_ids, **settings),
            "images": model.generate(image_ids, pixel_values=pixel_values, **settings),
        }

    def theirs(model: Any, text_ids: Tensor, image_ids: Tensor, pixel_values: Tensor) -> dict[str, Tensor]:
        model.generation_config.eos_token_id = None  # all of the tokens are to be compared
        settings = {"max_new_tokens": new, "do_sample": False}
        mask = torch.ones_like(image_ids)
        return {
            "text": model.generate(text_ids, attention_mask=torch.ones_like(text_ids), **settings),
            "images": model.generate(image_ids, attention_mask=mask, pixel_values=pixel_values, **settings),
        }

    return Case(ours, theirs, (text_ids, image_ids, pixel_values))
