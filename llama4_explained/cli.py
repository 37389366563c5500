"""The command line: `llama4-explained <command>`, the same as `python -m llama4_explained <command>`.

Each command lives in a module with `add_arguments(parser)` and `run(arguments) -> exit code`; only the chosen one is
imported.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from .errors import UserError

COMMANDS = {
    "tour": ("tour", "follow a picture and a question through every box of Llama 4, to the answer"),
    "check": ("check.run", "compare every piece with Hugging Face's, on this machine"),
    "lab": ("lab", "copy the notebooks into a folder of your own and open them in JupyterLab"),
    "generate": ("talk", "answer one prompt, with or without pictures"),
    "chat": ("talk", "hold a conversation"),
    "plan": ("memory", "what a run will need, and which GPUs hold it, before anything is loaded"),
    "train-tiny": ("tiny.train", "train the tiny model of this package from scratch"),
    "evaluate": ("tiny.evaluate", "measure how often tiny models are right, at what, and what fewer bits cost them"),
    "benchmark": ("benchmark", "measure this implementation against Hugging Face's"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns the exit code: 0, 1 if a check failed, 2 for a mistake that the printed line explains, 130 after Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="llama4-explained", description="Llama 4, built piece by piece.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            import_module(f".{module}", __package__).add_arguments(subparser)
    arguments = parser.parse_args(argv)
    try:
        return import_module(f".{COMMANDS[arguments.command][0]}", __package__).run(arguments)
    except UserError as error:
        print(f"llama4-explained: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
