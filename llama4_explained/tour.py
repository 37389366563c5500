"""`llama4-explained tour`: one photograph and one question, through every box of Llama 4, beside Hugging Face's."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from .config import Llama4Config
from .errors import UserError
from .images import TiledImage, prepare_image, tile_image
from .presets import SCOUT, TINY
from .processor import Processor
from .tokenizer import Tokenizer

QUESTION = "Who is this, and what is she wearing?"
WIDTH = 100  # characters of the printed page
PICTURES = (".png", ".pdf", ".svg", ".jpg")
# A difference up to this many rounding floors is rounding; a mechanism gone wrong gives thousands.
FLOORS = 50


@dataclass(frozen=True)
class Stop:
    """One line of the tour: a tensor's name in the trace, and what it means."""

    name: str
    meaning: str


def tour_config(vocab_size: int) -> Llama4Config:
    """A small Llama 4 that takes real photographs and Llama 4's own token ids; chunks short enough to show.

    Units:  tiles of 336 pixels and 144 image tokens each, as in Scout; chunks of 256 tokens.
    """
    text = replace(
        TINY.text, vocab_size=vocab_size, chunk_size=256, floor_scale=256,
        bos_id=SCOUT.text.bos_id, eos_ids=SCOUT.text.eos_ids, pad_id=SCOUT.text.pad_id,
    )  # fmt: skip
    return replace(SCOUT, text=text, vision=replace(TINY.vision, image_size=SCOUT.vision.image_size, num_layers=2))


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
        "--question", default=QUESTION, metavar="TEXT", help=f"what to ask about it (default: {QUESTION})"
    )
    parser.add_argument(
        "--output", default="tour.png", metavar="FILE", help="where to draw the journey (default tour.png)"
    )
    parser.add_argument("--new-tokens", type=int, default=16, metavar="N", help="tokens to write (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights (default 0)")


def run(arguments: argparse.Namespace) -> int:
    """Walk the whole way, print every stop, draw the journey. Returns 1 if a stop differs from HF's."""
    from .check.hf_trace import hf_trace
    from .check.twins import in_float64, pair
    from .show.journey import Journey, default_photograph, save_journey

    _require_drawable(arguments.output)
    photograph = prepare_image(arguments.image) if arguments.image else default_photograph()
    processor = Processor(llama4_tokenizer())
    config = tour_config(processor.tokenizer.vocab_size)
    page = Page()
    page.text(
        f"This model has RANDOM weights (seed {arguments.seed}): no trained checkpoint ships yet. So its "
        "words mean nothing, but every tensor on the way is what Llama 4 makes of such weights, and is compared with "
        "Hugging Face's."
    )

    page.heading("Image: photograph -> canvas -> tiles")
    tiled = tile_image(photograph)
    page.text(_about_the_canvas(photograph.size, tiled))
    content = [{"type": "image", "image": photograph}, {"type": "text", "text": arguments.question}]
    messages = [{"role": "user", "content": content}]
    inputs = processor(messages)
    theirs_inputs = hf_inputs(processor, messages)
    pixels_differ = float((inputs["pixel_values"].float() - theirs_inputs["pixel_values"].float()).abs().max())
    page.row(
        "pixel_values", inputs["pixel_values"], "tiles, the global one last; colours from -1 to 1", pixels_differ, 0.0
    )

    page.heading("Text: the image's places and the question, as one list of token ids")
    ids = inputs["input_ids"]
    page.text(abridged(processor, ids[0].tolist(), config.patch_id))
    ids_differ = (
        float((ids != theirs_inputs["input_ids"]).sum()) if ids.shape == theirs_inputs["input_ids"].shape else 1.0
    )
    page.row("input_ids", ids, "token ids; every image token has its place", ids_differ, 0.0)

    ours, theirs = pair(config, seed=arguments.seed, std=TINY.text.init_std)
    pixel_values = inputs["pixel_values"].float()
    trace = ours.trace(ids, pixel_values=pixel_values, logits_to_keep=1)
    with torch.no_grad(), hf_trace(theirs) as reference:
        theirs(input_ids=ids, pixel_values=pixel_values, logits_to_keep=1, use_cache=False)
    with in_float64(theirs), hf_trace(theirs) as exact:
        theirs(input_ids=ids, pixel_values=pixel_values.double(), logits_to_keep=1, use_cache=False)
    for title, stops in itinerary(config):
        page.heading(title)
        for stop in stops:
            tensor = trace[stop.name]
            if stop.name not in reference:
                page.row(stop.name, tensor, stop.meaning, None, 0.0)
                continue
            theirs_here = reference[stop.name].double()
            difference = float((tensor.double() - theirs_here.view_as(tensor)).abs().max())
            floor = float((theirs_here - exact[stop.name].double()).abs().max())
            page.row(stop.name, tensor, stop.meaning, difference, floor)

    page.heading("Words: the likeliest token, again and again")
    written = ours.generate(ids, pixel_values=pixel_values, max_new_tokens=arguments.new_tokens, stop_ids=())
    expected = theirs.generate(
        input_ids=ids, pixel_values=pixel_values, max_new_tokens=arguments.new_tokens, do_sample=False,
        eos_token_id=None, pad_token_id=config.text.pad_id,
    )  # fmt: skip
    new = written[0, ids.shape[1] :]
    page.row("new_ids", new[None], "what the model writes after the prompt", float((written != expected).sum()), 0.0)
    page.text(f"It writes: {processor.decode(new)!r}")

    probabilities = trace["logits"][0, -1].softmax(-1).topk(10)
    choices = [
        (processor.decode([token]), value)
        for token, value in zip(probabilities.indices.tolist(), probabilities.values.tolist(), strict=True)
    ]
    control_ids = frozenset(processor.tokenizer.special_ids.values())
    journey = Journey(
        config, photograph, tiled, ids, control_ids, trace, choices, f"random weights, seed {arguments.seed}"
    )
    save_journey(journey, arguments.output)
    return page.close(arguments.output)


