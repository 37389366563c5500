"""The checkers of lesson 11 accept what is right, however it is written, and see through every mistake."""

import pytest
import torch

from exercise_checks import assert_accepts, assert_tells_apart, exercises_of
from llama4_explained import fusion
from llama4_explained.chat import image_tokens as image_token_names
from llama4_explained.check.mutants import MUTANTS
from llama4_explained.config import Llama4Config, TextConfig, VisionConfig
from llama4_explained.exercises import early_fusion as lesson

EXERCISES = exercises_of(lesson)


def loop_places(input_ids, patch_id, tokens_per_tile):
    places = [i for i, token in enumerate(input_ids.tolist()) if token == patch_id]
    return torch.tensor([places[i : i + tokens_per_tile] for i in range(0, len(places), tokens_per_tile)])


def package_fusion(embeddings, input_ids, patch_id, seen, weight):
    hidden_size, width = weight.shape
    text = TextConfig(hidden_size=hidden_size)
    projector = fusion.Projector(Llama4Config(text=text, vision=VisionConfig(adapter_width=width)))
    projector.linear_1.weight.data = weight
    return fusion.fuse(embeddings, input_ids == patch_id, projector(seen))


def loop_fusion(embeddings, input_ids, patch_id, seen, weight):
    fused, number = embeddings.clone(), 0
    for row, text in enumerate(input_ids.tolist()):
        for place, token in enumerate(text):
            if token == patch_id:
                tile, of_tile = divmod(number, seen.shape[1])
                fused[row, place] = weight @ seen[tile, of_tile]
                number += 1
    return fused


def package_require_places(input_ids, patch_id, image_tokens):
    fusion.require_places(input_ids == patch_id, image_tokens)


def assert_places(input_ids, patch_id, image_tokens):
    places, made = input_ids.eq(patch_id).sum().item(), image_tokens.flatten(0, 1).shape[0]
    assert places == made, f"{made} image tokens have {places} places"


def counted_cost(rows, columns, tokens_per_tile, layers, kv_heads, head_dim):
    tiles = rows * columns
    tokens = tokens_per_tile + 3 if tiles == 1 else tokens_per_tile * (tiles + 1) + tiles + 3
    return tokens, tokens * layers * kv_heads * head_dim * 4


def named_cost(rows, columns, tokens_per_tile, layers, kv_heads, head_dim):
    tokens = len(image_token_names(rows, columns, tokens_per_tile))
    one_layer = torch.zeros(2, kv_heads, head_dim, dtype=torch.bfloat16)  # the key and value of one token
    return torch.tensor(tokens), tokens * layers * one_layer.nbytes


def loop_weave(embeddings, input_ids, patch_id, image_tokens, audio_id, audio_tokens):
    queues = {patch_id: list(image_tokens.flatten(0, 1)), audio_id: list(audio_tokens)}
    rows = [
        [queues[token].pop(0) if token in queues else old for token, old in zip(text, row, strict=True)]
        for text, row in zip(input_ids.tolist(), embeddings, strict=True)
    ]
    return torch.stack([torch.stack(row) for row in rows])


def fused_twice(embeddings, input_ids, patch_id, image_tokens, audio_id, audio_tokens):
    with_images = fusion.fuse(embeddings, input_ids == patch_id, image_tokens)
    return fusion.fuse(with_images, input_ids == audio_id, audio_tokens[None])


RIGHT = {
    "places": (loop_places, lambda ids, patch_id, count: torch.where(ids == patch_id)[0].reshape(-1, count)),
    "fusion": (package_fusion, loop_fusion),
    "require places": (package_require_places, assert_places),
    "image cost": (counted_cost, named_cost),
    "weave": (loop_weave, fused_twice),
}
# Of misconceptions that say in words what is raised: the functions that raise it.
AS_WRITTEN = {
    "only missing image tokens are an error": lesson._too_few,
    "each text has all image tokens": lesson._first_text_alone,
    "a tile is a token": lambda ids, patch_id, image: lesson._require_places(ids, patch_id, image[:, :1]),
    "every number is a token": lambda ids, patch_id, image: lesson._require_places(
        ids, patch_id, image.reshape(1, -1, 1)
    ),
    "nobody makes this mistake": lambda input_ids, patch_id, image_tokens: len(input_ids),
}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_written_differently(exercise):
    assert_accepts(exercise, RIGHT[exercise.name])


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_misconceptions_are_told_apart(exercise):
    assert_tells_apart(exercise, AS_WRITTEN)


@pytest.mark.parametrize(
    "mutant",
    [
        "tiles enter the text in reverse order",
        "image tokens are added to the patch token's embedding",
        "image tokens come one place early",
        "the projector sees normalised image tokens",
    ],
)
def test_mutants_are_rejected(mutant):
    def mutated(*inputs):
        with MUTANTS[mutant].applied_to(None):
            return package_fusion(*inputs)

    verdict = lesson.fusion.check(mutated)
    assert not verdict.is_right and ("instead of" in verdict.text or "raises" in verdict.text)


def test_an_error_must_name_both_numbers():
    def vague(input_ids, patch_id, image_tokens):
        if (input_ids == patch_id).sum() != image_tokens.shape[0] * image_tokens.shape[1]:
            raise ValueError("they do not fit")

    verdict = lesson.require_places.check(vague)
    assert not verdict.is_right and "an error without both numbers: they do not fit" in verdict.text


def each_row_alone(input_ids, patch_id, image_tokens):
    for row in input_ids:
        assert_places(row, patch_id, image_tokens)


def numel_is_counted(input_ids, patch_id, image_tokens):
    assert (input_ids == patch_id).sum() == image_tokens.numel(), "they do not fit"


@pytest.mark.parametrize(
    ("needless", "both", "hint"),
    [(each_row_alone, 6, "in which texts"), (numel_is_counted, 1, "a vector of D")],
)
def test_a_needless_error_is_called_so(needless, both, hint):
    verdict = lesson.require_places.check(needless)
    assert f"an error, though both numbers are {both}'" in verdict.text
    assert hint in verdict.text.rpartition("Hint: ")[2]


def test_a_blank_is_not_tried():
    def blank(input_ids, patch_id, image_tokens): ...

    assert lesson.require_places.check(blank).text == "require places: not tried yet"
