"""The tool that puts a trained tiny model and its measurements into the package."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "pack_tiny.py"


def entry(right):
    return {"right": right, "questions": 10}


@pytest.fixture
def folders(tmp_path):
    checkpoint, evaluation = tmp_path / "seed4", tmp_path / "evaluation"
    checkpoint.mkdir()
    evaluation.mkdir()
    layout = {"seeing": 3000, "pictures": [8, 2], "texts": 3, "languages": ["en", "th"]}
    record = {"recipe": {"seed": 4, "steps": 12000, "layout": layout}, "device": "a GPU", "seconds": 90.0}
    (checkpoint / "training.json").write_text(json.dumps(record))
    (checkpoint / "model.safetensors").write_bytes(bytes(5_000_000))
    (checkpoint / "training.png").write_bytes(b"curves")
    report = {
        "questions": 10,
        "checkpoints": [{"name": "seed4", "summary": {"caption": entry(0.987), "unseen": entry(0.5)}}, {}],
        "mean": {"summary": {"caption": entry(0.96), "unseen": entry(0.55)}},
    }
    (evaluation / "evaluation.json").write_text(json.dumps(report))
    return checkpoint, evaluation


@pytest.fixture
def tool():
    specification = importlib.util.spec_from_file_location("pack_tiny", TOOL)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def pack(tool, monkeypatch):
    def run(checkpoint, evaluation, target):
        arguments = ["pack_tiny.py", str(checkpoint), str(evaluation), "--target", str(target)]
        monkeypatch.setattr(sys, "argv", arguments)
        return tool.main()

    return run


def test_checkpoint_measurements_and_card_are_put_together(folders, tmp_path, pack):
    target = tmp_path / "target"
    target.mkdir()
    (target / "model-of-old.safetensors").write_bytes(b"old")
    assert pack(*folders, target) == 0
    names = {"README.md", "evaluation.json", "model.safetensors", "training.json"}
    assert {path.name for path in target.iterdir()} == names
    card = (target / "README.md").read_text()
    assert "| caption | 98.7 | 96.0 |" in card and "| unseen | 50.0 | 55.0 |" in card
    assert "2.5 million weights" in card and "language: [en, th]" in card
    assert "In the first 3,000, only" in card
    assert "--seed 4`, on a GPU, in 1.5 minutes: 12,000 steps of 13\nconversations" in card


def test_what_does_not_belong_together_is_refused(folders, tmp_path, pack, capsys):
    checkpoint, evaluation = folders
    other = checkpoint.rename(tmp_path / "seed5")
    assert pack(other, evaluation, tmp_path / "target") == 2
    assert "measured seed4 first, not seed5" in capsys.readouterr().err
    assert not (tmp_path / "target").exists()


def test_what_is_too_large_is_refused(folders, tmp_path, pack, capsys):
    (folders[0] / "model.safetensors").write_bytes(bytes(12 * 2**20))
    assert pack(*folders, tmp_path / "target") == 2
    assert "at most 12,582,912" in capsys.readouterr().err


def test_one_checkpoint_has_one_column(tool):
    report = {"checkpoints": [{"summary": {"count": entry(1.0)}}], "mean": {"summary": {"count": entry(1.0)}}}
    assert tool.accuracy_table(report) == "| | this model |\n|---|---:|\n| count | 100.0 |"
