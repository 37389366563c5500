"""`llama4-explained check`: compare every piece with Hugging Face's, here and now."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from ..errors import UserError
from .compare import Check, Report
from .differences import first_difference
from .mutants import MUTANTS, is_killed
from .pieces import PIECES
from .setups import SETUPS, Setup, make_setup

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `llama4-explained check`."""
    parser.add_argument(
        "--config", choices=list(SETUPS), default="tiny",
        help="tiny: all mechanisms in seconds; scout-slice: four layers of Scout's true widths (20 GB, minutes); "
        "random: any small Llama 4",
    )  # fmt: skip
    parser.add_argument("--dtype", choices=list(DTYPES), default="float32", help="number format (default float32)")
    parser.add_argument("--mutants", action="store_true", help="also make every mistake on purpose, and see it caught")
    parser.add_argument("--pieces", nargs="+", metavar="NAME", help="only these pieces")
    parser.add_argument("--seed", type=int, help="of weights, inputs and the random config (default 0; random: drawn)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Check, print, and return 0 if everything passed, else 1."""
    seed = arguments.seed
    if seed is None:
        seed = random.randrange(1_000_000) if arguments.config == "random" else 0
    if arguments.mutants:
        if arguments.config == "random":
            raise UserError("a random config need not show every mistake: use --mutants with tiny or scout-slice")
        if arguments.dtype != "float32":
            raise UserError("rounding to bfloat16 hides small mistakes: use --mutants with --dtype float32")
    threads = torch.get_num_threads()
    if arguments.config != "scout-slice":
        torch.set_num_threads(1)  # the tensors are small: more threads wait for each other longer than they compute
    try:
        if arguments.config == "random":
            print(f"random config: to see it again, --config random --seed {seed}", file=sys.stderr)
        setup = make_setup(arguments.config, seed, DTYPES[arguments.dtype])
        report = check(setup, arguments.pieces, arguments.mutants)
        print(report.to_json() if arguments.json else report.table())
        if not all(result.passed for result in report.pieces):
            print(explain(setup), file=sys.stderr if arguments.json else sys.stdout)
    finally:
        torch.set_num_threads(threads)
    return 0 if report.passed else 1


def check(setup: Setup, pieces: Sequence[str] | None = None, mutants: bool = False) -> Report:
    """Compare the pieces of a setup with HF's, all or those named, and see whether every mutant is killed by them.

    Errors: UserError for the name of no piece, or if the setup has none of those named.
    """
    unknown = [name for name in pieces or () if name not in PIECES]
    if unknown:
        raise UserError(f"no piece {', '.join(unknown)}; there are {', '.join(PIECES)}")
    report, checks = Report(), {}
    quiet_in_files: Any = {"disable": None, "leave": False, "file": sys.stderr}
    progress = tqdm(pieces or PIECES, **quiet_in_files)
    for name in progress:
        progress.set_description(name)
        made = Check.of(PIECES[name], setup)
        if made is not None:
            report.pieces.append(made.result())
            checks[name] = made
    if not checks:
        raise UserError(f"{setup.name} in {str(setup.dtype)[6:]} has none of the pieces {', '.join(pieces or ())}")
    if mutants:
        for mutant in tqdm(MUTANTS.values(), desc="mutants", **quiet_in_files):
            killed = is_killed(mutant, checks)
            if killed is not None:
                report.mutants[mutant.name] = killed
    return report


def explain(setup: Setup) -> str:
    """One line about where a float32 run of the whole model, with images, first leaves HF's."""
    if setup.dtype != torch.float32:
        return "to find the place, check in float32"
    difference = first_difference(setup.ours, setup.theirs, *setup.with_images())
    if difference is None:
        return "one forward pass of the whole model equals HF's: the difference is elsewhere"
    return (
        f"in one forward pass of the whole model, the first tensor to differ is {difference.name}: "
        f"{difference.max_error:.1e}, {difference.floor:.1e} of it rounding"
    )
