"""Put a trained tiny model into the package: `python tools/pack_tiny.py seed0 evaluation`.

It takes the checkpoint that `llama4-explained train-tiny --output seed0` wrote, and what
`llama4-explained evaluate seed0 seed1 seed2 --output evaluation` measured of it and of its recipe from other seeds, and
writes the model card from these.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from llama4_explained.errors import UserError
from llama4_explained.tiny.evaluate import JSON
from llama4_explained.tiny.training import CURVES, RECORD

TARGET = Path(__file__).parents[1] / "llama4_explained" / "assets" / "tiny"
MOST_BYTES = 12 * 2**20
CARD = """\
---
license: apache-2.0
language: [{languages}]
pipeline_tag: image-text-to-text
tags: [llama4]
---

# Tiny Llama 4

A Llama 4 of {parameters:.1f} million weights: the architecture of Llama 4 Scout (experts beside a shared expert,
chunked layers with rotary positions between global ones without, early fusion of image tokens), trained from scratch on
synthetic scenes. It ships in `llama4-explained`, so that routing, attention and quantisation can be looked at in
something that was really learnt. It shares no weights and no tokenizer with Meta's models.

```python
from llama4_explained import load

model, processor = load("tiny")
```

Hugging Face's `AutoModelForImageTextToText.from_pretrained` reads the same folder.

## What it knows

Pictures of one to four coloured shapes, on one to four tiles, and questions about them in thirteen languages: captions,
counts, colours, shapes, whether something is there, where it lies. Texts: translating captions, questions about a
described scene, and finding one of many notes.

## What it can't do

Anything else. It knows only the sentences of its templates, takes every photograph for a scene, and must not be used to
judge what Llama 4 knows. Of the 36 pairs of shape and colour, training never showed six ("unseen" below), though it let
the model read of them. It leaves them open: where one half of such a pair is in a picture, no question names the other.

## How often it is right

To the last token, by greedy decoding, on pictures that training never showed; {questions} questions of each task and
language, in %.

{table}

"4 times as long": among 44 to 52 notes, where training had up to 12; both away from the edges of chunks. `{json}` has
all tables: by language, number of objects, tiles, place of the answer in its chunk, number format, and what the experts
do.

## How it was made

`llama4-explained train-tiny --seed {seed}`, on {device}, in {minutes:.1f} minutes: {steps:,} steps of {rows}
conversations. In the first {seeing:,}, only the vision tower learnt. `{record}` has the whole recipe, and how training
went.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Put a trained tiny model into the package.")
    parser.add_argument("checkpoint", type=Path, help="folder that train-tiny wrote")
    parser.add_argument("evaluation", type=Path, help="folder that evaluate wrote of it, first of its seeds")
    parser.add_argument("--target", type=Path, default=TARGET, help="where to put it (default: into the package)")
    arguments = parser.parse_args()
    try:
        pack(arguments.checkpoint, arguments.evaluation, arguments.target)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def pack(checkpoint: Path, evaluation: Path, target: Path) -> None:
    """Copy the checkpoint, add the measurements and the card.

    Errors: UserError if they do not belong together, or would be too large.
    """
    record = json.loads((checkpoint / RECORD).read_text(encoding="utf-8"))
    report = json.loads((evaluation / JSON).read_text(encoding="utf-8"))
    if report["checkpoints"][0]["name"] != checkpoint.resolve().name:
        raise UserError(f"{evaluation} measured {report['checkpoints'][0]['name']} first, not {checkpoint.name}")
    files = [path for path in sorted(checkpoint.iterdir()) if path.name != CURVES] + [evaluation / JSON]
    if (size := sum(path.stat().st_size for path in files)) > MOST_BYTES:
        raise UserError(f"{checkpoint} has {size:,} bytes; at most {MOST_BYTES:,} go into the package")
    card = model_card(record, report, (checkpoint / "model.safetensors").stat().st_size / 2)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in files:
        shutil.copyfile(path, target / path.name)
    (target / "README.md").write_text(card, encoding="utf-8")


def model_card(record: dict[str, Any], report: dict[str, Any], parameters: float) -> str:
    """The text of the card, from a training's record and an evaluation."""
    recipe = record["recipe"]
    layout = recipe["layout"]
    return CARD.format(
        languages=", ".join(layout["languages"]), parameters=parameters / 1e6, questions=report["questions"],
        table=accuracy_table(report), json=JSON, seed=recipe["seed"], device=record["device"],
        minutes=record["seconds"] / 60, steps=recipe["steps"], rows=sum(layout["pictures"]) + layout["texts"],
        seeing=layout["seeing"], record=RECORD,
    )  # fmt: skip


def accuracy_table(report: dict[str, Any]) -> str:
    """The summary as Markdown: this model, and the mean of all seeds if there are several."""
    summaries = {"this model": report["checkpoints"][0]["summary"]}
    if (number := len(report["checkpoints"])) > 1:
        summaries[f"mean of {number} seeds"] = report["mean"]["summary"]
    lines = [f"| | {' | '.join(summaries)} |", f"|---{'|---:' * len(summaries)}|"]
    for name in report["mean"]["summary"]:
        shares = (f"{100 * summary[name]['right']:.1f}" for summary in summaries.values())
        lines.append(f"| {name} | {' | '.join(shares)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
