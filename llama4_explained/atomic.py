"""Several files that change together, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from .errors import UserError


@contextmanager
def written_together(folder: str | Path, obsolete: Iterable[str] = ()) -> Iterator[Path]:
    """A place to write files in; they move into `folder` when the block ends, and nothing moves if it fails.

    Files of the same names are replaced, files that match a pattern of `obsolete` go away, all others stay. After any
    failure (a full disk, Ctrl-C) the folder is as it was.

    Errors: UserError if something cannot be written.
    """
    folder = Path(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]  # innermost first
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Inside the folder itself, so that moving is renaming even where it is a disk of its own.
        with TemporaryDirectory(prefix=".saving-", dir=folder) as temporary, ExitStack() as undo:
            new, old = Path(temporary, "new"), Path(temporary, "old")
            new.mkdir()
            old.mkdir()
            yield new
            names = sorted(path.name for path in new.iterdir())
            gone = {*names, *(path.name for pattern in obsolete for path in folder.glob(pattern))}
            for name in sorted(gone):
                _move(folder / name, old / name, undo)
            for name in names:
                _move(new / name, folder / name, undo)
            undo.pop_all()
    except OSError as error:
        _remove_empty(missing)
        raise UserError(f"{folder} could not be written and is as it was: {error.strerror or error}") from error
    except BaseException:
        _remove_empty(missing)
        raise


def _move(source: Path, target: Path, undo: ExitStack) -> None:
    # Promised before it is done: Ctrl-C may come between any two lines.
    undo.callback(_move_if_there, target, source)
    _move_if_there(source, target)


def _move_if_there(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):
        os.replace(source, target)


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
