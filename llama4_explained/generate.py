"""Writing text: run the prompt once, then choose one token after another.

Shapes: B batch, T tokens of the prompt, V vocabulary.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .errors import UserError
from .kv_cache import KVCache

# A long prompt runs in pieces, so that the memory of its activations does not grow with it.
PREFILL_SEGMENT = 4096


def choose_token(
    logits: Tensor,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The next token of every row: the likeliest at temperature 0, else drawn from the distribution.

    Shapes: logits [B, V] -> int64 [B].
    Units:  temperature divides logits; `top_k` keeps that many tokens; `top_p` keeps the fewest whose probabilities
        sum to at least that.
    Source: HF's logits warpers, in their order: temperature, top-k, top-p.
    """
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits.float() / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], float("-inf"))
    if top_p is not None and top_p < 1:
        ordered, index = logits.sort(descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)  # probability of all likelier tokens
        logits = logits.masked_fill((before >= top_p).gather(-1, index.argsort(-1)), float("-inf"))
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


@torch.no_grad()
def generate_tokens(
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    pixel_values: Tensor | None = None,
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_ids: Sequence[int] | None = None,
    cache: KVCache | None = None,
) -> Iterator[Tensor]:
    """One token of every row at a time, int64 [B], until every row has stopped; see `generate`."""
    config = model.text_config
    stopping = config.eos_ids if stop_ids is None else tuple(stop_ids)
    _check_settings(max_new_tokens, temperature, top_k, top_p)
    if input_ids.ndim != 2 or input_ids.numel() == 0:
        raise UserError(f"the prompt is empty: input_ids is {list(input_ids.shape)}, expected [batch, tokens]")
    if attention_mask is not None and attention_mask.shape != input_ids.shape:
        raise UserError(
            f"attention_mask is {list(attention_mask.shape)}; expected {list(input_ids.shape)}, as input_ids"
        )
    if attention_mask is not None and not bool(attention_mask[:, -1].all()):
        raise UserError("a padded batch must be padded on the left: the last token of every row must be a real one")
    if input_ids.shape[1] + max_new_tokens > config.max_positions:
        raise UserError(
            f"{input_ids.shape[1]} tokens of prompt and {max_new_tokens} new ones exceed the context of "
            f"{config.max_positions}"
        )
    goes_on = cache is not None  # the caller may add a turn: the padding of finished rows must be known as padding
    cache = KVCache(config) if cache is None else cache
    model.require_ids(input_ids)  # all of them before any is computed: a cache shall not end inside a bad prompt
    new_ids, pixel_values = _unseen(model, input_ids, pixel_values, cache)
    generator = None if seed is None else torch.Generator(input_ids.device).manual_seed(seed)
    stops = torch.tensor(stopping, dtype=torch.long, device=input_ids.device)
    pad = config.pad_id if config.pad_id is not None else next(iter(stopping), 0)
    finished = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    for embeddings in model.embed_in_segments(new_ids, pixel_values, PREFILL_SEGMENT):
        start = cache.length
        mask = None if attention_mask is None else attention_mask[:, start : start + embeddings.shape[1]]
        logits = model.logits(embeddings, attention_mask=mask, cache=cache, logits_to_keep=1)
    cache.token_ids = input_ids
    for step in range(max_new_tokens):
        real = ~finished[:, None] if goes_on else None  # [B, 1]
        token = choose_token(logits[:, -1], temperature, top_k, top_p, generator).masked_fill(finished, pad)
        yield token
        finished = finished | torch.isin(token, stops)
        if step + 1 == max_new_tokens or bool(finished.all()):
            return
        # Not model(token): should the model write a patch token itself, that is text without an image.
        logits = model.logits(model.embed_text(token[:, None]), attention_mask=real, cache=cache)
        cache.token_ids = torch.cat([cache.token_ids, token[:, None]], dim=1)


def generate(model: Any, input_ids: Tensor, **settings: Any) -> Tensor:
    """The prompt and what the model writes after it.

    Shapes: input_ids int64 [B, T] -> int64 [B, T + new]. Rows that stop early end in padding.
    Units:  max_new_tokens in tokens; temperature 0 = always the likeliest token.
    Errors: UserError for an empty prompt, padding on the right, a context that is too short, settings out of range, or
        a cache that holds another conversation. Ctrl-C returns what has been written so far, with a warning.
    Source: HF `GenerationMixin.generate`.

    `attention_mask` [B, T] marks padding, which must be on the left. `stop_ids`: None = the config's, () = never stop.
    `cache`: a `KVCache` of earlier turns of the same conversation; input_ids is still the whole conversation, and only
    what the cache has not seen is computed.
    """
    written = [input_ids]
    try:
        for token in generate_tokens(model, input_ids, **settings):
            written.append(token[:, None])
    except KeyboardInterrupt:
        warnings.warn(f"interrupted after {len(written) - 1} new tokens, which are returned", stacklevel=2)
    return torch.cat(written, dim=1)


def stream(model: Any, input_ids: Tensor, *, processor: Any, **settings: Any) -> Iterator[str]:
    """What the model writes, as pieces of text; no piece ends inside a character. One conversation only.

    Errors: as `generate`, and UserError for a batch.
    """
    if len(input_ids) != 1:
        raise UserError(f"stream writes one conversation at a time, got {len(input_ids)}: use generate")
    stop_ids = settings.get("stop_ids")
    stop_ids = model.text_config.eos_ids if stop_ids is None else stop_ids
    decoder = processor.stream_decoder()
    for token in generate_tokens(model, input_ids, **settings):
        if int(token) in stop_ids:
            break
        if piece := decoder.push(int(token)):
            yield piece
    if piece := decoder.flush():
        yield piece


def _unseen(model: Any, input_ids: Tensor, pixel_values: Tensor | None, cache: KVCache) -> tuple[Tensor, Tensor | None]:
    """The part of a conversation, and of its tiles, that the cache has not seen."""
    seen = cache.length
    if seen == 0:
        return input_ids, pixel_values
    held = cache.token_ids
    if held is None or held.shape[1] != seen:
        raise UserError("the cache was filled by other means than generate; give it to model(...) instead")
    if input_ids.shape[1] <= seen or not torch.equal(input_ids[:, :seen], held):
        raise UserError(f"the conversation does not continue what the cache holds ({seen} tokens): make a new KVCache")
    if pixel_values is not None and model.config is not model.text_config:
        is_patch, per_tile = input_ids == model.config.patch_id, model.config.vision.tokens_per_tile
        if int(is_patch.sum()) != len(pixel_values) * per_tile:
            raise UserError(
                f"the conversation has {int(is_patch.sum())} patch tokens, its {len(pixel_values)} tiles make "
                f"{len(pixel_values) * per_tile}: pass the tiles of all turns, in order"
            )
        tile = (is_patch.flatten().cumsum(0) - 1).view_as(input_ids).div(per_tile, rounding_mode="floor")
        unseen = tile[:, seen:][is_patch[:, seen:]].unique()
        pixel_values = pixel_values[unseen.to(pixel_values.device)] if len(unseen) else None
    return input_ids[:, seen:], pixel_values


def _check_settings(max_new_tokens: int, temperature: float, top_k: int | None, top_p: float | None) -> None:
    if max_new_tokens < 1:
        raise UserError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    if not temperature >= 0:
        raise UserError(f"temperature must be 0 (always the likeliest token) or more, got {temperature}")
    if top_k is not None and top_k < 1:
        raise UserError(f"top_k must be at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise UserError(f"top_p must be in (0, 1], got {top_p}")
