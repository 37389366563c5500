"""The page about the command line, from argparse's own description of it."""

from __future__ import annotations

import argparse
from importlib import import_module

from llama4_explained.cli import COMMANDS

from .source_folder import SourceFolder

PROGRAM = "llama4-explained"


def write_command_line(source: SourceFolder) -> None:
    source.write("cli.md", "\n".join([HEAD, *(command_section(name) for name in COMMANDS)]))


HEAD = f"""# Command line

`{PROGRAM} <command>`, or `python -m llama4_explained <command>`. What goes wrong is said in one line: the exit code is
2 for a mistake of the user's, 1 for a check that fails, 130 after Ctrl-C.
"""


def command_section(name: str) -> str:
    module, what = COMMANDS[name]
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {name}", formatter_class=NarrowFormatter)
    import_module(f"llama4_explained.{module}").add_arguments(parser)
    usage = parser.format_usage().removeprefix("usage: ")
    parts = [f"## {name}\n", what[0].upper() + what[1:] + ".\n", f"```text\n{usage}```\n"]
    parts += [argument(action, parser) for action in parser._actions if action.help != argparse.SUPPRESS]
    return "\n".join(parts)


def argument(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """One entry of a definition list: how to write it, what it means."""
    formatter = parser._get_formatter()
    if action.option_strings:
        values = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
        spellings = ", ".join(f"{spelling} {values}".strip() for spelling in action.option_strings)
    else:
        spellings = formatter._format_args(action, formatter._get_default_metavar_for_positional(action))
    meaning = (formatter._expand_help(action) if action.help else "").replace("<", "\\<").replace("*", "\\*")
    return f"`{spellings}`\n: {meaning or '-'}\n"


class NarrowFormatter(argparse.HelpFormatter):
    """Usage in lines that fit on a page, whatever the width of the terminal that builds it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=88)
