"""One picture of a whole run: from a picture to the next word, in nine panels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from unicodedata import bidirectional, name

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cbook import get_sample_data
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from ..config import Llama4Config
from ..images import TiledImage, tile_image
from ..masks import allowed_keys
from ..processor import Processor
from ..trace import Trace
from .colors import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY_BLUE, VERMILION, YELLOW
from .files import save_figure

# For more than eight experts, darker cousins of the first eight.
EXPERT_COLORS = [
    ORANGE, SKY_BLUE, GREEN, YELLOW, BLUE, VERMILION, PURPLE, GREY,
    "#8C5F00", "#1F6F9C", "#00573F", "#A09710", "#003E63", "#7A3600", "#8A3F66", "#4D4D4D",
]  # fmt: skip
KIND_COLORS = {"image tokens": SKY_BLUE, "control tokens": VERMILION, "text": "#333333"}


@dataclass(frozen=True)
class Journey:
    """What a run leaves behind for the picture. `input_ids` is [1, T]; `choices` are (token text, probability)."""

    config: Llama4Config
    image: Image.Image
    tiled: TiledImage
    input_ids: Tensor
    control_ids: frozenset[int]
    trace: Trace
    choices: list[tuple[str, float]]
    weights: str  # what to call the weights, e.g. "random weights"

    @classmethod
    def of(
        cls,
        config: Llama4Config,
        processor: Processor,
        image: Image.Image,
        input_ids: Tensor,
        trace: Trace,
        weights: str,
    ) -> Journey:
        """The journey of one picture and a text, of which `trace` has recorded the whole run."""
        best = trace["logits"][0, -1].softmax(-1).topk(10)
        texts = [processor.decode([token]) for token in best.indices.tolist()]
        return cls(
            config, image, tile_image(image, **vars(processor.image_settings)), input_ids,
            frozenset(processor.tokenizer.special_ids.values()), trace,
            list(zip(texts, best.values.tolist(), strict=True)), weights,
        )  # fmt: skip


def default_photograph() -> Image.Image:
    """Grace Hopper, computer scientist, in 1984: a photograph in the public domain that matplotlib carries."""
    return Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")


def save_journey(journey: Journey, path: str | Path) -> None:
    """Draw the journey into a file.

    Errors: UserError if the file cannot be written, or its ending names no picture format.
    """
    save_figure(draw_journey(journey), path)


def draw_journey(journey: Journey) -> Figure:
    """Draw the nine panels. The caller saves or shows the figure."""
    figure, axes = plt.subplots(3, 3, figsize=(15, 13.5), layout="constrained")
    figure.suptitle(f"A picture's way through Llama 4 ({journey.weights})", fontsize=17)
    panels = [_picture, _canvas, _patches, _image_tokens, _sequence, _masks, _routing, _routed_image, _next_token]
    for number, (axis, panel) in enumerate(zip(axes.flat, panels, strict=True), start=1):
        title = panel(axis, journey)
        axis.set_title(f"{number}  {title}", loc="left", fontsize=12)
    return figure


def _picture(axis: Axes, journey: Journey) -> str:
    axis.imshow(journey.image)
    axis.axis("off")
    return f"The picture, {journey.image.width} x {journey.image.height}"


def _pixels(tiles: Tensor) -> np.ndarray:
    """[N, 3, size, size] in [-1, 1] -> float [N, size, size, 3] in [0, 1]."""
    return ((tiles.float() + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def _on_canvas(grid: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Tiles [rows * columns, h, w, ...] side by side as they lie on the canvas: [rows * h, columns * w, ...]."""
    lines = [np.concatenate(grid[r * columns : (r + 1) * columns], axis=1) for r in range(rows)]
    return np.concatenate(lines, axis=0)


