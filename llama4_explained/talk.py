"""`llama4-explained generate` and `chat`: a checkpoint answers in the terminal."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from .errors import UserError
from .generate import generate_tokens
from .hub import PACKAGED
from .image_input import ImageSource, prepare_image
from .kv_cache import KVCache
from .loading import load
from .processor import Processor
from .show.terminal import print_picture
from .tiny.gallery import LIMIT, scene_to_show
from .tiny.languages import BY_CODE
from .tiny.languages.language import Thing
from .tiny.pictures import draw_scene
from .tiny.scenes import TILE

HELP = "/image FILE shows a picture with your next message, /reset starts anew, /quit ends"
SCENE_HELP = "/scene [NUMBER] draws a picture, and begins a new conversation about it"
ANY_SCENE = 10_000  # /scene without a number draws one of so many: the numbers stay short


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    parser.add_argument("checkpoint", help=f"a checkpoint's folder or hub id, or {PACKAGED}, the one in this package")
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
    _chat(conversation, [prepare_image(image) for image in arguments.image], _help(processor, arguments.checkpoint))
    return 0


def _help(processor: Processor, checkpoint: str) -> str:
    lines = [HELP]
    if processor.image_settings.tile_size == TILE:
        lines.append(SCENE_HELP)
    if checkpoint == PACKAGED:
        english, spanish = BY_CODE["en"], BY_CODE["es"]
        examples = english.ask_caption(), english.ask_existence(Thing("star", "red")), spanish.ask_count()
        known = f"{len(BY_CODE)} languages ({', '.join(BY_CODE)})"
        lines.append(f"This model knows scenes of coloured shapes, in {known}, and nothing else.")
        lines.append(f"After /scene, ask for example: {' '.join(examples)}")
    return "\n".join(lines)


def _chat(conversation: Conversation, images: list[ImageSource], help: str) -> None:
    """Read and obey, line by line. After a mistake nothing is lost: the conversation stands where it stood."""
    print(help)
    while (line := _read_line()) not in (None, "/quit"):
        command, _, argument = line.partition(" ")
        try:
            if command == "/reset":
                conversation.reset()
                images = []
            elif command == "/image" and argument:
                images.append(prepare_image(argument.strip()))
            elif command == "/scene":
                images = [_show_scene(conversation.processor, argument.strip())]
                conversation.reset()  # it was trained on conversations about one picture
            elif line.startswith("/"):
                print(help)
            elif line:
                conversation.ask(line, images)
                images = []
        except UserError as error:
            print(error, file=sys.stderr)


def _show_scene(processor: Processor, number: str) -> Image.Image:
    """Draw a scene, any one if `number` is empty; save it, show it where the terminal can, and say so.

    Errors: UserError if the model's tiles are not a scene's, if there is no such scene, or it cannot be saved.
    """
    if (size := processor.image_settings.tile_size) != TILE:
        raise UserError(f"scenes are made of tiles of {TILE} pixels, this model's have {size}: use /image")
    if number and (not number.isdecimal() or len(number) >= len(str(LIMIT))):
        raise UserError(f"/scene takes a number below {LIMIT}, as in /scene 7, or nothing; got {number[:40]!r}")
    chosen = int(number) if number else random.randrange(ANY_SCENE)
    picture, file = draw_scene(scene_to_show(chosen)), f"scene-{chosen}.png"
    try:
        picture.save(file)
    except OSError as error:
        raise UserError(f"cannot save the scene as {file}: {error.strerror or error}") from error
    print_picture(picture)
    print(f"Scene {chosen}, saved as {file}; a new conversation begins.")
    return picture


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

    def ask(self, text: str, images: Sequence[ImageSource]) -> None:
        """Print the answer while it is written. Ctrl-C ends the answer; what was written stays part of the talk.

        Errors: UserError as `Processor` and `generate`.
        """
        content = [{"type": "image", "image": image} for image in images] + [{"type": "text", "text": text}]
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
