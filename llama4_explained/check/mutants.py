"""What would go unnoticed if the checks were weak: every mechanism made wrong on purpose.

A mutant is our model with one mistake, most of them mistakes that real implementations shipped with. It is killed if
every piece that it names fails; one that survives means that a check does not see its mechanism.

Some changes are no mistakes, because the mathematics does not change, and are no mutants:
- QK norm before RoPE: a rotation keeps the root mean square, so both orders agree to 2e-7.
- RoPE that counts positions from 1: only differences of positions matter.
- A cache that keeps more than the current chunk: the mask hides the rest.
- Experts' outputs summed in another order, and all experts run on zeros where they were not chosen.
"""

from __future__ import annotations

from . import attention_mutants, layer_mutants, position_mutants, preprocessing_mutants, vision_mutants
from .compare import Check
from .mutation import REGISTERED, Mutant

__all__ = ["MUTANTS", "Mutant", "is_killed"]

_MODULES = [
    module.__name__
    for module in (preprocessing_mutants, attention_mutants, position_mutants, layer_mutants, vision_mutants)
]
MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for mutant in sorted(REGISTERED, key=lambda mutant: _MODULES.index(mutant.applied_to.__module__))
}


def is_killed(mutant: Mutant, checks: dict[str, Check]) -> bool | None:
    """Whether every piece that the mutant names fails with it; None if there is no check of any of them."""
    named = [checks[name] for name in mutant.caught_by if name in checks]
    if not named:
        return None
    with mutant.applied_to(named[0].setup.ours):
        return all(not check.result().passed for check in named)
