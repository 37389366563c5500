"""Exercises of lesson 11: where image tokens go, and what comes with them.

Shapes: B texts, T tokens, D hidden, N tiles, K image tokens a tile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Llama4ForConditionalGeneration
from transformers.models.llama4.modeling_llama4 import Llama4MultiModalProjector

from .exercise import NOT_TRIED, Exercise, Misconception, Verdict
from .image_cost import image_cost as image_cost

PATCH_ID, AUDIO_ID = 7, 8  # in the texts of these exercises; all other ids are below


def _sizes() -> Iterator[tuple[torch.Generator, int, int, int, int]]:
    """N, K, texts and D of each input, from one tile of one token on; a tile lies in one text."""
    for seed, sizes in enumerate(((1, 1, 1, 2), (1, 3, 1, 2), (2, 2, 1, 3), (3, 2, 3, 4), (5, 4, 2, 8))):
        yield torch.Generator().manual_seed(seed), *sizes


def _text(generator: torch.Generator, tiles: int, tokens_per_tile: int) -> list[int]:
    """Tiles with some words before, between and after them."""
    ids = [token for _ in range(tiles) for token in [*_words(generator), *[PATCH_ID] * tokens_per_tile]]
    return ids + _words(generator)


def _words(generator: torch.Generator) -> list[int]:
    """One to three ids that are words."""
    return torch.randint(PATCH_ID, (3,), generator=generator).tolist()[int(torch.randint(3, (), generator=generator)) :]


def _texts(generator: torch.Generator, tiles: int, tokens_per_tile: int, number: int) -> Tensor:
    """int64 [B, T]: texts with `tiles` tiles together; the shorter ones end with more words."""
    shares = [tiles // number + (i < tiles % number) for i in range(number)]
    rows = [torch.tensor(_text(generator, share, tokens_per_tile)) for share in shares]
    return pad_sequence(rows, batch_first=True)


# 1. Where are the image tokens?


def _places(input_ids: Tensor, patch_id: int, tokens_per_tile: int) -> Tensor:
    return (input_ids == patch_id).nonzero()[:, 0].view(-1, tokens_per_tile)


def _single_texts() -> Iterator[Sequence[Any]]:
    for generator, tiles, tokens_per_tile, _, _ in _sizes():
        yield torch.tensor(_text(generator, tiles, tokens_per_tile)), PATCH_ID, tokens_per_tile


def _from_the_first(input_ids: Tensor, patch_id: int, tokens_per_tile: int) -> Tensor:
    places = _places(input_ids, patch_id, tokens_per_tile)
    return places[0, 0] + torch.arange(places.numel()).view_as(places)


places = Exercise(
    "places",
    "the text itself has them",
    _places,
    _single_texts,
    "Every place i with input_ids[i] == patch_id, in order, and then one row for each tile.",
    (
        Misconception(
            "tiles follow each other without a gap",
            _from_the_first,
            "Your places run on from the first one. What stands between two tiles?",
        ),
        Misconception(
            "places are numbers of image tokens",
            lambda ids, patch_id, count: torch.arange(int((ids == patch_id).sum())).view(-1, count),
            "These number the image tokens. The question is where in the text each of them goes.",
        ),
        Misconception(
            "a list will do",
            lambda ids, patch_id, count: _places(ids, patch_id, count).tolist(),
            "The places are right, but in lists. Later code will index with them: return a tensor.",
        ),
    ),
)


# 2. Projection and fusion


def _project(seen: Tensor, weight: Tensor) -> Tensor:
    sizes: Any = SimpleNamespace(
        vision_config=SimpleNamespace(vision_output_dim=weight.shape[1]),
        text_config=SimpleNamespace(hidden_size=weight.shape[0]),
    )
    projector = Llama4MultiModalProjector(sizes)
    with torch.no_grad():
        projector.linear_1.weight.copy_(weight)
        return projector(seen)


def _put(embeddings: Tensor, input_ids: Tensor, patch_id: int, image_tokens: Tensor) -> Tensor:
    """As HF's forward pass does it.  image_tokens [N, K, D]"""
    tokens, ids = image_tokens.flatten(0, 1), cast(torch.LongTensor, input_ids)
    model: Any = SimpleNamespace(config=SimpleNamespace(image_token_id=patch_id))
    mask = Llama4ForConditionalGeneration.get_placeholder_mask(model, ids, embeddings, tokens)
    return embeddings.masked_scatter(torch.broadcast_to(mask, embeddings.shape), tokens)