def _canvas(axis: Axes, journey: Journey) -> str:
    tiled, size = journey.tiled, journey.config.vision.image_size
    axis.imshow(_on_canvas(_pixels(tiled.pixel_values[: tiled.rows * tiled.columns]), tiled.rows, tiled.columns))
    for r in range(tiled.rows):
        for c in range(tiled.columns):
            axis.add_patch(Rectangle((c * size, r * size), size - 1, size - 1, fill=False, ec=VERMILION, lw=2))
            axis.text((c + 0.04) * size, (r + 0.13) * size, f"tile {r * tiled.columns + c}", color="white", fontsize=11,
                      bbox={"facecolor": VERMILION, "edgecolor": "none", "pad": 2})  # fmt: skip
    axis.axis("off")
    extra = " + a global one" if tiled.has_global_tile else ""
    return f"Canvas: {tiled.rows} x {tiled.columns} tiles{extra}"


def _patches(axis: Axes, journey: Journey) -> str:
    vision = journey.config.vision
    axis.imshow(_pixels(journey.tiled.pixel_values[:1])[0])
    for line in range(0, vision.image_size + 1, vision.patch_size):
        strong = line // vision.patch_size % vision.shuffle == 0
        for draw in (axis.axhline, axis.axvline):
            draw(line - 0.5, color="white", lw=1.1 if strong else 0.4, alpha=0.8)
    axis.axis("off")
    return f"{vision.num_patches} patches; {vision.shuffle} x {vision.shuffle} make one token"


def _image_tokens(axis: Axes, journey: Journey) -> str:
    tiled, tokens = journey.tiled, journey.trace["vision.image_tokens"].float()  # [N, tokens per tile, Da]
    side = round(tokens.shape[1] ** 0.5)
    flat = tokens.flatten(0, 1)
    centred = flat - flat.mean(0)
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:3]
    colours = (centred @ directions.T).view(len(tokens), side, side, 3)
    low, high = colours.flatten(0, 2).quantile(0.02, dim=0), colours.flatten(0, 2).quantile(0.98, dim=0)
    colours = ((colours - low) / (high - low)).clamp(0, 1).numpy()
    axis.imshow(_on_canvas(colours[: tiled.rows * tiled.columns], tiled.rows, tiled.columns))
    axis.axis("off")
    return f"{tokens.shape[1]} image tokens a tile, as colours"


