"""`llama4-explained tour`: a photograph becomes tokens, a scene goes through all of Llama 4 and comes out as words."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from .check.compare import exactly
from .check.differences import compare_runs
from .check.hf_checkpoint import hf_inputs, hf_processor, read_both
from .errors import UserError
from .hub import PACKAGED
from .images import TiledImage, prepare_image, tile_image
from .model import Llama4
from .processor import ModelInputs, Processor
from .show.itinerary import itinerary
from .show.journey import Journey, default_photograph, save_journey
from .show.page import MARGIN, Page, abridged
from .show.terminal import print_picture
from .tiny.gallery import ask_about, questions_about, scene_to_show
from .tiny.languages import BY_CODE
from .tiny.pictures import draw_scene
from .tiny.tasks import Turn
from .tokenizer import Tokenizer
from .trace import Trace

QUESTION = "Who is this, and what is she wearing?"
SCENE = 295  # two by two tiles, four objects
LONGEST_ANSWER = 96  # tokens
PICTURES = (".png", ".pdf", ".svg", ".jpg")


def llama4_tokenizer() -> Tokenizer:
    """Llama 4's own tokenizer, from Meta's package.

    Errors: UserError if that package is not installed.
    """
    package = find_spec("llama_models")
    if package is None or package.origin is None:
        raise UserError("the tour reads Llama 4's tokenizer from Meta's package: pip install llama-models")
    return Tokenizer.from_pretrained(Path(package.origin).parent / "llama4" / "tokenizer.model")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `llama4-explained tour`."""
    parser.add_argument("--image", metavar="FILE", help="your own picture (default: a portrait of Grace Hopper)")
    parser.add_argument(
        "--question", default=QUESTION, metavar="TEXT", help=f"what to write beside that picture (default: {QUESTION})"
    )
    parser.add_argument(
        "--scene", type=int, default=SCENE, metavar="NUMBER", help=f"the scene to ask about (default {SCENE})"
    )
    parser.add_argument(
        "--language", choices=[code for code in BY_CODE if code != "en"], default="es",
        help="to ask in, beside English (default es)",
    )  # fmt: skip
    parser.add_argument(
        "--output", default="tour.png", metavar="FILE", help="where to draw the journey (default tour.png)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Walk the whole way, print every stop, draw the journey. Returns 1 if a stop differs from HF's."""
    _require_drawable(arguments.output)
    scene = scene_to_show(arguments.scene)
    photograph = prepare_image(arguments.image) if arguments.image else default_photograph()
    llama4_processor = Processor(llama4_tokenizer())
    page = Page()
    page.text(
        "From a picture to words, in the order in which Llama 4 computes, and every step compared with Hugging Face's. "
        "First a photograph becomes tiles and tokens, at Llama 4's own sizes and with its own tokenizer."
    )
    page.heading("A photograph: canvas, tiles, and one list of token ids")
    _preprocess(page, llama4_processor, hf_processor(llama4_processor), photograph, arguments.question)

    ours, theirs, processor = read_both(PACKAGED)
    millions = sum(parameter.numel() for parameter in ours.parameters()) / 1e6
    page.heading("A scene: the same again, in smaller tiles")
    page.text(
        f"From here on a trained Llama 4 of {millions:.0f} million weights computes. It is built like the large one, "
        "but it knows scenes like this one, not photographs."
    )
    picture = draw_scene(scene)
    print_picture(picture, MARGIN)
    inputs = _preprocess(page, processor, hf_processor(PACKAGED), picture, BY_CODE["en"].ask_caption())
    trace = _walk(page, ours, theirs, inputs)

    page.heading("Words: the likeliest token, again and again, in two languages")
    turns = questions_about(scene, (BY_CODE["en"], BY_CODE[arguments.language]))
    num_right = sum(_answer(page, ours, theirs, processor, picture, turn) for turn in turns)
    page.text(f"{num_right} of {len(turns)} answers are right.")

    journey = Journey.of(ours.config, processor, picture, inputs["input_ids"], trace, "trained weights")
    save_journey(journey, arguments.output)
    return page.close(arguments.output)


def _require_drawable(path: str) -> None:
    """Before the work, not after it."""
    if not Path(path).resolve().parent.is_dir():
        raise UserError(f"cannot draw into {path}: there is no folder {Path(path).resolve().parent}")
    if Path(path).suffix not in PICTURES:
        raise UserError(f"cannot draw into {path}: give it one of the endings {', '.join(PICTURES)}")


def _preprocess(page: Page, processor: Processor, theirs: Any, picture: Image.Image, question: str) -> ModelInputs:
    """A picture and a question as the model takes them, by our processor and by HF's."""
    messages = ask_about(picture, question)
    inputs, expected = processor(messages), hf_inputs(theirs, messages)
    page.text(_about_the_canvas(picture.size, tile_image(picture, **vars(processor.image_settings))))
    page.text(abridged(processor, inputs["input_ids"][0].tolist()))
    for name, meaning in (
        ("pixel_values", "tiles, the global one last; colours from -1 to 1"),
        ("input_ids", "token ids; every image token has its place"),
    ):
        page.row(name, inputs[name], meaning, exactly(name, inputs[name], expected[name]))
    return inputs


def _about_the_canvas(size: tuple[int, int], tiled: TiledImage) -> str:
    tile = tiled.pixel_values.shape[-1]
    canvas = f"{tiled.columns * tile} x {tiled.rows * tile}"
    if not tiled.has_global_tile:
        return f"The picture of {size[0]} x {size[1]} pixels fits one tile of {tile} x {tile}."
    return (
        f"The picture of {size[0]} x {size[1]} pixels goes on a canvas of {canvas}: {tiled.rows} x {tiled.columns} "
        f"tiles (rows x columns). One more tile shows the whole picture, squeezed into {tile} x {tile}."
    )


def _walk(page: Page, ours: Llama4, theirs: Any, inputs: ModelInputs) -> Trace:
    """Every stop inside the model, compared."""
    ids, pixel_values = inputs["input_ids"], inputs["pixel_values"].float()
    results = {result.name: result for result in compare_runs(ours, theirs, ids, pixel_values)}
    trace = ours.trace(ids, pixel_values=pixel_values)
    for title, stops in itinerary(ours.config):
        page.heading(title)
        for stop in stops:
            page.row(stop.name, trace[stop.name], stop.meaning, results.get(stop.name))
    return trace


def _answer(page: Page, ours: Llama4, theirs: Any, processor: Processor, picture: Image.Image, turn: Turn) -> bool:
    """One answer, by both models. Returns whether it is right."""
    inputs = processor(ask_about(picture, turn.question))
    inputs["pixel_values"] = inputs["pixel_values"].float()
    written = ours.generate(**inputs, max_new_tokens=LONGEST_ANSWER)
    expected = theirs.generate(**inputs, max_new_tokens=LONGEST_ANSWER, do_sample=False)
    answer = processor.decode(written[0, inputs["input_ids"].shape[1] :], skip_special=True)
    page.answer(BY_CODE[turn.language].name, turn, answer, torch.equal(written, expected))
    return answer == turn.answer
