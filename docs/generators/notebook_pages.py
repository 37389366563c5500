"""The notebooks as pages: copied, with alt text for their pictures, and the list of lessons.

Their stored outputs are shown as they are, because `make test` runs every cell again and compares. Stored outputs hold
no widget state, though: a notebook with an explorer is run in the build, so that the page has a living one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from llama4_explained.check.pieces import PIECES

from .links import site_links
from .reports import WIDE
from .source_folder import ROOT, SourceFolder, table

NOTEBOOKS = ROOT / "notebooks"
WIDGETS = re.compile(r"\bimport\b.*(\b\w+Explorer\b|\bipywidgets\b|\banywidget\b)|^import ipywidgets", re.MULTILINE)
ALT = "The figure that the code above draws; the text beside it says what it shows."


@dataclass(frozen=True)
class Lesson:
    """A notebook: its name without a suffix, its title, its first sentence, and whether it must run in the build."""

    path: Path
    title: str
    summary: str
    runs: bool

    @property
    def page(self) -> str:
        """The name of its page, without a suffix."""
        return self.path.relative_to(ROOT).with_suffix("").as_posix()

    @classmethod
    def of(cls, path: Path, notebook: NotebookNode) -> Lesson:
        text = next((cell.source for cell in notebook.cells if cell.cell_type == "markdown"), "")
        title, _, rest = text.strip().partition("\n")
        first = re.split(r"(?<=[.!?])\s", rest.strip(), maxsplit=1)[0].replace("\n", " ")
        code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        return cls(path, title.lstrip("# ").strip() or path.stem, first, bool(WIDGETS.search(code)))


def write_notebooks(source: SourceFolder) -> list[Lesson]:
    """Copies all notebooks, solutions below their lessons, and writes the page that lists them."""
    lessons = []
    for path in sorted(NOTEBOOKS.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        notebook = nbformat.read(path, as_version=4)
        lesson = Lesson.of(path, notebook)
        lessons.append(lesson)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = site_links(cell.source, path, source)
        if path.parent == NOTEBOOKS and (NOTEBOOKS / "solutions" / path.name).is_file():
            below = f"```{{toctree}}\n:hidden:\n\nsolutions/{path.stem}\n```"
            notebook.cells.append(new_markdown_cell(below, id="below"))
        source.write(f"{lesson.page}.ipynb", nbformat.writes(with_alt_texts(notebook)))
    source.write("lessons.md", lessons_page(lessons))
    return lessons


def with_alt_texts(notebook: NotebookNode) -> NotebookNode:
    """Gives pictures without an alt text of their own (cell metadata `mystnb: {image: {alt: ...}}`) a general one."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.setdefault("mystnb", {}).setdefault("image", {}).setdefault("alt", ALT)
    return notebook


def lessons_page(lessons: list[Lesson]) -> str:
    """One row a lesson: what it is about, the pieces it explains, its solutions."""
    solutions = {lesson.path.stem: lesson for lesson in lessons if lesson.path.parent != NOTEBOOKS}
    rows = []
    for lesson in lessons:
        if lesson.path.parent == NOTEBOOKS:
            pieces = ", ".join(f"`{name}`" for name, piece in PIECES.items() if piece.lesson == lesson.path.stem)
            solved = solutions.get(lesson.path.stem)
            rows.append([f"[{lesson.title}](/{lesson.page})", lesson.summary, pieces,
                         f"[solutions](/{solved.page})" if solved else ""])  # fmt: skip
    return "\n".join(
        [
            f"{WIDE}# Lessons\n",
            "Each is a notebook that runs on a laptop without a network: goals, a picture, the code, the comparison",
            "with Hugging Face, something to look at, something to break, exercises. `make lab` opens them.\n",
            table(["lesson", "what it shows", "pieces", "exercises"], rows),
        ]
    )
