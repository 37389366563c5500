"""Error against floor: what a difference from HF is allowed to be, and a report of all of them.

The floor of a piece is how far rounding alone moves HF's own result: in float32 the largest difference between HF in
float32 and HF in float64 on the same input, measured in the run. An implementation that is right differs from HF by
about that much, because it only sums in another order; mistakes are hundreds of times larger.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from torch import Tensor

import llama4_explained

from .registry import Case, Outputs, Piece
from .routing import pinned_decisions, recorded_decisions
from .setups import Setup
from .twins import in_float64, widened

# How many floors a difference may be. Measured over all pieces of 60 random configs and the named ones: in float32 at
# most 2.6, but for gradients of small weights, where it is 7.9; in bfloat16 at most 1.3.
FACTORS = {torch.float32: 20.0, torch.bfloat16: 2.0}


@dataclass(frozen=True)
class Result:
    """One comparison: of a piece, or of one named tensor of a run."""

    name: str
    max_error: float
    floor: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.max_error <= self.tolerance  # False for NaN


@dataclass(frozen=True)
class Reference:
    """What HF gives for a case, and how far rounding moves it, output by output."""

    expected: Mapping[str, Tensor]
    floors: Mapping[str, float]
    factor: float
    decisions: list[Tensor] | None = None  # the experts to choose, where ours must not decide for itself

    def compare(self, name: str, outputs: Outputs) -> Result:
        """The worst of the outputs, which is the one with the largest error for its tolerance."""
        ours = _named(outputs)
        missing = torch.empty(0)  # as an output of another shape: infinitely far
        results = []
        for key, expected in self.expected.items():
            error, floor = largest_difference(ours.get(key, missing), expected), self.floors[key]
            results.append(Result(name, error, floor, self.factor * floor))
        return max(results, key=_badness)


def _badness(result: Result) -> float:
    if math.isnan(result.max_error):
        return math.inf
    if result.tolerance == 0:
        return math.inf if result.max_error else 0.0
    return result.max_error / result.tolerance


def exactly(name: str, a: Tensor, b: Tensor) -> Result:
    """The comparison of what may not differ at all, such as token ids."""
    return Result(name, largest_difference(a, b), 0.0, 0.0)


def largest_difference(a: Tensor, b: Tensor) -> float:
    """Maximum absolute difference, in float64; infinite if the shapes differ."""
    if a.shape != b.shape:
        return math.inf
    return float((a.double() - b.double()).abs().max()) if a.numel() else 0.0


def _named(outputs: Outputs) -> Mapping[str, Tensor]:
    return {"output": outputs} if isinstance(outputs, Tensor) else outputs


def _cast(inputs: tuple[Any, ...], dtype: torch.dtype) -> list[Any]:
    return [x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]


@torch.no_grad()
def make_reference(case: Case, setup: Setup, exact: bool = False) -> Reference:
    """Run HF, in the type that is checked and in a wider one.

    float32: HF in float32 is expected, its distance from HF in float64 is the floor.
    bfloat16: HF in float32 on the same rounded weights and inputs is expected, the distance of HF in bfloat16 from that
    is the floor: ours may be about as imprecise as HF is. All follow the routers' decisions of the expected run.
    """
    theirs, dtype = setup.theirs, setup.dtype
    inputs = _cast(case.inputs, dtype)
    if exact:
        expected = _named(case.theirs(theirs, *inputs))
        return Reference(expected, dict.fromkeys(expected, 0.0), 0.0)
    if dtype == torch.float32:
        with recorded_decisions(theirs) as decisions:
            expected = _named(case.theirs(theirs, *inputs))
        wide_inputs = _cast(case.inputs, torch.float64)
        with pinned_decisions(theirs, decisions):
            if case.theirs_wide is not None:
                other = _named(case.theirs_wide(theirs, *wide_inputs))
            else:
                with in_float64(theirs):
                    other = _named(case.theirs(theirs, *wide_inputs))
    else:
        with recorded_decisions(theirs) as decisions, widened(theirs, torch.float32):
            expected = _named(case.theirs(theirs, *_cast(tuple(inputs), torch.float32)))
        with pinned_decisions(theirs, decisions):
            other = _named(case.theirs(theirs, *inputs))
    floors = {key: largest_difference(other[key], expected[key]) for key in expected}
    return Reference(expected, floors, FACTORS[dtype], None if dtype == torch.float32 else decisions)


@torch.no_grad()
def run_ours(case: Case, setup: Setup, reference: Reference) -> Outputs:
    """Our outputs for a case, with the reference's routing decisions where it has them."""
    inputs = _cast(case.inputs, setup.dtype)
    if reference.decisions is None:
        return case.ours(setup.ours, *inputs)
    with pinned_decisions(setup.ours, reference.decisions):
        return case.ours(setup.ours, *inputs)


