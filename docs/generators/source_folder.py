"""The folder that Sphinx reads: written anew, but touched only where something changed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "llama4_explained"
BUILD = ROOT / "build" / "docs"


class SourceFolder:
    """Pages go in one by one; `finish` removes what an earlier build left and this one did not write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: set[Path] = set()

    def write(self, name: str, content: str | bytes) -> None:
        """A file's content. An equal one keeps its time, so that Sphinx reads only what is new."""
        path = self.folder / name
        data = content.encode() if isinstance(content, str) else content
        self._written.add(path)
        if not (path.is_file() and path.read_bytes() == data):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def finish(self) -> None:
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if path.is_file() and path not in self._written:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def digest(paths: Iterable[Path], *also: str) -> str:
    """A short name for the content of files and a few words, by which results are kept."""
    total = hashlib.sha256("\0".join(also).encode())
    for path in sorted(paths):
        total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def package_digest() -> str:
    """Changes with any file of the package, and with the libraries whose results the pages show."""
    import torch
    import transformers

    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return digest(files, torch.__version__, transformers.__version__)


def table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: Collection[str] = ()) -> str:
    """A table in Markdown; columns of `numbers` stand on the right."""
    columns = list(head)
    lines = [columns, ["---:" if name in numbers else "---" for name in columns], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"
