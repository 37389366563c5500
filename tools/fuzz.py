"""Compare random models with HF for as long as told: `python tools/fuzz.py --minutes 10`.

On the first difference the case is made as small as it can be while it still differs, and printed with the command that
runs it again; the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import transformers
from tqdm import tqdm

from llama4_explained import Llama4Config, VisionConfig
from llama4_explained.check.random_configs import Case, Outcome, random_case, run_case
from llama4_explained.errors import UserError

# Sizes of a vision tower depend on each other, so it becomes plain at once or not at all.
PLAIN_VISION = VisionConfig(
    image_size=2, patch_size=2, num_channels=1, hidden_size=4, num_layers=1, num_heads=1, mlp_width=4,
    pixel_shuffle_ratio=1.0, adapter_width=4,
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare random models with HF for as long as told.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to go on (default 5)")
    parser.add_argument("--seed", type=int, default=None, help="of the first case; the default is a new one every time")
    parser.add_argument("--reproduce", metavar="JSON", help="run this one case, as an earlier run printed it")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()  # it warns of equal RoPE factors, which Scout has
    if arguments.reproduce is not None:
        try:
            return judge(Case.from_json(arguments.reproduce))
        except UserError as error:
            print(f"fuzz: {error}", file=sys.stderr)
            return 2
    seed = random.randrange(2**31) if arguments.seed is None else arguments.seed
    return fuzz(seed, arguments.minutes)


def fuzz(seed: int, minutes: float) -> int:
    """Run cases until the time is over or one differs; every third has images."""
    end, near_ties, largest = time.monotonic() + 60 * minutes, 0, 0.0
    print(f"from seed {seed} on, for {minutes:g} minutes")
    with tqdm(unit=" cases") as progress:
        while time.monotonic() < end:
            number = seed + progress.n
            case = random_case(random.Random(number), with_images=number % 3 == 0)
            outcome = run(case)
            if not outcome.near_tie and not outcome.passed:
                progress.close()
                print(f"\nseed {number} differs: {outcome}\n{command(case)}\n\nmaking it smaller ...")
                return judge(smallest(case))
            if outcome.near_tie:
                near_ties += 1
            else:
                largest = max(largest, outcome.error / outcome.floor, outcome.cached_error / outcome.floor)
            progress.set_postfix_str(f"{near_ties} near ties left out, largest error {largest:.1f} floors")
            progress.update()
    return 0


def run(case: Case) -> Outcome:
    """Run a case; should it crash, say which one that was."""
    try:
        return run_case(case)
    except Exception:
        print(f"\nthis case crashes:\n{command(case)}\n")
        raise


def judge(case: Case) -> int:
    """Run one case, say what came out, and return the exit code."""
    outcome = run(case)
    if outcome.near_tie:
        print(f"a router's choice hangs on rounding here, so the case says nothing; {outcome}")
        return 0
    print(f"{'equal to HF' if outcome.passed else 'DIFFERENT from HF'}: {outcome}\n{case}\n\n{command(case)}")
    return 0 if outcome.passed else 1


def command(case: Case) -> str:
    return f"python tools/fuzz.py --reproduce '{case.to_json()}'"


def smallest(case: Case) -> Case:
    """What is left of a case when all is taken away that it does not need to differ from HF."""
    position = 0
    while position < len(candidates := list(simpler_cases(case))):
        if differs(candidates[position]):
            case = candidates[position]
        else:
            position += 1
    return case


def differs(case: Case) -> bool:
    outcome = run(case)
    return not outcome.near_tie and not outcome.passed


def simpler_cases(case: Case) -> Iterator[Case]:
    """Cases with one thing less: no images, a row, token or layer fewer, a mechanism switched off, a width halved."""
    if isinstance(case.config, Llama4Config):
        yield replace(case, config=case.config.text, rows=tuple(row[:1] for row in case.rows), cuts=())
        yield replace(case, config=replace(case.config, vision=PLAIN_VISION), cuts=())
    fields = asdict(case)
    for part in ("rows", "cuts", "config"):
        for simpler in simpler_values(fields[part]):
            try:
                yield Case.from_json(json.dumps({**fields, part: simpler}))
            except UserError:  # no model has such a config, or the cuts lie beyond the end
                continue


def simpler_values(value: Any) -> Iterator[Any]:
    """The same value with one thing less, anywhere in it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not name.endswith(("_id", "_ids", "max_positions")):  # what the inputs rely on
                yield from ({**value, name: simpler} for simpler in simpler_values(inner))
        yield None
    elif isinstance(value, list | tuple):
        yield None
        for i, inner in enumerate(value):
            yield [*value[:i], *value[i + 1 :]]
            yield from ([*value[:i], simpler, *value[i + 1 :]] for simpler in simpler_values(inner))
    elif value is True:
        yield False
    elif isinstance(value, int) and value > 0:
        yield from (None, value // 2, value - 1)


if __name__ == "__main__":
    sys.exit(main())
