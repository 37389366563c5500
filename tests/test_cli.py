"""The command line: exit codes, and one readable line for every mistake."""

import argparse
import subprocess
import sys
from importlib import import_module

import pytest

from llama4_explained import cli
from llama4_explained.errors import UserError


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main([name, "--help"])
    assert exit.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert cli.COMMANDS[name][1][1:].split(",")[0] in text


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_arguments_and_run(name):
    module = import_module(f"llama4_explained.{cli.COMMANDS[name][0]}")
    module.add_arguments(argparse.ArgumentParser(prog=f"llama4-explained {name}"))
    assert callable(module.run)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["generate", "no/such-checkpoint-here/at-all", "Hello"], "no/such-checkpoint-here"),
        (["plan", "no-such-config"], "no-such-config"),
        (["plan", "scout", "--context", "-1"], "context"),
        (["tour", "--image", "no-such-picture.jpg"], "no-such-picture.jpg"),
        (["check", "--pieces", "no_such_piece"], "no_such_piece"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, says, capsys):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and "Traceback" not in error


def test_a_check_that_fails_gives_exit_code_1(monkeypatch):
    module = import_module("llama4_explained.memory")
    monkeypatch.setattr(module, "run", lambda arguments: 1)
    assert cli.main(["plan", "scout"]) == 1


def test_ctrl_c_gives_exit_code_130(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("llama4_explained.memory"), "run", interrupted)
    assert cli.main(["plan", "scout"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_other_errors_are_not_hidden(monkeypatch):
    def broken(arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(import_module("llama4_explained.memory"), "run", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["plan", "scout"])


def test_unknown_command_exits_with_2(capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main(["nonsense"])
    assert exit.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_python_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "llama4_explained", "plan", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("llama4-explained: ") and done.stderr.count("\n") == 1


def test_user_error_is_a_value_error():
    assert issubclass(UserError, ValueError)
