"""tools/fuzz.py: goes on while ours equals HF, and else leaves a small case that can be run again."""

import importlib.util
import shlex
import sys
from pathlib import Path

import pytest

from llama4_explained import attention
from llama4_explained.check.random_configs import Case

TOOL = Path(__file__).parents[1] / "tools" / "fuzz.py"


def run_tool(monkeypatch, *arguments):
    spec = importlib.util.spec_from_file_location("fuzz", TOOL)
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)
    monkeypatch.setattr(sys, "argv", ["fuzz.py", *arguments])
    return fuzz.main()


def last_command(capsys):
    """The arguments of the command that was printed last."""
    *_, line = (line for line in capsys.readouterr().out.splitlines() if line.startswith("python tools/fuzz.py"))
    return shlex.split(line)[2:]


def test_a_model_that_equals_hf_passes(monkeypatch, capsys):
    assert run_tool(monkeypatch, "--minutes", "0.01", "--seed", "5") == 0
    assert "from seed 5 on" in capsys.readouterr().out


def test_a_mistake_leaves_a_small_case_that_shows_it_again(monkeypatch, capsys):
    right = attention.allowed_keys
    monkeypatch.setattr(attention, "allowed_keys", lambda query, key, chunk_size: right(query, key, None))
    assert run_tool(monkeypatch, "--minutes", "1", "--seed", "1") == 1
    reproduce = last_command(capsys)
    case = Case.from_json(reproduce[1])
    assert (case.config.num_layers, len(case.rows), case.cuts) == (1, 2, ())  # two rows, because only padding shows it

    assert run_tool(monkeypatch, *reproduce) == 1
    monkeypatch.setattr(attention, "allowed_keys", right)
    assert run_tool(monkeypatch, *reproduce) == 0


def test_a_crash_names_its_case(monkeypatch, capsys):
    monkeypatch.setattr(attention, "attend", lambda *inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_tool(monkeypatch, "--minutes", "1", "--seed", "1")
    with pytest.raises(ZeroDivisionError):
        run_tool(monkeypatch, *last_command(capsys))


def test_what_is_not_a_case_is_one_line(monkeypatch, capsys):
    assert run_tool(monkeypatch, "--reproduce", "{}") == 2
    assert capsys.readouterr().err.startswith("fuzz: this is not a case")
