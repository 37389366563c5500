"""Which expert gets which token, layer by layer, from a run of a real model.

Shapes: R routers (trained, untrained), L layers that have experts, T tokens, E experts, A experts per token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .. import special_tokens as special
from ..errors import UserError
from ..model import Llama4
from ..processor import Processor
from ..tiny.interventions import mixtures, untrained_routers
from ..trace import Trace
from .explorer import Explorer
from .journey import EXPERT_COLORS

RECORDED = ("layers.*.moe.router_logits", "layers.*.moe.expert_index")
MOST_TOKENS = 2048
MOST_SCORES = 2**24  # a page with more of them opens slowly
LONGEST_SIDE = 640  # of a picture in the page, in pixels


class RoutingExplorer(Explorer):
    """Which expert gets which token: along the text, on the picture, layer by layer; trained and untrained routers.

        RoutingExplorer.of(model, processor, messages)

    `layer`, `token`, `expert`, `router` and `scale` are what is looked at, and follow the reader's hand; setting them
    from Python turns the picture. All else is what the model computed, and stays.

    Shapes: scores and shares uint8 [R, L, T, E], the sigmoid and the softmax of the router's logits; chosen uint16
        [R, L, T, A], in little-endian order, the strongest first. All three as bytes.
    Units:  scores and shares in 255ths, rounded to the nearest; layer is the layer's number in the model.
    Errors: TraitError for a layer without experts, or a token or an expert that there is not.
    """

    script = ("routing.js", "routing_tokens.js", "routing_picture.js", "routing_numbers.js")
    style = "routing.css"

    tokens = traitlets.List(traitlets.Unicode(), help="T texts").tag(sync=True)
    kinds = traitlets.List(traitlets.Enum(["text", "image", "control"]), help="T kinds").tag(sync=True)
    layers = traitlets.List(traitlets.Int(), help="L numbers of layers that have experts").tag(sync=True)
    num_experts = traitlets.Int(help="E").tag(sync=True)
    experts_per_token = traitlets.Int(help="A").tag(sync=True)
    routers = traitlets.List(traitlets.Unicode(), help="R names").tag(sync=True)
    scores = traitlets.Bytes().tag(sync=True)
    shares = traitlets.Bytes().tag(sync=True)
    chosen = traitlets.Bytes().tag(sync=True)
    surfaces = traitlets.List(
        traitlets.Dict(), help="What lies where: name, rows and columns of tiles, the first token of each tile."
    ).tag(sync=True)
    pictures = traitlets.List(traitlets.Bytes(), help="A PNG of every surface.").tag(sync=True)
    tile_side = traitlets.Int(1, help="image tokens along one side of a tile").tag(sync=True)

    layer = traitlets.Int(help="The layer that is shown.").tag(sync=True)
    token = traitlets.Int(help="The token whose path is shown.").tag(sync=True)
    expert = traitlets.Int(None, allow_none=True, help="Whose tokens stand out; None: all are shown alike.").tag(
        sync=True
    )
    router = traitlets.Unicode("trained", help="One of `routers`.").tag(sync=True)
    scale = traitlets.Enum(["sigmoid", "softmax"], "sigmoid", help="What a score is.").tag(sync=True)

    @classmethod
    def of(
        cls,
        model: Llama4,
        processor: Processor,
        messages: Sequence[Mapping[str, Any]],
        untrained_seed: int | None = 0,
    ) -> RoutingExplorer:
        """Run the model on a conversation, and once more with untrained routers (None: without that).

        Errors: UserError if no layer has experts, for a batch, or for more than a page can show.
        """
        if not (layers := list(mixtures(model))):
            raise UserError("no layer of this model has experts")
        inputs = processor(messages).to(next(model.parameters()).device)
        if len(inputs["input_ids"]) != 1:
            raise UserError("the explorer shows one conversation, not a batch")
        ids = inputs["input_ids"][0].tolist()
        num_scores = len(layers) * len(ids) * model.text_config.num_experts
        if len(ids) > MOST_TOKENS or num_scores > MOST_SCORES:
            raise UserError(
                f"{len(ids)} tokens in {len(layers)} layers are more than a page can show "
                f"({MOST_TOKENS} tokens, {MOST_SCORES} scores); shorten the text, or shrink the picture"
            )
        traces = {"trained": model.trace(**inputs, names=RECORDED)}
        if untrained_seed is not None:
            with untrained_routers(model, untrained_seed):
                traces["untrained"] = model.trace(**inputs, names=RECORDED)
        logits = stacked(traces, layers, "router_logits").float()
        chosen = stacked(traces, layers, "expert_index")
        kinds = _kinds(ids, processor)
        surfaces, pictures = _surfaces(ids, processor, inputs.get("pixel_values"))
        num_experts = logits.shape[-1]
        return cls(
            tokens=[processor.decode([token]) for token in ids],
            kinds=kinds,
            layers=layers,
            num_experts=num_experts,
            experts_per_token=chosen.shape[-1],
            routers=list(traces),
            scores=_in_255ths(logits.sigmoid()),
            shares=_in_255ths(logits.softmax(-1)),
            chosen=chosen.numpy().astype("<u2").tobytes(),
            surfaces=surfaces,
            pictures=pictures,
            tile_side=round(processor.tokens_per_tile**0.5),
            layer=layers[len(layers) // 2],
            token=kinds.index("image") if "image" in kinds else len(ids) - 1,
            alt=f"For each of {len(ids)} tokens, {kinds.count('image')} of them image tokens, which of {num_experts} "
            f"experts the routers of {len(layers)} layers chose, and with which score.",
        )

    @traitlets.validate("layer", "token", "expert", "router")
    def _there_is_one(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        known = {
            "layer": self.layers, "token": range(len(self.tokens)), "expert": range(self.num_experts),
            "router": self.routers,
        }[name]  # fmt: skip
        if value is not None and value not in known:
            choices = f"0 to {len(known) - 1}" if isinstance(known, range) else ", ".join(map(str, known))
            raise traitlets.TraitError(f"there is no {name} {value}; there are {choices}")
        return value

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the router and scale that are looked at: strengths uint8 [L, T, E], chosen experts uint16 [L, T, A]."""
        shape = (len(self.routers), len(self.layers), len(self.tokens), -1)
        strengths = np.frombuffer(self.scores if self.scale == "sigmoid" else self.shares, np.uint8)
        chosen = np.frombuffer(self.chosen, "<u2")
        router = self.routers.index(self.router)
        return strengths.reshape(shape)[router], chosen.reshape(shape)[router]

    def still(self) -> Figure:
        """The same views of the layer that is shown, without those of a single token."""
        figure = Figure(figsize=(11, 7.5), layout="constrained")
        figure.suptitle(
            f"{self.router} routers: layer {self.layer}, strength by {self.scale}".capitalize(), x=0.01, ha="left"
        )
        strengths, chosen = self.numbers()
        here = self.layers.index(self.layer)
        rows: Any = figure.subfigures(2, 1)
        if self.surfaces:
            left, right = rows[0].subplots(1, 2, width_ratios=[1, 2.2])
            self._draw_picture(left, chosen[here])
        else:
            right = rows[0].subplots()
        self._draw_scores(right, strengths[here], chosen[here])
        left, right = rows[1].subplots(1, 2, width_ratios=[1.6, 1])
        self._draw_choices(left, chosen)
        self._draw_loads(right, chosen[here])
        return figure

    def __repr__(self) -> str:
        return f"RoutingExplorer: {len(self.tokens)} tokens, {len(self.layers)} layers, {self.num_experts} experts"

    def _colormap(self) -> ListedColormap:
        return ListedColormap([EXPERT_COLORS[expert % len(EXPERT_COLORS)] for expert in range(self.num_experts)])

    def _draw_picture(self, axis: Axes, chosen: np.ndarray) -> None:
        """The first surface with the expert of each of its tokens; chosen [T, A]."""
        surface, side = self.surfaces[0], self.tile_side
        height, width = surface["rows"] * side, surface["columns"] * side
        axis.imshow(Image.open(BytesIO(self.pictures[0])), extent=(0, width, height, 0))
        tiles = [chosen[first : first + side * side, 0].reshape(side, side) for first in surface["first_tokens"]]
        lines = [np.hstack(tiles[row * surface["columns"] :][: surface["columns"]]) for row in range(surface["rows"])]
        experts = np.vstack(lines)
        axis.imshow(experts, cmap=self._colormap(), vmin=-0.5, vmax=self.num_experts - 0.5, alpha=0.5,
                    extent=(0, width, height, 0), interpolation="none")  # fmt: skip
        if height * width <= 400:  # else the numbers would cover each other
            for (row, column), expert in np.ndenumerate(experts):
                axis.text(column + 0.5, row + 0.5, str(expert), ha="center", va="center", fontsize=8,
                          bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1})  # fmt: skip
        for line in range(surface["rows"] + 1):
            axis.axhline(line * side, color="black", lw=1.5)
        for line in range(surface["columns"] + 1):
            axis.axvline(line * side, color="black", lw=1.5)
        axis.set_axis_off()
        axis.set_title("The chosen expert on the picture", loc="left", fontsize=11)

    def _draw_scores(self, axis: Axes, strengths: np.ndarray, chosen: np.ndarray) -> None:
        """Tokens by experts; strengths [T, E], chosen [T, A]."""
        axis.imshow(strengths.T / 255, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="none")
        tokens = np.repeat(np.arange(len(chosen)), chosen.shape[1])
        experts = chosen.flatten()
        colours = [EXPERT_COLORS[expert % len(EXPERT_COLORS)] for expert in experts]
        axis.scatter(tokens, experts, s=14, c=colours, edgecolors="black", linewidths=0.4)
        axis.set(xlabel="token", ylabel="expert")
        axis.set_title("Strength (darker is stronger); dots: chosen", loc="left", fontsize=11)

    def _draw_choices(self, axis: Axes, chosen: np.ndarray) -> None:
        """The first choice of every layer for every token; chosen [L, T, A]."""
        axis.imshow(chosen[:, :, 0], cmap=self._colormap(), vmin=-0.5, vmax=self.num_experts - 0.5, aspect="auto",
                    interpolation="none")  # fmt: skip
        shown = range(0, len(self.layers), -(-len(self.layers) // 12))
        axis.set_yticks(shown, [str(self.layers[i]) for i in shown])
        axis.set(xlabel="token", ylabel="layer")
        axis.set_title("The chosen expert in every layer", loc="left", fontsize=11)

    def _draw_loads(self, axis: Axes, chosen: np.ndarray) -> None:
        """How many tokens each expert gets, and the even share; chosen [T, A]."""
        loads = np.bincount(chosen.flatten(), minlength=self.num_experts)
        axis.bar(range(self.num_experts), loads, color=self._colormap().colors)
        axis.axhline(loads.mean(), color="black", lw=1, ls="--")
        if self.num_experts <= 16:
            axis.set_xticks(range(self.num_experts))
        axis.set(xlabel="expert (the line: an even load)", ylabel="tokens")
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_title("Load in this layer", loc="left", fontsize=11)


def stacked(traces: Mapping[str, Trace], layers: Sequence[int], name: str) -> Tensor:
    """One of the routers' tensors from all runs and layers, on the CPU: [R, L, T, E or A]."""
    runs = [[trace[f"layers.{layer}.moe.{name}"].cpu() for layer in layers] for trace in traces.values()]
    return torch.stack([torch.stack(run) for run in runs])


def _in_255ths(probability: Tensor) -> bytes:
    return (probability * 255).round().to(torch.uint8).numpy().tobytes()


def _kinds(ids: Sequence[int], processor: Processor) -> list[str]:
    """What each token is; all control tokens but the places of image tokens count as control."""
    patch, control = processor.tokenizer.token_id(special.PATCH), set(processor.tokenizer.special_ids.values())
    return ["image" if token == patch else "control" if token in control else "text" for token in ids]


def _surfaces(
    ids: Sequence[int], processor: Processor, pixel_values: Tensor | None
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The canvas and the global tile of every picture: where their tokens stand, and what the vision tower sees."""
    if pixel_values is None:
        return [], []
    token_id = processor.tokenizer.token_id
    settings = processor.image_settings
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (settings.mean, settings.std))
    tiles = pixel_values.float().cpu() * std + mean  # [tiles, 3, size, size], from 0 to 1
    starts = [i for i, token in enumerate(ids) if token == token_id(special.IMAGE_START)]
    surfaces, pictures, used = [], [], 0
    for number, start in enumerate(starts, start=1):
        span = ids[start : ids.index(token_id(special.IMAGE_END), start)]
        is_patch = [token == token_id(special.PATCH) for token in span]
        firsts = [start + i for i in range(1, len(span)) if is_patch[i] and not is_patch[i - 1]]
        rows = span.count(token_id(special.TILE_Y_SEPARATOR))
        which = f"Picture {number}: " if len(starts) > 1 else ""
        grids = [(1, 1, f"{which}its one tile", firsts)]
        if rows:
            columns = (len(firsts) - 1) // rows
            grids = [
                (rows, columns, f"{which}{rows} x {columns} tiles", firsts[:-1]),
                (1, 1, f"{which}the global tile", firsts[-1:]),
            ]
        for grid_rows, grid_columns, name, first_tokens in grids:
            part = tiles[used : used + len(first_tokens)]
            used += len(first_tokens)
            pictures.append(_png(part, grid_rows, grid_columns))
            surfaces.append({"name": name, "rows": grid_rows, "columns": grid_columns, "first_tokens": first_tokens})
    return surfaces, pictures


def _png(tiles: Tensor, rows: int, columns: int) -> bytes:
    """Tiles [rows * columns, 3, size, size] side by side as a PNG."""
    grid = tiles.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)  # [H, W, 3]
    image = Image.fromarray((grid.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
