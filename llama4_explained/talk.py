"""`llama4-explained generate` and `chat`: a checkpoint answers in the terminal."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from torch import Tensor

from .errors import UserError
from .generate import generate_tokens
from .kv_cache import KVCache
from .loading import load

HELP = "/image FILE shows a picture with your next message, /reset starts anew, /quit ends"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    parser.add_argument("checkpoint", help="a checkpoint's folder or hub id")
    if parser.prog.endswith("generate"):
        parser.add_argument("prompt", help="what to ask; - reads it from standard input")
    parser.add_argument(
        "--image", action="append", default=[], metavar="FILE", help="a picture to ask about; repeatable"
    )
    parser.add_argument("--system", metavar="TEXT", help="a system message")
    parser.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="at most so many (default 256)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 (default) always takes the likeliest token")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest tokens only")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw from the likeliest tokens that sum to P")
    parser.add_argument("--seed", type=int, help="makes draws repeatable")
    parser.add_argument("--quantize", metavar="FORMAT", help="int8, int4, ...: quantise while loading")
    parser.add_argument("--device", help="cpu, cuda, mps (default: cuda if there is one)")


def run(arguments: argparse.Namespace) -> int:
    """Answer one prompt, or hold a conversation until /quit or the end of input."""
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    model, processor = load(arguments.checkpoint, quantize=arguments.quantize, device=device)
    if processor is None:
        raise UserError(f"{arguments.checkpoint} has no tokenizer, so it cannot talk")
    names = ("max_new_tokens", "temperature", "top_k", "top_p", "seed")
    settings = {name: getattr(arguments, name) for name in names}
    conversation = Conversation(model, processor, arguments.system, settings)
    if arguments.command == "generate":
        prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
        conversation.ask(prompt, arguments.image)
        return 0
    print(HELP)
    images = list(arguments.image)
    while (line := _read_line()) not in (None, "/quit"):
        if line == "/reset":
            conversation.reset()
        elif line.startswith("/image "):
            images.append(line.removeprefix("/image ").strip())
        elif line.startswith("/"):
            print(HELP)
        elif line:
            try:
                conversation.ask(line, images)
            except UserError as error:  # nothing is lost: the conversation stands where it stood
                print(error, file=sys.stderr)
            images = []
    return 0


def _read_line() -> str | None:
    try:
        return input("you> ").strip()
    except EOFError:
        print()
        return None


class Conversation:
    """A conversation that remembers: each turn computes only what is new."""

    def __init__(self, model: Any, processor: Any, system: str | None, settings: dict[str, Any]) -> None:
        self.model, self.processor, self.settings = model, processor, settings
        self._system = [{"role": "system", "content": system}] if system else []
        self.reset()

    def reset(self) -> None:
        """Forget everything but the system message."""
        self._cache = KVCache(self.model.text_config)
        self._inputs: dict[str, Tensor] | None = None
        self._output: Tensor | None = None

    def ask(self, text: str, images: list[str]) -> None:
        """Print the answer while it is written. Ctrl-C ends the answer; what was written stays part of the talk.

        Errors: UserError as `Processor` and `generate`.
        """
        content = [{"type": "image", "path": path} for path in images] + [{"type": "text", "text": text}]
        message = {"role": "user", "content": content}
        if self._inputs is None or self._output is None:
            inputs = self.processor([*self._system, message])
        else:
            inputs = self.processor.continue_turn(self._inputs, self._output, [message])
        inputs = inputs.to(next(self.model.parameters()).device)
        written = [inputs["input_ids"]]
        decoder = self.processor.stream_decoder()
        try:
            for token in generate_tokens(self.model, **inputs, cache=self._cache, **self.settings):
                written.append(token[:, None])
                print(decoder.push(int(token)), end="", flush=True)
        except KeyboardInterrupt:
            self._cache = KVCache(self.model.text_config)  # it may have stopped inside a layer
        print(decoder.flush())
        self._inputs, self._output = inputs, torch.cat(written, dim=1)
