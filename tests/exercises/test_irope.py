"""The checkers of lesson 05 accept what is right, however it is written, and see through every mistake."""

import math
from contextlib import nullcontext

import pytest
import torch

from exercise_checks import assert_accepts, assert_tells_apart, exercises_of
from llama4_explained import attention, masks, rope
from llama4_explained.check.mutants import MUTANTS
from llama4_explained.config import TextConfig
from llama4_explained.exercises import irope as lesson
from llama4_explained.kv_cache import KVCache, place_tokens

EXERCISES = exercises_of(lesson)


def package_first_and_factor(position, uses_rope, chunk_size, floor_scale):
    positions = torch.arange(position + 1)[None]
    seen = masks.allowed_keys(positions[:, -1:], positions, chunk_size if uses_rope else None)
    factor = attention.query_temperature(positions[:, -1:], floor_scale, 0.1)
    return int(seen[0, 0].nonzero()[0]), 1.0 if uses_rope else factor.item()


def counted_first_and_factor(position, uses_rope, chunk_size, floor_scale):
    if uses_rope:
        return position - position % chunk_size, 1
    return 0, 1 + 0.1 * math.log(1 + (position + 1) // floor_scale)


def package_padded_chunks(attention_mask, chunk_size):
    positions = masks.positions_from_mask(attention_mask)
    return masks.allowed_keys(positions, positions, chunk_size)


def loop_padded_chunks(attention_mask, chunk_size):
    allowed = torch.zeros(*attention_mask.shape, attention_mask.shape[1])
    for row, real in enumerate(attention_mask.tolist()):
        first = real.index(1)
        for query in range(first, len(real)):
            start = first + (query - first) // chunk_size * chunk_size
            allowed[row, query, start : query + 1] = 1
    return allowed


def package_keys_to_keep(num_seen, chunk_size):
    config = TextConfig(num_layers=1, chunk_size=chunk_size)
    cache, new = KVCache(config), torch.zeros(1, 1, num_seen, 2)
    cache.begin(place_tokens((1, num_seen), torch.device("cpu"), cache), 1)
    cache.update(0, new, new)
    cache.finish()
    return cache.layers[0].length


def loop_keys_to_keep(num_seen, chunk_size):
    return sum(1 for key in range(num_seen) if chunk_size is None or key // chunk_size == num_seen // chunk_size)


def package_window_reach(num_tokens, window, num_layers):
    seen = masks.causal_mask(num_tokens) & torch.ones(num_tokens, num_tokens, dtype=torch.bool).triu(1 - window)
    reach = torch.eye(num_tokens)
    for _ in range(num_layers):
        reach = ((seen.float() @ reach) > 0).float()
    return reach


def counted_window_reach(num_tokens, window, num_layers):
    far = num_layers * (window - 1)
    return torch.tensor([[0 <= query - key <= far for key in range(num_tokens)] for query in range(num_tokens)])


def package_score(query, key, query_position, key_position, frequencies):
    rotation = rope.rotation_angles(torch.tensor([[query_position - key_position]]), frequencies)
    query = rope.rotate_pairs(query[None, None], rotation)[0, 0]
    return (query * key.repeat_interleave(len(query) // len(key), dim=0)).sum(-1) / math.sqrt(query.shape[-1])


def complex_score(query, key, query_position, key_position, frequencies):
    turn = torch.exp(1j * (query_position - key_position) * frequencies)
    query = torch.view_as_complex(query.unflatten(-1, (-1, 2))) * turn  # [H, Dh/2]
    key = torch.view_as_complex(key.unflatten(-1, (-1, 2)))
    group = len(query) // len(key)
    scores = [(query[head] * key[head // group].conj()).real.sum() for head in range(len(query))]
    return torch.stack(scores) / (2 * query.shape[-1]) ** 0.5


RIGHT = {
    "first key and factor": (package_first_and_factor, counted_first_and_factor),
    "chunks of a padded batch": (package_padded_chunks, loop_padded_chunks),
    "keys to keep": (package_keys_to_keep, loop_keys_to_keep),
    "reach of windows": (package_window_reach, counted_window_reach),
    "score by difference": (package_score, complex_score),
}
CHUNK_MUTANTS = ["chunks are ignored", "a sliding window instead of chunks", "chunks begin one token late"]
MUTATED = {
    "first key and factor": [
        *CHUNK_MUTANTS,
        "temperature is missing",
        "temperature steps come one token late",
        "temperature with log instead of log1p",
    ],
    "chunks of a padded batch": [
        *CHUNK_MUTANTS,
        "tokens see the next token",
        "padding is seen",
        "positions count padding",
    ],
    "keys to keep": [
        "the cache of a chunk keeps one token too few",
        "the cache of a chunk is dropped one token early",
    ],
    "reach of windows": ["tokens see the next token"],
    "score by difference": ["RoPE pairs halves instead of neighbours", "RoPE turns the other way"],
}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_written_differently(exercise):
    assert_accepts(exercise, RIGHT[exercise.name])


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_misconceptions_are_told_apart(exercise):
    assert_tells_apart(exercise)


@pytest.mark.parametrize(
    ("name", "mutant"), [(name, mutant) for name, mutants in MUTATED.items() for mutant in mutants]
)
def test_mutants_are_rejected(name, mutant):
    exercise = next(exercise for exercise in EXERCISES if exercise.name == name)

    def answer(change):
        def mutated(*inputs):
            with change():
                return RIGHT[name][0](*inputs)

        return mutated

    assert exercise.check(answer(nullcontext)).is_right
    verdict = exercise.check(answer(lambda: MUTANTS[mutant].applied_to(None)))
    assert not verdict.is_right and "raises" not in verdict.text
