"""`llama4-explained evaluate`: how often tiny models are right, at what, and what fewer bits cost them.

Several checkpoints are the same recipe from several seeds: each is measured, and the mean beside them.

`evaluation.json` is {"versions": {...}, "questions": of each task and language, "checkpoints": [...], "mean": {...}}.
A checkpoint has its "name", its "seed" if its training.json says so, the tables of `accuracy.tabulate`, "quantization"
by format as `fewer_bits.measure_formats` gives it, and "experts" as `specialisation` does; these two on a third of the
questions. "mean" has the same, but no name and no seed, and no experts: their numbers mean others in each checkpoint.
Answers are computed in float32, from the weights as they are stored.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from .. import __version__
from ..atomic import written_together
from ..checkpoint import quantized_modules
from ..errors import UserError
from ..hub import local_folder
from ..loading import load
from ..model import Llama4
from ..processor import Processor
from ..show.accuracy import save_accuracy
from ..show.specialisation import save_specialisation
from .accuracy import LONGER_THAN_A_CHUNK, Exam, Mark, answers_to, exam_of, mean_of, tabulate
from .exam import Answer, Examiner, Question
from .fewer_bits import FORMATS, measure_formats
from .scenes import TILE
from .specialisation import specialisation
from .training import RECORD

JSON, PICTURE = "evaluation.json", "evaluation.png"
EXPERTS = "experts.png"  # of the first checkpoint
OWN = ("name", "seed", "experts")  # parts of a record that have no mean
# What is printed, and where it stands in a record.
SECTIONS = {
    "In short": ("summary",),
    "Pictures of one tile, seen pairs": ("tasks", "seen"),
    "The same, of pairs that training never showed": ("tasks", "unseen"),
    "Languages": ("languages",),
    "Objects in the picture": ("objects",),
    "Rows and columns of tiles": ("tiles",),
    "Texts": ("texts",),
    "Lookup, by number of notes": ("lookup", "notes"),
    "The same, away from chunk edges": ("lookup", "away from chunk edges"),
    **{
        f"Lookup among {notes} notes, by how many tokens after a chunk edge the answer starts": (
            "lookup", "positions", notes,
        )
        for notes in LONGER_THAN_A_CHUNK
    },
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A model to be measured, in float32, with what is known of it."""

    name: str
    seed: int | None
    dtype: torch.dtype  # that its weights are stored in
    model: Llama4
    processor: Processor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `llama4-explained evaluate`."""
    parser.add_argument(
        "checkpoints", nargs="+", metavar="CHECKPOINT", help="tiny, or folders: the same recipe from several seeds"
    )
    parser.add_argument("--questions", type=int, default=10, metavar="N", help="of each task and language (default 10)")
    parser.add_argument("--output", default="evaluation", metavar="FOLDER", help="for tables and picture (evaluation)")
    parser.add_argument("--device", help="cpu, cuda, mps (default: cuda if there is one)")
    parser.add_argument("--no-quantization", action="store_true", help="leave out what fewer bits cost")
    parser.add_argument("--no-experts", action="store_true", help="leave out what the experts specialise in")


def run(arguments: argparse.Namespace) -> int:
    """Measure, write, print. Returns 0: an evaluation reports, it does not judge."""
    if arguments.questions < 1:
        raise UserError(f"--questions must be at least 1, got {arguments.questions}")
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    checkpoints = load_checkpoints(arguments.checkpoints, device)
    quantization, experts = not arguments.no_quantization, not arguments.no_experts
    quantized = [each.name for each in checkpoints if quantized_modules(each.model)]
    if quantization and quantized:
        raise UserError(f"{quantized[0]} is quantised already: give the original, or --no-quantization")
    with written_together(arguments.output) as new:  # a folder that cannot be written fails before the work
        report = evaluate(checkpoints, arguments.questions, quantization, experts)
        (new / JSON).write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        save_accuracy(report, new / PICTURE)
        if experts:
            save_specialisation(report["checkpoints"][0]["experts"], new / EXPERTS)
    print(as_text(report))
    print(f"\n{Path(arguments.output, JSON)} has all tables, {Path(arguments.output, PICTURE)} draws them.")
    return 0


def load_checkpoints(sources: Sequence[str], device: str) -> list[Checkpoint]:
    """All of them, before any is measured.

    Errors: UserError if one cannot be had, is no tiny model, or is not of the same sizes as the first.
    """
    names = [Path(source).resolve().name for source in sources]
    names = names if len(set(names)) == len(names) else list(sources)
    checkpoints: list[Checkpoint] = []
    for name, source in zip(names, sources, strict=True):
        model, processor = load(source, device=device)
        if not isinstance(model, Llama4) or processor is None:
            missing = "tokenizer" if processor is None else "vision tower"
            raise UserError(f"{source} has no {missing}, so it cannot be asked about pictures")
        if model.config.vision.image_size != TILE:
            raise UserError(
                f"{source} sees tiles of {model.config.vision.image_size} pixels; the exam's pictures are for the tiny "
                f"model, with tiles of {TILE}"
            )
        if checkpoints and model.config != checkpoints[0].model.config:
            raise UserError(f"{source} is not of the same sizes as {sources[0]}: evaluate it by itself")
        dtype = model.language_model.model.embed_tokens.weight.dtype
        checkpoints.append(Checkpoint(name, _seed(source), dtype, model.float(), processor))
    return checkpoints


def _seed(source: str) -> int | None:
    path = local_folder(source) / RECORD
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("recipe", {}).get("seed")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no record of a training: {error}") from error


def evaluate(checkpoints: Sequence[Checkpoint], questions: int, quantization: bool, experts: bool) -> dict[str, Any]:
    """Every checkpoint's tables, and their mean; the module's docstring says how they lie.

    Units:  questions of each task and language.
    """
    third = max(1, questions // 3)
    exam, small_exam = exam_of(questions), exam_of(third)
    of_one = _size(exam) + (_size(small_exam) * (1 + len(FORMATS)) if quantization else 0)
    records: list[dict[str, Any]] = []
    with tqdm(total=of_one * len(checkpoints), unit="question", leave=False, disable=None) as bar:
        for checkpoint in checkpoints:
            bar.set_description(checkpoint.name)
            model, processor = checkpoint.model, checkpoint.processor
            examiner = _Watched(processor, bar)
            marks = [Mark.of(part, answer) for part, answer in answers_to(exam, model, examiner)]
            record: dict[str, Any] = {"name": checkpoint.name} | (
                {} if checkpoint.seed is None else {"seed": checkpoint.seed}
            )
            record |= tabulate(marks, model.text_config.chunk_size)
            if quantization:
                record["quantization"] = dict(measure_formats(model, examiner, small_exam, checkpoint.dtype))
            if experts:
                bar.set_description(f"{checkpoint.name}, experts")
                record["experts"] = specialisation(model, processor, third)
            records.append(record)
    tables = [{name: table for name, table in record.items() if name not in OWN} for record in records]
    return {
        "versions": {
            "llama4_explained": __version__, "torch": torch.__version__, "python": platform.python_version(),
        },
        "questions": questions, "checkpoints": records, "mean": mean_of(tables),
    }  # fmt: skip


class _Watched(Examiner):
    """An examiner that tells a progress bar about every answer."""

    def __init__(self, processor: Processor, bar: tqdm) -> None:
        super().__init__(processor)
        self._bar = bar

    def answers(self, model: Llama4, questions: Sequence[Question]) -> Iterator[Answer]:
        for answer in super().answers(model, questions):
            self._bar.update()
            yield answer


def _size(exam: Exam) -> int:
    return sum(len(questions) for questions in exam.values())


def as_text(report: dict[str, Any]) -> str:
    """The report as tables: a column for each checkpoint, and for their mean if there are several."""
    records = [*report["checkpoints"]]
    names = [record["name"] for record in records]
    if len(records) > 1:
        records.append(report["mean"])
        names.append("mean")
    width = max(9, *(len(name) + 2 for name in names))
    header = "".join(f"{name:>{width}}" for name in names)
    lines = []
    for title, path in SECTIONS.items():
        tables = [_at(record, path) for record in records]
        lines += ["", title, f"{'right, %':<26}{header}{'questions':>11}"]
        for name, entry in tables[0].items():
            shares = "".join(f"{_percent(table[name]['right']):>{width}}" for table in tables)
            lines.append(f"  {name:<24}{shares}{entry['questions']:>11}")
    lines += ["", "Perplexity of a token of the answer, seen pairs", f"{'':<26}{header}{'tokens':>11}"]
    for task, entry in records[0]["perplexity"].items():
        numbers = "".join(f"{record['perplexity'][task]['perplexity']:>{width}.3f}" for record in records)
        lines.append(f"  {task:<24}{numbers}{entry['tokens']:>11}")
    if "quantization" in report["mean"]:
        lines += ["", *_formats_as_text(report["mean"]["quantization"])]
    if "experts" in records[0]:
        lines += ["", "Points lost by a change of experts in all layers, and their standard error"]
        lines += _causal_as_text([record["experts"]["causal"] for record in report["checkpoints"]], width)
    return "\n".join(lines[1:])


def _formats_as_text(formats: dict[str, Any]) -> list[str]:
    lines = [
        "Fewer bits (KL: how far the distribution moves, in nats for each token of the answers)",
        f"{'':<26}{'MB':>9}{'KL':>11}{'right, %':>11}{'caption':>11}{'unseen':>11}{'lookup':>11}",
    ]
    for name, measured in formats.items():
        summary = measured["summary"]
        entries = [measured["all questions"], summary["caption"], summary["unseen"], summary["lookup"]]
        shares = "".join(f"{_percent(entry['right']):>11}" for entry in entries)
        lines.append(f"  {name:<24}{measured['bytes'] / 1e6:>9.2f}{measured['kl']:>11.5f}{shares}")
    return lines


def _causal_as_text(tables: Sequence[dict[str, Any]], width: int) -> list[str]:
    lines = []
    for name in tables[0]:
        lost = (f"{table[name]['points lost']:.1f} ± {table[name]['standard error']:.1f}" for table in tables)
        lines.append(f"  {name:<26}{''.join(f'{text:>{max(width, 14)}}' for text in lost)}")
    return lines


def _at(record: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    for key in path:
        record = record[key]
    return record


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
