"""Who may look at whom: chunks, NoPE layers, padding, the cache and the temperature, to play with."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import torch
import traitlets
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from torch import Tensor

from ..attention import query_temperature
from ..config import TextConfig
from ..errors import UserError
from ..masks import allowed_keys, positions_from_mask
from .colors import BLUE, SKY_BLUE
from .explorer import Explorer

MAX_TOKENS = 64
RULES = {
    "chunked": "Chunked: RoPE layers",
    "causal": "Causal: NoPE layers",
    "sliding": "Sliding window: not Llama 4",
}


class MaskExplorer(Explorer):
    """Which keys each query may see, drawn from a few whole numbers: `MaskExplorer.of(SCOUT.text)`.

    The sequence drawn is short, and its chunks are short too, so that several are in sight. Layers, temperature and the
    longest context are the model's.

    Units:  num_tokens, chunk_size, padding in tokens; query a slot; position a place in a text of the model's length.
    """

    script, style = ("mask_numbers.js", "mask_paint.js", "mask_strips.js", "mask.js"), "mask.css"
    num_tokens = traitlets.Int(24, min=1, max=MAX_TOKENS).tag(sync=True)
    chunk_size = traitlets.Int(8, min=1, max=MAX_TOKENS, allow_none=True).tag(sync=True)  # None: no chunks
    padding = traitlets.Int(0, min=0, max=MAX_TOKENS - 1).tag(sync=True)  # slots on the left that hold no token
    query = traitlets.Int(0, min=0, max=MAX_TOKENS - 1).tag(sync=True)  # the slot of the chosen token
    layer = traitlets.Int(0, min=0).tag(sync=True)
    rule = traitlets.Enum(list(RULES), "chunked").tag(sync=True)  # follows the layer until another is chosen
    position = traitlets.Int(100_000, min=0).tag(sync=True)  # where the temperature is read
    rope_layers = traitlets.List(traitlets.Bool()).tag(sync=True)  # of each layer: does it use RoPE?
    model = traitlets.Dict().tag(sync=True)  # the config's numbers

    @classmethod
    def of(
        cls,
        config: TextConfig,
        num_tokens: int = 24,
        chunk_size: int | None = None,
        layer: int = 0,
        padding: int = 0,
        query: int | None = None,
    ) -> MaskExplorer:
        """The masks of a model with this config.

        `chunk_size` is the one drawn; None: a third of `num_tokens`, or no chunks if the model has none. `query` None:
        the last token.

        Errors: UserError if a number is out of range.
        """
        _require_range("num_tokens", num_tokens, 1, MAX_TOKENS)
        if chunk_size is None and config.chunk_size is not None:
            chunk_size = max(1, num_tokens // 3)
        if chunk_size is not None:
            _require_range("chunk_size", chunk_size, 1, MAX_TOKENS)
        query = num_tokens - 1 if query is None else query
        _require_range("layer", layer, 0, config.num_layers - 1)
        _require_range("padding", padding, 0, num_tokens - 1)
        _require_range("query", query, 0, num_tokens - 1)
        rope_layers = [spec.uses_rope for spec in config.layer_plan]
        names = ("chunk_size", "floor_scale", "temperature_scale", "temperature_tuning", "max_positions")
        return cls(
            num_tokens=num_tokens, chunk_size=chunk_size, padding=padding, query=query, layer=layer,
            rule="chunked" if rope_layers[layer] else "causal", rope_layers=rope_layers,
            position=min(100_000, config.max_positions - 1), model={name: getattr(config, name) for name in names},
        )  # fmt: skip

    @traitlets.observe("layer")
    def _follow_layer(self, change: dict[str, Any]) -> None:
        if change["new"] < len(self.rope_layers):
            self.rule = "chunked" if self.rope_layers[change["new"]] else "causal"

    @traitlets.default("alt")
    def _default_alt(self) -> str:
        return self._describe()

    @traitlets.observe("num_tokens", "chunk_size", "padding", "query", "rule")
    def _describe_again(self, change: dict[str, Any]) -> None:
        self.alt = self._describe()

    def _positions(self) -> Tensor:
        """int64 [1, T]; padding, which must leave one token, has -1."""
        padding = min(self.padding, self.num_tokens - 1)
        return positions_from_mask((torch.arange(self.num_tokens) >= padding).long()[None])

    def _mask(self, rule: str) -> Tensor:
        """bool [T, T]; rows are queries, True = may look."""
        positions = self._positions()
        if rule != "sliding":
            return allowed_keys(positions, positions, self.chunk_size if rule == "chunked" else None)[0]
        causal = allowed_keys(positions, positions, None)[0]
        if self.chunk_size is None:
            return causal
        return causal & (positions[0, :, None] - positions[0, None, :] < self.chunk_size)

    def _describe(self) -> str:
        query = min(self.query, self.num_tokens - 1)
        row = self._mask(self.rule)[query]
        chunks = "no chunks" if self.chunk_size is None else f"chunks of {self.chunk_size}"
        padded = f", {self.padding} of them padding on the left" if self.padding else ""
        if not row[query]:
            sees = f"Token {query} is padding and sees nobody"
        else:
            sees = f"Token {query} sees {int(row[:query].sum())} of {query} earlier tokens and itself"
        return f"Attention mask of {self.num_tokens} tokens{padded}, {chunks}. {RULES[self.rule]}. {sees}."

    def still(self) -> Figure:
        """The three masks with the chosen token's row, and the temperature's curve."""
        figure, axes = plt.subplot_mosaic([list(RULES), ["temperature"] * 3], figsize=(11, 6.6), height_ratios=[2, 1])
        figure.subplots_adjust(left=0.07, right=0.98, bottom=0.09, top=0.95, hspace=0.3)
        query = min(self.query, self.num_tokens - 1)
        for rule, title in RULES.items():
            axis, mask = axes[rule], self._mask(rule)
            shade = mask.long()
            shade[query] *= 2
            axis.imshow(shade.numpy(), cmap=ListedColormap(["white", SKY_BLUE, BLUE]), vmin=0, vmax=2)
            axis.axhline(query - 0.5, color="black", lw=0.8)
            axis.axhline(query + 0.5, color="black", lw=0.8)
            axis.set_title(title, loc="left", fontsize=11)
            axis.set(xlabel=f"key (token {query} sees {int(mask[query].sum())})", ylabel="query")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        self._draw_temperature(axes["temperature"])
        return figure

    def _draw_temperature(self, axis: Axes) -> None:
        most = self.model["max_positions"]
        positions = torch.logspace(0, torch.tensor(float(most)).log10().item(), 400, dtype=torch.float64).long() - 1
        if self.model["temperature_tuning"]:
            scales = (self.model["floor_scale"], self.model["temperature_scale"])
            factors = query_temperature(positions[None], *scales).flatten()
        else:
            factors = torch.ones(len(positions))
        axis.plot((positions + 1).numpy(), factors.numpy(), color=BLUE)
        axis.set(xscale="log", xlabel="position", ylabel="factor on the query")
        axis.set_title("Temperature of the NoPE layers", loc="left", fontsize=11)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)


def _require_range(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"{name} must be a whole number from {low} to {high}, got {value}")
