"""Every mistake is caught by every piece that is to catch it, and undone afterwards."""

import pytest
import torch

from llama4_explained import attention, masks, norms, rope
from llama4_explained.check.mutants import MUTANTS, is_killed
from llama4_explained.check.mutation import Mutant, all_of, replaced, replaced_method
from llama4_explained.check.pieces import PIECES
from llama4_explained.norms import RMSNorm
from tiny_checks import check_of, tiny


@pytest.mark.parametrize("name", MUTANTS)
def test_killed(name):
    mutant = MUTANTS[name]
    checks = {piece: check_of(piece) for piece in mutant.caught_by}
    assert is_killed(mutant, checks)
    first = checks[mutant.caught_by[0]]
    assert first.result().passed, "the mistake is still there"


def test_enough_of_them():
    assert len(MUTANTS) >= 80
    assert all(mutant.caught_by and set(mutant.caught_by) <= set(PIECES) for mutant in MUTANTS.values())


def test_every_piece_catches_something():
    assert {piece for mutant in MUTANTS.values() for piece in mutant.caught_by} == set(PIECES)


def test_a_change_that_is_no_mistake_survives():
    """QK norm before RoPE is the same mathematics: a check that saw it would see rounding."""
    rms_normalize, eps = norms.rms_normalize, tiny().text.rms_norm_eps
    norm_first = all_of(
        replaced(rope.rotate_pairs, lambda rotate: lambda x, angles: rotate(rms_normalize(x, eps), angles)),
        replaced(rms_normalize, lambda original: lambda x, eps: x if x.ndim == 4 else original(x, eps)),
    )
    harmless = Mutant("QK norm before RoPE", ("attention.chunked_rope",), lambda model: norm_first)
    assert is_killed(harmless, {"attention.chunked_rope": check_of("attention.chunked_rope")}) is False


def test_a_mutant_without_checks_is_neither():
    assert is_killed(next(iter(MUTANTS.values())), {}) is None


def test_replaced_everywhere_and_put_back():
    original = masks.allowed_keys
    with replaced(original, lambda _: torch.add):
        assert masks.allowed_keys is attention.allowed_keys is torch.add
    assert masks.allowed_keys is attention.allowed_keys is original


def test_method_put_back_after_an_error():
    original = RMSNorm.forward
    with pytest.raises(KeyError), replaced_method(RMSNorm, "forward", lambda forward: lambda self, x: x):
        assert RMSNorm(3)("same") == "same"
        raise KeyError
    assert RMSNorm.forward is original
