"""The check's report, made in the build, and the two tables drawn from it: parity and mutants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from llama4_explained.check.compare import FACTORS
from llama4_explained.check.mutants import MUTANTS
from llama4_explained.check.pieces import PIECES

from .source_folder import BUILD, ROOT, SourceFolder, package_digest, table

Report = dict[str, Any]
MEASURED = ("difference", "floor", "limit")
WIDE = "---\nhtml_theme.sidebar_secondary.remove: true\n---\n\n"  # no list of contents: room for a table


def make_report() -> Report:
    """What `llama4-explained check --mutants --json` prints, kept until the package or its oracle changes."""
    path = BUILD / "reports" / f"{package_digest()}.json"
    if not path.is_file():
        print("comparing every piece with Hugging Face's ...", flush=True)
        command = [sys.executable, "-m", "llama4_explained", "check", "--mutants", "--json"]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(
                f"the site shows what passes, and the check fails: see `make check`\n{done.stderr[-2000:]}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(done.stdout, encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def by_name(report: Report) -> dict[str, Any]:
    return {piece["name"]: piece for piece in report["pieces"]}


def error_text(piece: Report) -> str:
    """How far ours is from theirs, in as many words as fit into a box."""
    return "equal" if piece["max_error"] == 0 else f"{piece['max_error']:.0e}"


def mark(good: bool, yes: str, no: str) -> str:
    """A sign and a word, which stay on one line."""
    return f"✓\N{NO-BREAK SPACE}{yes}" if good else f"✗\N{NO-BREAK SPACE}{no}"


def anchor(dotted_name: str) -> str:
    """A link to the entry of a class or function in the reference; the link's text is left to Sphinx."""
    return f"{{py:obj}}`~{dotted_name}`"


def versions(report: Report) -> str:
    names = report["versions"]
    return (
        f"llama4-explained {names['llama4_explained']}, transformers {names['transformers']}, "
        f"PyTorch {names['torch'].partition('+')[0]}, Python {names['python']}"
    )


def write_reports(source: SourceFolder, report: Report) -> None:
    source.write("parity.md", parity_page(report))
    source.write("mutants.md", mutants_page(report))


def parity_page(report: Report) -> str:
    rows = []
    for piece in report["pieces"]:
        entry = PIECES[piece["name"]]
        floor, tolerance = ("" if entry.exact else f"{piece[key]:.1e}" for key in ("floor", "tolerance"))
        rows.append([f"`{entry.name}`", anchor(entry.our_name), f"`{entry.their_name.rpartition('.')[2]}`",
                     "equal" if piece["max_error"] == 0 else f"{piece['max_error']:.1e}", floor, tolerance,
                     mark(piece["passed"], "passed", "failed")])  # fmt: skip
    import torch

    return f"""{WIDE}# Equal to Hugging Face

Every piece, and its counterpart in `transformers` with the same random weights, on the same input: the largest
difference between the two results. This table was measured when the site was built, on a CPU in 32 bits, with
{versions(report)}. `make check` measures it on your machine.

- The **floor** is how far rounding alone moves Hugging Face's own result: the difference between it in 32 bits and in
  64 bits.
- The **limit** is {FACTORS[torch.float32]:.0f} floors. What only moves data or counts has no floor: it must be equal,
  bit for bit.

{table(["piece", "ours", "theirs", *MEASURED, "result"], rows, MEASURED)}
"""


def mutants_page(report: Report) -> str:
    rows = []
    for mutant in report["mutants"]:
        caught_by = ", ".join(f"`{name}`" for name in MUTANTS[mutant["name"]].caught_by)
        rows.append([mutant["name"], caught_by, mark(mutant["killed"], "noticed", "unnoticed")])
    killed = sum(mutant["killed"] for mutant in report["mutants"])
    return f"""{WIDE}# Mistakes made on purpose

A check that nothing can fail says nothing. So every mechanism is made wrong, one at a time, most of them in a way in
which a real implementation once was; then the pieces named beside it must differ from Hugging Face's. Of {len(rows)}
mistakes, {killed} are noticed. Measured when the site was built, with {versions(report)}; `make check` does it again.

{table(["what is made wrong", "pieces that must fail", "result"], rows)}
"""
