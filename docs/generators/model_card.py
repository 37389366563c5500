"""The page about the tiny model: the card that ships with it, and pictures of its evaluation and its training."""

from __future__ import annotations

import json
from io import BytesIO

import matplotlib

matplotlib.use("agg")

from matplotlib.figure import Figure

from llama4_explained.show.accuracy import draw_accuracy
from llama4_explained.show.specialisation import draw_specialisation
from llama4_explained.show.training import draw_curves

from .reports import WIDE
from .source_folder import BUILD, PACKAGE, SourceFolder, digest

FOLDER = PACKAGE / "assets" / "tiny"
PICTURES = {
    "accuracy": "Bars: how often answers are right, by task, language, number of notes, place in a chunk, and number "
    "format. The numbers are those of evaluation.json.",
    "specialisation": "Three rows of charts: what the choice of expert tells about a token in each layer, what is lost "
    "when experts are switched off or exchanged, and how much each single expert matters.",
    "training": "Two line charts over the steps of training: the losses, which fall, and the share of right answers by "
    "task, which rises.",
}


def write_model_card(source: SourceFolder) -> None:
    _, _, card = (FOLDER / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    title, _, rest = card.strip().partition("\n")
    source.write(
        "tiny.md",
        f"{WIDE}{title}\n{rest}\n\n## Its evaluation, as pictures\n\n{figure('accuracy')}\n\n"
        f"## What its experts do\n\n{figure('specialisation')}\n\n## How training went\n\n{figure('training')}\n",
    )
    for name, data in pictures().items():
        source.write(f"figures/{name}.png", data)


def figure(name: str) -> str:
    return f"```{{image}} figures/{name}.png\n:alt: {PICTURES[name]}\n```"


def pictures() -> dict[str, bytes]:
    """The figures as PNG files, kept until the numbers or the drawing change."""
    drawn_from = [FOLDER / "evaluation.json", FOLDER / "training.json", *(PACKAGE / "show").glob("*.py")]
    folder = BUILD / "figures" / digest(drawn_from, matplotlib.__version__)
    if not folder.is_dir():
        report = json.loads((FOLDER / "evaluation.json").read_text(encoding="utf-8"))
        history = json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))["history"]
        files = {
            "accuracy": as_png(draw_accuracy(report)),
            "specialisation": as_png(draw_specialisation(report["checkpoints"][0]["experts"])),
            "training": as_png(draw_curves(history)),
        }
        folder.mkdir(parents=True)
        for name, data in files.items():
            (folder / f"{name}.png").write_bytes(data)
    return {name: (folder / f"{name}.png").read_bytes() for name in PICTURES}


def as_png(drawn: Figure) -> bytes:
    file = BytesIO()
    drawn.savefig(file, format="png", dpi=110)
    return file.getvalue()
