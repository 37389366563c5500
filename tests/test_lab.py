"""`llama4-explained lab`: notebooks are copied, and what a reader wrote is never lost."""

import subprocess
import sys

import pytest

from llama4_explained import UserError, cli, lab


def test_copies_all_notebooks_and_keeps_changes(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert cli.main(["lab", str(folder), "--copy-only"]) == 0
    source = lab.packaged_notebooks()
    names = {path.relative_to(folder) for path in folder.rglob("*.ipynb")}
    assert names == {path.relative_to(source) for path in source.rglob("*.ipynb") if "checkpoint" not in str(path)}
    assert f"{len(names)} new notebooks" in capsys.readouterr().out

    (folder / "00_tour.ipynb").write_text("my notes")
    (folder / "07_moe.ipynb").unlink()
    assert cli.main(["lab", str(folder), "--copy-only"]) == 0
    said = capsys.readouterr().out
    assert "1 new notebooks; 1 with changes of yours were left as they are." in said
    assert (folder / "00_tour.ipynb").read_text() == "my notes" and (folder / "07_moe.ipynb").exists()


def test_says_what_lessons_miss(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    assert cli.main(["lab", str(tmp_path / "mine"), "--copy-only"]) == 0
    assert "pip install llama-models torchvision\n" in capsys.readouterr().out


def test_opens_the_folder_in_jupyterlab(tmp_path, monkeypatch):
    started = []

    def start(command, check):
        started.append(command)
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(lab.subprocess, "run", start)
    assert cli.main(["lab", str(tmp_path / "mine"), "--no-browser"]) == 7
    assert started == [[sys.executable, "-m", "jupyter", "lab", "--no-browser", str(tmp_path / "mine")]]


def test_mistakes_are_explained(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["lab", str(tmp_path / "file" / "inside"), "--copy-only"]) == 2
    assert "could not be written" in capsys.readouterr().err
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    assert cli.main(["lab", str(tmp_path / "mine")]) == 2
    assert "pip install jupyterlab" in capsys.readouterr().err
    monkeypatch.setattr(lab, "PLACES", (tmp_path,))
    with pytest.raises(UserError, match="no notebooks"):
        lab.packaged_notebooks()
