"""Verdicts, reports and the command: what counts as a difference, and how it is told."""

import json
import math

import pytest
import torch

from llama4_explained.check import run as check_command
from llama4_explained.check.compare import FACTORS, Reference, Report, Result, largest_difference, make_reference
from llama4_explained.check.mutants import MUTANTS
from llama4_explained.check.pieces import PIECES
from llama4_explained.check.registry import Case
from llama4_explained.cli import main
from tiny_checks import check_of, tiny


def test_tolerance_is_at_most_fifty_floors():
    assert max(FACTORS.values()) <= 50


def test_floor_is_measured_between_float32_and_float64():
    third = torch.tensor([1 / 3])
    case = Case(None, lambda model, x: x / 3, (torch.ones(1),))
    reference = make_reference(case, tiny())
    assert reference.floors["output"] == float((third.double() - 1 / 3).abs()) > 0
    assert reference.compare("x", third).passed
    assert not reference.compare("x", third * (1 + 1e-5)).passed


def test_an_exact_piece_has_no_tolerance():
    case = Case(None, lambda model: torch.ones(3))
    reference = make_reference(case, tiny(), exact=True)
    assert reference.compare("x", torch.ones(3)).passed
    assert not reference.compare("x", torch.ones(3).nextafter(torch.zeros(3))).passed


@pytest.mark.parametrize(
    "outputs",
    [
        torch.full((2,), math.nan),  # no number
        torch.zeros(3),  # another shape
        torch.zeros(1),  # another shape, which would broadcast
        {"another": torch.zeros(2)},  # another name
        torch.tensor([0, 1e-3]),  # one number off
    ],
)
def test_what_is_a_difference(outputs):
    reference = Reference({"output": torch.zeros(2)}, {"output": 1e-7}, 20.0)
    assert reference.compare("x", torch.full((2,), 1e-7)).passed
    assert not reference.compare("x", outputs).passed


def test_the_worst_output_counts():
    """Relative to its own floor: a small error of a precise output is worse than a large one of another."""
    reference = Reference({"a": torch.zeros(1), "b": torch.zeros(1)}, {"a": 1e-3, "b": 1e-9}, 20.0)
    result = reference.compare("x", {"a": torch.tensor([1e-3]), "b": torch.tensor([1e-6])})
    assert (result.floor, result.passed) == (1e-9, False)


def test_largest_difference():
    assert largest_difference(torch.tensor([1, 2]), torch.tensor([1, 4])) == 2
    assert largest_difference(torch.tensor([True]), torch.tensor([False])) == 1
    assert largest_difference(torch.empty(0), torch.empty(0)) == 0
    assert largest_difference(torch.empty(0), torch.empty(1)) == math.inf


def report(**mutants):
    return Report([Result("good", 1e-6, 1e-6, 2e-5), Result("exact", 0.0, 0.0, 0.0)], mutants)


def test_report_passes_only_if_everything_does():
    assert report().passed and report(a=True).passed
    assert not report(a=True, b=False).passed
    assert not Report().passed
    assert not Report([Result("bad", math.nan, 1e-6, 2e-5)]).passed


def test_json_has_the_promised_form():
    bad = report(a=True, b=False)
    bad.pieces.append(Result("bad", math.inf, 1e-6, 2e-5))
    found = json.loads(bad.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert list(found) == ["versions", "pieces", "mutants", "passed"]
    assert {"transformers", "torch"} <= set(found["versions"])
    assert found["pieces"][0] == {
        "name": "good", "max_error": 1e-6, "floor": 1e-6, "tolerance": 2e-5, "passed": True
    }  # fmt: skip
    assert found["pieces"][2]["max_error"] is None and found["pieces"][2]["passed"] is False
    assert found["mutants"] == [{"name": "a", "killed": True}, {"name": "b", "killed": False}]
    assert found["passed"] is False


def test_table_says_what_failed():
    bad = report(**{"no chunks": False})
    bad.pieces.append(Result("bad", 1.0, 1e-6, 2e-5))
    lines = bad.table().splitlines()
    assert sum(line.endswith("  ok") for line in lines) == 2
    assert any(line.startswith("bad ") and line.endswith("FAILED") for line in lines)
    assert "SURVIVED  no chunks" in lines
    assert lines[-1] == "3 pieces, 1 failed; 1 mutants, 1 survived"


def test_command_passes_and_prints_json(capsys):
    assert main(["check", "--pieces", "rms_norm", "experts", "--json", "--mutants"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [piece["name"] for piece in found["pieces"]] == ["rms_norm", "experts"]
    assert {mutant["name"] for mutant in found["mutants"]} == {
        name for name, mutant in MUTANTS.items() if {"rms_norm", "experts"} & set(mutant.caught_by)
    }
    assert found["passed"] is True


def test_command_fails_with_the_place(capsys):
    """A mistake in our model: exit code 1, and the line that leads to it."""
    mutant = MUTANTS["the router's score is not used"]
    check_of("moe")  # HF's side of it is right before the mistake is made
    with mutant.applied_to(tiny().ours):
        assert main(["check", "--pieces", "moe"]) == 1
    printed = capsys.readouterr().out
    assert "moe" in printed and "FAILED" in printed
    assert "the first tensor to differ is layers.0.moe.routed_output" in printed


def test_command_prints_the_seed_of_a_random_config(capsys):
    assert main(["check", "--config", "random", "--pieces", "embeddings"]) == 0
    seed = capsys.readouterr().err.split("--seed ")[1].split()[0]
    assert main(["check", "--config", "random", "--seed", seed, "--pieces", "embeddings"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pieces", "everything"], f"no piece everything; there are {', '.join(PIECES)}"),
        (["--mutants", "--config", "random"], "a random config need not show every mistake"),
        (["--mutants", "--dtype", "bfloat16"], "rounding to bfloat16 hides small mistakes"),
        (["--dtype", "bfloat16", "--pieces", "generate"], "tiny in bfloat16 has none of the pieces generate"),
    ],
)
def test_user_errors_are_one_line(arguments, message, capsys):
    assert main(["check", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err
    assert len(printed.err.splitlines()) == 1


def test_threads_are_put_back():
    before = torch.get_num_threads()
    main(["check", "--pieces", "embeddings"])
    assert torch.get_num_threads() == before
    assert check_command.DTYPES.keys() == {"float32", "bfloat16"}