def _require_drawable(path: str) -> None:
    """Before the work, not after it."""
    if not Path(path).resolve().parent.is_dir():
        raise UserError(f"cannot draw into {path}: there is no folder {Path(path).resolve().parent}")
    if Path(path).suffix not in PICTURES:
        raise UserError(f"cannot draw into {path}: give it one of the endings {', '.join(PICTURES)}")


class Page:
    """The printed tour: headings, sentences and rows, and what came of the comparisons."""

    def __init__(self) -> None:
        self.compared, self.wrong, self.headings = 0, [], 0
        self._header_due = False

    def heading(self, title: str) -> None:
        self.headings += 1
        self._header_due = True
        print(f"\n{self.headings}. {title}")

    def text(self, sentence: str) -> None:
        from textwrap import fill

        print(fill(sentence, WIDTH, initial_indent="   ", subsequent_indent="   "))

    def row(self, name: str, tensor: Tensor, meaning: str, difference: float | None, floor: float) -> None:
        """`difference` None: HF has no such tensor by itself."""
        if self._header_due:
            print(f"   {'tensor':<31}{'shape':<20}{'from HF':>9}{'rounding':>10}  meaning")
            self._header_due = False
        shown = "" if difference is None else "equal" if difference == 0 else f"{difference:.1e}"
        rounding = "" if difference is None or floor == 0 else f"{floor:.1e}"
        print(f"   {name:<31}{list(tensor.shape)!s:<20}{shown:>9}{rounding:>10}  {meaning}")
        if difference is not None:
            self.compared += 1
            if not difference <= FLOORS * floor:
                self.wrong.append(name)

    def close(self, picture: str) -> int:
        print()
        if self.wrong:
            print(f"{len(self.wrong)} of {self.compared} tensors differ from Hugging Face's: {', '.join(self.wrong)}")
            return 1
        print(
            f"All {self.compared} tensors equal Hugging Face's, within {FLOORS} times the rounding of float32 "
            "(column 'rounding':\nhow far Hugging Face's own float32 is from its float64)."
        )
        print(f"The journey as a picture: {picture}")
        return 0


def hf_inputs(processor: Processor, messages: list[dict]) -> dict[str, Tensor]:
    """The same messages through HF's own processor, loaded from what ours saves.

    Errors: UserError if torchvision, which HF's image processor needs, is not installed.
    """
    if find_spec("torchvision") is None:
        raise UserError("the tour compares with Hugging Face's image processor, which needs: pip install torchvision")
    from transformers import AutoProcessor

    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        theirs = AutoProcessor.from_pretrained(folder)
        return theirs.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )


