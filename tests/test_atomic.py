"""Files that change together: whatever fails, and wherever, the folder is as it was."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from llama4_explained import UserError
from llama4_explained.atomic import written_together

OLD = {"a": "old a", "b": "old b", "model-1": "old weights", "tokenizer": "theirs"}
NEW = {"a": "new a", "model-2": "new weights", "c": "new c"}
RESULT = {"a": "new a", "b": "old b", "tokenizer": "theirs", "model-2": "new weights", "c": "new c"}


def fill(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}  # fails on a folder that was left behind


def save(folder: Path) -> None:
    with written_together(folder, obsolete=["model-*"]) as new:
        fill(new, NEW)


def test_new_files_replace_obsolete_ones_go_others_stay(tmp_path: Path):
    folder = fill(tmp_path / "folder", OLD)
    save(folder)
    assert content(folder) == RESULT


def test_a_folder_that_is_not_there_yet(tmp_path: Path):
    save(tmp_path / "new" / "folder")
    assert content(tmp_path / "new" / "folder") == NEW


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [True, False])
def test_failure_while_writing(tmp_path: Path, error: BaseException, existing: bool):
    folder = fill(tmp_path / "folder", OLD) if existing else tmp_path / "new" / "folder"
    expected = UserError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as raised, written_together(folder, obsolete=["model-*"]) as new:
        fill(new, NEW)
        raise error
    if expected is UserError:
        assert str(raised.value) == f"{folder} could not be written and is as it was: No space left on device"
    assert content(folder) == OLD if existing else list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_failure_while_moving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, when: str):
    rename = os.replace
    failed = 0
    for fatal in range(12):  # more than there are moves
        folder = fill(tmp_path / str(fatal), OLD)
        calls = iter(range(100))

        def replace(source: Path, target: Path, fatal: int = fatal, calls: Iterator[int] = calls) -> None:
            now = next(calls) == fatal
            if now and when == "before":
                raise error
            rename(source, target)
            if now:
                raise error

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", replace)
            try:
                save(folder)
            except (UserError, KeyboardInterrupt) as raised:
                assert isinstance(raised, UserError) == isinstance(error, OSError)
                assert content(folder) == OLD
                failed += 1
            else:
                assert content(folder) == RESULT
    assert failed >= 5  # two old files are taken away, three new ones are brought


def test_a_file_where_the_folder_should_be(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="could not be written and is as it was: File exists"):
        save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