@dataclass
class Check:
    """A piece on a setup: HF's side is computed once, ours as often as asked (once for every mutant)."""

    piece: Piece
    setup: Setup
    case: Case
    reference: Reference

    @classmethod
    def of(cls, piece: Piece, setup: Setup) -> Check | None:
        """None if this config has no such piece, or the type that is checked cannot show it."""
        setup = setup.of(piece.name)
        if piece.float32_only and setup.dtype != torch.float32:
            return None
        case = piece.build(setup)
        return None if case is None else cls(piece, setup, case, make_reference(case, setup, piece.exact))

    def result(self) -> Result:
        """Run ours and compare."""
        return self.reference.compare(self.piece.name, run_ours(self.case, self.setup, self.reference))


@dataclass
class Report:
    """All results of a run, as a table for people and as JSON for programs."""

    pieces: list[Result] = field(default_factory=list)
    mutants: dict[str, bool] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return bool(self.pieces) and all(result.passed for result in self.pieces) and all(self.mutants.values())

    def to_dict(self) -> dict[str, Any]:
        """The JSON form. An error that is no number (NaN, or another shape) is null."""
        pieces = [
            {
                "name": result.name,
                "max_error": result.max_error if math.isfinite(result.max_error) else None,
                "floor": result.floor,
                "tolerance": result.tolerance,
                "passed": result.passed,
            }
            for result in self.pieces
        ]
        mutants = [{"name": name, "killed": killed} for name, killed in self.mutants.items()]
        return {"versions": versions(), "pieces": pieces, "mutants": mutants, "passed": self.passed}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1)

    def table(self) -> str:
        """Aligned text: one line a piece, then one a mutant, then the verdict."""
        lines = [", ".join(f"{name} {version}" for name, version in versions().items()), ""]
        if self.pieces:
            lines += result_table(self.pieces)
        for name, killed in self.mutants.items():
            lines.append(f"{'killed  ' if killed else 'SURVIVED'}  {name}")
        failed = sum(not result.passed for result in self.pieces)
        survived = sum(not killed for killed in self.mutants.values())
        verdict = f"{len(self.pieces)} pieces, {failed} failed"
        if self.mutants:
            verdict += f"; {len(self.mutants)} mutants, {survived} survived"
        return "\n".join([*lines, "", verdict])


def result_table(results: list[Result]) -> list[str]:
    """Lines of `name, max error, floor, error / floor, verdict`."""
    width = max(len(result.name) for result in results)
    lines = [f"{'':{width}}  {'max error':>9}  {'floor':>9}  {'tolerance':>9}"]
    for result in results:
        verdict = "ok" if result.passed else "FAILED"
        lines.append(
            f"{result.name:{width}}  {result.max_error:9.2e}  {result.floor:9.2e}  {result.tolerance:9.2e}  {verdict}"
        )
    return lines


def versions() -> dict[str, str]:
    """What was compared, and with what."""
    return {
        "llama4_explained": llama4_explained.__version__,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
