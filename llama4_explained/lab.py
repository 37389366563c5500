"""`llama4-explained lab`: the notebooks in a folder of the reader's own, opened in JupyterLab."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import UserError

PACKAGE = Path(__file__).parent
PLACES = (PACKAGE / "notebooks", PACKAGE.parent / "notebooks")  # in a wheel; in a checkout
DEFAULT_FOLDER = "llama4-notebooks"
# What only lessons need: Meta's tokenizer, and what Hugging Face's image processor is made of.
LESSONS_NEED = {"llama_models": "llama-models", "torchvision": "torchvision"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `llama4-explained lab`."""
    parser.add_argument(
        "folder", nargs="?", default=DEFAULT_FOLDER, help=f"where the notebooks go (default: {DEFAULT_FOLDER})"
    )
    parser.add_argument("--copy-only", action="store_true", help="copy the notebooks, and open nothing")
    parser.add_argument("--no-browser", action="store_true", help="start JupyterLab, and print its address only")


def run(arguments: argparse.Namespace) -> int:
    """Copy what is missing, then run JupyterLab until it is stopped; returns its exit code."""
    folder = Path(arguments.folder)
    copied, kept = copy_notebooks(packaged_notebooks(), folder)
    print(
        f"{folder} has {copied} new notebooks" + (f"; {kept} with changes of yours were left as they are." * bool(kept))
    )
    if missing := [package for module, package in LESSONS_NEED.items() if find_spec(module) is None]:
        print(f"Some lessons compare with what is not installed yet: pip install {' '.join(missing)}")
    if arguments.copy_only:
        return 0
    if find_spec("jupyterlab") is None:
        raise UserError("JupyterLab is not installed: pip install jupyterlab")
    options = ["--no-browser"] if arguments.no_browser else []
    return subprocess.run([sys.executable, "-m", "jupyter", "lab", *options, str(folder)], check=False).returncode


def packaged_notebooks() -> Path:
    """The folder of the notebooks that came with this package.

    Errors: UserError if it is not there.
    """
    for place in PLACES:
        if any(place.glob("*.ipynb")):
            return place
    raise UserError("this installation has no notebooks: pip install --force-reinstall llama4-explained")


def copy_notebooks(source: Path, folder: Path) -> tuple[int, int]:
    """Copy the notebooks and their solutions; what is there already stays as it is.

    Returns how many were copied, and how many that were there differ from the package's.

    Errors: UserError if the folder cannot be written.
    """
    copied = kept = 0
    try:
        for path in sorted(source.rglob("*.ipynb")):
            if ".ipynb_checkpoints" in path.parts:
                continue
            target = folder / path.relative_to(source)
            if target.exists():
                kept += target.read_bytes() != path.read_bytes()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            copied += 1
    except OSError as error:
        raise UserError(f"{error.filename or folder} could not be written: {error.strerror or error}") from error
    return copied, kept