def _sequence(axis: Axes, journey: Journey) -> str:
    ids = journey.input_ids[0].tolist()
    names = list(KIND_COLORS)
    patch_id = journey.config.patch_id
    kinds = [0 if i == patch_id else 1 if i in journey.control_ids else 2 for i in ids]
    width = 40 if len(ids) > 400 else 20
    rows = -(-len(kinds) // width)
    grid = np.full(rows * width, np.nan)
    grid[: len(kinds)] = kinds
    axis.imshow(
        grid.reshape(rows, width), cmap=ListedColormap(list(KIND_COLORS.values())), vmin=0, vmax=2, aspect="auto"
    )
    axis.set_xlabel(f"{width} tokens a line")
    axis.set_ylabel("line")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend = [Patch(color=KIND_COLORS[n], label=f"{kinds.count(i)} {n}") for i, n in enumerate(names)]
    axis.legend(handles=legend, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)
    return f"One sequence of {len(ids)} tokens"


def _masks(axis: Axes, journey: Journey) -> str:
    chunk_size, length = journey.config.text.chunk_size, journey.input_ids.shape[1]
    positions = torch.arange(0, length, max(1, length // 300))[None]
    chunked = allowed_keys(positions, positions, chunk_size)[0].long()
    everywhere = allowed_keys(positions, positions, None)[0].long()
    shade = ListedColormap(["white", "#CCCCCC", BLUE])
    axis.imshow((everywhere + chunked).numpy(), cmap=shade, vmin=0, vmax=2, extent=(0, length, length, 0))
    axis.set_xlabel("key position")
    axis.set_ylabel("query position")
    legend = [
        Patch(color=BLUE, label="RoPE layers see this"),
        Patch(color="#CCCCCC", label="NoPE layers also this"),
    ]
    axis.legend(handles=legend, loc="upper right", frameon=False)
    return f"Who sees whom: chunks of {chunk_size}" if chunk_size else "Who sees whom"


def _expert_choice(journey: Journey) -> tuple[list[int], np.ndarray]:
    """The MoE layers' numbers, and the first expert of every token in each: [layers, T]."""
    layers = [i for i, layer in enumerate(journey.config.text.layer_plan) if layer.is_moe]
    rows = [journey.trace[f"layers.{i}.moe.expert_index"][:, 0].numpy() for i in layers]
    return layers, np.stack(rows)


def _expert_colormap(journey: Journey) -> ListedColormap:
    count = journey.config.text.num_experts
    return ListedColormap([EXPERT_COLORS[i % len(EXPERT_COLORS)] for i in range(count)])


def _routing(axis: Axes, journey: Journey) -> str:
    layers, choice = _expert_choice(journey)
    count = journey.config.text.num_experts
    axis.imshow(
        choice, cmap=_expert_colormap(journey), vmin=-0.5, vmax=count - 0.5, aspect="auto", interpolation="none"
    )
    axis.set_yticks(range(len(layers)), [str(i) for i in layers])
    axis.set_ylabel("layer")
    axis.set_xlabel("token")
    legend = [Patch(color=EXPERT_COLORS[i % len(EXPERT_COLORS)], label=str(i)) for i in range(count)]
    axis.legend(handles=legend, title="expert", loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=count,
                frameon=False, handlelength=1, columnspacing=0.8, handletextpad=0.3)  # fmt: skip
    return f"The router's choice, {count} experts"


def _routed_image(axis: Axes, journey: Journey) -> str:
    tiled, per_tile = journey.tiled, journey.config.vision.tokens_per_tile
    side = round(per_tile**0.5)
    layers, choice = _expert_choice(journey)
    middle = len(layers) // 2
    is_patch = (journey.input_ids[0] == journey.config.patch_id).numpy()
    cells = choice[middle][is_patch].reshape(-1, side, side)[: tiled.rows * tiled.columns]
    height, width = tiled.rows * side, tiled.columns * side
    axis.imshow(_on_canvas(_pixels(tiled.pixel_values[: tiled.rows * tiled.columns]), tiled.rows, tiled.columns),
                extent=(0, width, height, 0))  # fmt: skip
    axis.imshow(_on_canvas(cells, tiled.rows, tiled.columns), cmap=_expert_colormap(journey), vmin=-0.5,
                vmax=journey.config.text.num_experts - 0.5, alpha=0.55, extent=(0, width, height, 0),
                interpolation="none")  # fmt: skip
    axis.axis("off")
    return f"The same on the picture, layer {layers[middle]}"


def _next_token(axis: Axes, journey: Journey) -> str:
    texts, probabilities = zip(*reversed(journey.choices), strict=True)
    axis.barh(range(len(texts)), [100 * p for p in probabilities], color=SKY_BLUE)
    for row, text in enumerate(texts):
        axis.text(0, row, " " + drawable(text), va="center", family="monospace", clip_on=True)
    axis.set_yticks([])
    axis.set_xlabel("probability in percent")
    axis.spines[["top", "right"]].set_visible(False)
    return "The likeliest next tokens"


def drawable(text: str) -> str:
    """The text in quotes, or what it is where the font has no such letters, or where they run from right to left."""
    font = get_font(findfont(FontProperties(family="monospace")))
    shown = filter(str.isprintable, text)  # `repr` escapes the rest
    if all(font.get_char_index(ord(letter)) and bidirectional(letter) not in ("R", "AL") for letter in shown):
        return repr(text)
    letters = [letter for letter in text if letter.isalpha()]
    return f"({name(letters[0]).split()[0]}: {len(text.strip())} characters)" if letters else ascii(text)