def abridged(processor: Processor, ids: list[int], patch_id: int) -> str:
    """Token ids as text, runs of patch tokens counted."""
    pieces: list[str] = []
    start = 0
    while start < len(ids):
        stop = start
        while stop < len(ids) and (ids[stop] == patch_id) == (ids[start] == patch_id):
            stop += 1
        text = processor.decode(ids[start:stop]).replace("\n", "\\n")
        pieces.append(f" <|patch|> x {stop - start} " if ids[start] == patch_id else text)
        start = stop
    return "".join(pieces)


def _about_the_canvas(size: tuple[int, int], tiled: TiledImage) -> str:
    tile = tiled.pixel_values.shape[-1]
    canvas = f"{tiled.columns * tile} x {tiled.rows * tile}"
    if not tiled.has_global_tile:
        return f"The picture of {size[0]} x {size[1]} pixels fits one tile of {tile} x {tile}."
    return (
        f"The picture of {size[0]} x {size[1]} pixels goes on a canvas of {canvas}: {tiled.rows} rows of "
        f"{tiled.columns} tiles. One more tile shows the whole picture, squeezed into {tile} x {tile}."
    )


def itinerary(config: Llama4Config) -> Iterator[tuple[str, list[Stop]]]:
    """The stops inside the model: chapter by chapter."""
    vision, text = config.vision, config.text
    yield (
        "Vision: every tile by itself",
        [
            Stop(
                "vision.patches",
                f"{vision.num_patches} patches of {vision.patch_size} x {vision.patch_size} pixels a tile",
            ),
            *(
                Stop(f"vision.layers.{i}.output", f"after vision layer {i}; the class token is the last")
                for i in range(vision.num_layers)
            ),
            Stop("vision.encoded", "after the last norm"),
            Stop("vision.adapter.shuffled", f"pixel shuffle: {vision.shuffle} x {vision.shuffle} patches side by side"),
            Stop("vision.image_tokens", f"{vision.tokens_per_tile} image tokens a tile"),
        ],
    )
    yield (
        "Fusion: image tokens take their places among the words",
        [
            Stop("embeddings", "token embeddings, placeholders included"),
            Stop("fusion.projected", "image tokens, as wide as the text"),
            Stop("fusion.embeddings", "one sequence; from here on nothing knows which was which"),
        ],
    )
    plan = text.layer_plan
    shown = sorted({0, next((i for i, layer in enumerate(plan) if not layer.uses_rope), 0)})
    for i in shown:
        kind = (
            f"rotates positions, looks inside chunks of {text.chunk_size}"
            if plan[i].uses_rope
            else "no positions, looks everywhere"
        )
        stops = [
            Stop("query", "after rotation and norm" if plan[i].uses_rope else "scaled by position"),
            Stop("key", f"{text.num_kv_heads} heads serve {text.num_query_heads} of the queries"),
            Stop("weights", "who looks at whom"),
        ]
        if not plan[i].uses_rope and text.temperature_tuning:
            stops.insert(0, Stop("temperature", "the queries' scale"))
        stops = [Stop(f"layers.{i}.attention.{stop.name}", stop.meaning) for stop in stops]
        stops.append(Stop(f"layers.{i}.after_attention", "added to what came in"))
        if plan[i].is_moe:
            stops += [
                Stop(f"layers.{i}.moe.router_logits", f"router: a logit for each of {text.num_experts} experts"),
                Stop(f"layers.{i}.moe.expert_index", "the expert it chooses"),
                Stop(f"layers.{i}.moe.router_score", "sigmoid of that logit; scales the expert's input"),
                Stop(f"layers.{i}.moe.routed_output", "what the chosen experts say"),
                Stop(f"layers.{i}.moe.shared_output", "what the shared expert says to every token"),
            ]
        stops.append(Stop(f"layers.{i}.output", "all added up"))
        yield f"Layer {i}: {kind}", stops
    yield "The other layers", [
        Stop(f"layers.{i}.output", "RoPE, chunked" if layer.uses_rope else "NoPE, global")
        for i, layer in enumerate(plan) if i not in shown
    ]  # fmt: skip
    yield (
        "Logits: one number for every token of the vocabulary",
        [
            Stop("hidden_states", "after the last norm"),
            Stop("logits", "of the last position: what comes next"),
        ],
    )