def _put_text_by_text(embeddings: Tensor, input_ids: Tensor, patch_id: int, image_tokens: Tensor) -> Tensor:
    """Wrong: each text takes the first image tokens."""
    fused, tokens = embeddings.clone(), image_tokens.flatten(0, 1)
    for row, ids in zip(fused, input_ids, strict=True):
        row[ids == patch_id] = tokens[: int((ids == patch_id).sum())]
    return fused


def _to_fuse() -> Iterator[Sequence[Any]]:
    for generator, tiles, tokens_per_tile, number, hidden_size in _sizes():
        input_ids, width = _texts(generator, tiles, tokens_per_tile, number), hidden_size + 1
        embeddings = torch.randn(*input_ids.shape, hidden_size, generator=generator)
        seen = torch.randn(tiles, tokens_per_tile, width, generator=generator)
        yield embeddings, input_ids, PATCH_ID, seen, torch.randn(hidden_size, width, generator=generator)


def _fused(put: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Projection as it should be, and then `put(embeddings, input_ids, patch_id, projected image tokens)`."""
    return lambda x, ids, patch_id, seen, weight: put(x, ids, patch_id, _project(seen, weight))


fusion = Exercise(
    "fusion",
    "HF `Llama4ForConditionalGeneration`",
    _fused(_put),
    _to_fuse,
    "Project all that is seen. Then go through the places, text after text, and put the next image token there.",
    (
        Misconception(
            "image tokens are added",
            _fused(lambda x, ids, patch_id, image: _put(x, ids, patch_id, image) + x * (ids == patch_id)[..., None]),
            "You add to the patch tokens' embeddings. What of those should be left afterwards?",
        ),
        Misconception(
            "the last tile comes first",
            _fused(lambda x, ids, patch_id, image: _put(x, ids, patch_id, image.flip(0))),
            "The right places, but another tile's tokens. In which order do tiles come?",
        ),
        Misconception(
            "every text begins with the first image token",
            _fused(_put_text_by_text),
            "With one text you are right. Whose image tokens does the second text get?",
        ),
    ),
)


# 3. An error that says what is wrong


class _ErrorExercise(Exercise):
    """An exercise whose answer is a function that raises: what counts is when, and which numbers its error names."""

    def check(self, answer: Any) -> Verdict:
        verdict = super().check(answer)
        return verdict if verdict.text.endswith(NOT_TRIED) else super().check(what_it_raises(answer))


def what_it_raises(answer: Callable[..., Any]) -> Callable[..., str]:
    """A function that says in words what `answer` raises."""

    def said(input_ids: Tensor, patch_id: int, image_tokens: Tensor) -> str:
        try:
            answer(input_ids, patch_id, image_tokens)
        except NotImplementedError:
            raise
        except Exception as error:  # noqa: BLE001  any error may be the right one
            wanted, made = _places_and_tokens(input_ids, patch_id, image_tokens)
            if wanted == made:
                return f"an error, though both numbers are {made}"
            named = {int(number) for number in re.findall(r"\d+", str(error))} >= {wanted, made}
            return "an error that names both numbers" if named else f"an error without both numbers: {error}"
        return "no error"

    return said


def _places_and_tokens(input_ids: Tensor, patch_id: int, image_tokens: Tensor) -> tuple[int, int]:
    return int((input_ids == patch_id).sum()), image_tokens.shape[0] * image_tokens.shape[1]


def _require_places(input_ids: Tensor, patch_id: int, image_tokens: Tensor) -> None:
    wanted, made = _places_and_tokens(input_ids, patch_id, image_tokens)
    if wanted != made:
        raise ValueError(f"{wanted} places, {made} image tokens")


def _too_few(input_ids: Tensor, patch_id: int, image_tokens: Tensor) -> None:
    wanted, made = _places_and_tokens(input_ids, patch_id, image_tokens)
    if wanted > made:
        raise ValueError(f"{wanted} places, {made} image tokens")


def _first_text_alone(input_ids: Tensor, patch_id: int, image_tokens: Tensor) -> None:
    _require_places(input_ids[:1], patch_id, image_tokens)


def _pairs() -> Iterator[Sequence[Any]]:
    """Texts and images that fit, lack a tile, have a tile too many, and have 576 patches where 144 were meant."""
    for generator, tiles, tokens_per_tile, number, hidden_size in _sizes():
        input_ids = _texts(generator, tiles, tokens_per_tile, number)
        for made in (tiles, tiles - 1, tiles + 1):
            yield input_ids, PATCH_ID, torch.zeros(made, tokens_per_tile, hidden_size)
    yield torch.full((1, 144), PATCH_ID), PATCH_ID, torch.zeros(1, 576, 2)


require_places = _ErrorExercise(
    "require places",
    "the package does",
    what_it_raises(_require_places),
    _pairs,
    "Two numbers must be equal: places in all texts, and image tokens of all tiles. If not, say both in the error.",
    (
        Misconception(
            "only missing image tokens are an error",
            what_it_raises(_too_few),
            "Too few image tokens are noticed. What happens to those that are left over?",
        ),
        # An input on which a needless error came may be wrong in several ways. Each of these three is right on the
        # inputs before those that show it, so the one that shows last comes first.
        Misconception(
            "each text has all image tokens",
            what_it_raises(_first_text_alone),
            "With one text you are right. The image tokens are those of all texts: in which texts do you count places?",
        ),
        Misconception(
            "a tile is a token",
            what_it_raises(lambda ids, patch_id, image: _require_places(ids, patch_id, image[:, :1])),
            "You count tiles. How many image tokens does each of them have?",
        ),
        Misconception(
            "every number is a token",
            what_it_raises(lambda ids, patch_id, image: _require_places(ids, patch_id, image.reshape(1, -1, 1))),
            "You count numbers. An image token is a vector of D of them.",
        ),
        Misconception(
            "nobody makes this mistake",
            what_it_raises(lambda input_ids, patch_id, image_tokens: None),
            "On this input an error should have come, with both numbers in it.",
        ),
    ),
)


# 4. What does an image take? `image_cost` is next door.


# 5. Another sense


def _weave(x: Tensor, ids: Tensor, patch_id: int, image: Tensor, audio_id: int, audio: Tensor) -> Tensor:
    return _put(_put(x, ids, patch_id, image), ids, audio_id, audio[None])


def _heard() -> Iterator[Sequence[Any]]:
    for generator, tiles, tokens_per_tile, number, hidden_size in _sizes():
        seen, heard = _texts(generator, tiles, tokens_per_tile, number), torch.full((number, 3), AUDIO_ID)
        parts = [seen, heard] if tiles % 2 else [heard, seen]
        input_ids = torch.cat([*parts, torch.zeros(number, 1, dtype=torch.int64), heard[:, :1]], dim=1)
        embeddings = torch.randn(*input_ids.shape, hidden_size, generator=generator)
        image_tokens = torch.randn(tiles, tokens_per_tile, hidden_size, generator=generator)
        audio_tokens = torch.randn(4 * number, hidden_size, generator=generator)
        yield embeddings, input_ids, PATCH_ID, image_tokens, AUDIO_ID, audio_tokens


def _weave_in_one_queue(x: Tensor, ids: Tensor, patch_id: int, image: Tensor, audio_id: int, audio: Tensor) -> Tensor:
    is_place = (ids == patch_id) | (ids == audio_id)
    return x.masked_scatter(is_place[..., None], torch.cat([image.flatten(0, 1), audio]))


weave = Exercise(
    "weave",
    "the definition above says",
    _weave,
    _heard,
    "Each placeholder has places of its own and vectors of its own, which are used up in order.",
    (
        Misconception(
            "one queue for all senses",
            _weave_in_one_queue,
            "All vectors stand in one queue in your version. Which of them may an audio place take?",
        ),
        Misconception(
            "only images are replaced",
            lambda x, ids, patch_id, image, audio_id, audio: _put(x, ids, patch_id, image),
            "Images are where they belong. What do the layers get at the places of the other placeholder?",
        ),
    ),
)
