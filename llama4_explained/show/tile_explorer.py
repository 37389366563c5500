"""From an image's size to its tokens: canvases, tiles, patches, to play with."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import traitlets
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageColor

from ..chat import image_tokens
from ..config import VisionConfig
from ..errors import UserError
from ..image_input import ImageSource, prepare_image
from ..images import ImageSettings, choose_canvas, fit_inside
from ..presets import SCOUT
from .colors import BLUE, SKY_BLUE, VERMILION
from .explorer import Explorer

MAX_SIDE = 100_000  # pixels
MAX_TILES = 64  # more cannot be drawn
COPY_SIDE = 800  # pixels: the copy of a picture that an explorer carries is no longer


class TileExplorer(Explorer):
    """How an image becomes tiles, patches and tokens: `TileExplorer.of(picture)`, or without one to try sizes.

    It carries a small copy of the picture, to look at. Sizes are those of the picture itself.

    Units:  height, width, tile_size, patch_size in pixels; shuffle in patches a side.
    """

    script, style = ("tile_numbers.js", "tile_candidates.js", "tile_tokens.js", "tile.js"), "tile.css"
    height = traitlets.Int(600, min=1, max=MAX_SIDE).tag(sync=True)
    width = traitlets.Int(900, min=1, max=MAX_SIDE).tag(sync=True)
    tile = traitlets.Int(0, min=0).tag(sync=True)  # the tile looked at; the last is the global one
    tile_size = traitlets.Int(336).tag(sync=True)
    patch_size = traitlets.Int(14).tag(sync=True)
    shuffle = traitlets.Int(2).tag(sync=True)
    max_tiles = traitlets.Int(16).tag(sync=True)
    picture = traitlets.Bytes(b"").tag(sync=True)  # a JPEG file; empty: a test card is drawn
    own_size = traitlets.List(traitlets.Int()).tag(sync=True)  # height and width of the picture; empty without one

    @classmethod
    def of(
        cls,
        picture: ImageSource | None = None,
        config: VisionConfig = SCOUT.vision,
        height: int | None = None,
        width: int | None = None,
        max_tiles: int = ImageSettings.max_tiles,
    ) -> TileExplorer:
        """The tiles of a picture, or of a size alone.

        `picture` is whatever `prepare_image` takes. `height` and `width` None: the picture's, else 600 and 900.

        Errors: UserError if the picture cannot be read, or a number is out of range.
        """
        own_size, copy = [], b""
        if picture is not None:
            image = prepare_image(picture)
            own_size, copy = [image.height, image.width], _small_copy(image)
        height = (own_size[0] if own_size else 600) if height is None else height
        width = (own_size[1] if own_size else 900) if width is None else width
        numbers = {"height": (height, MAX_SIDE), "width": (width, MAX_SIDE), "max_tiles": (max_tiles, MAX_TILES)}
        for name, (value, most) in numbers.items():
            if not isinstance(value, int) or not 1 <= value <= most:
                raise UserError(f"{name} must be a whole number from 1 to {most}, got {value}")
        return cls(
            height=height, width=width, tile_size=config.image_size, patch_size=config.patch_size,
            shuffle=config.shuffle, max_tiles=max_tiles, picture=copy, own_size=own_size,
        )  # fmt: skip

    @traitlets.default("alt")
    def _default_alt(self) -> str:
        return self._describe()

    @traitlets.observe("height", "width")
    def _describe_again(self, change: dict[str, Any]) -> None:
        self.alt = self._describe()

    def _canvas(self) -> tuple[int, int]:
        return choose_canvas(self.height, self.width, self.tile_size, self.max_tiles)

    def _tokens(self) -> list[str]:
        return image_tokens(*self._canvas(), (self.tile_size // self.patch_size // self.shuffle) ** 2)

    def _describe(self) -> str:
        rows, columns = self._canvas()
        tiles = _tiles(rows, columns)
        whole = "" if rows * columns == 1 else " and a global one"
        return (
            f"An image of {self.width} x {self.height} pixels, on {tiles} of {self.tile_size} pixels{whole}: "
            f"{len(self._tokens())} tokens for the language model."
        )

    def still(self) -> Figure:
        """The canvas with its tiles, the global tile, and the number of tokens."""
        rows, columns = canvas = self._canvas()
        count, size = rows * columns, self.tile_size
        height, width = fit_inside(self.height, self.width, canvas, size)
        image = self._image()
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained", width_ratios=[3, 1])
        figure.suptitle(f"{self.width} x {self.height} pixels become {len(self._tokens())} tokens")
        left.add_patch(Rectangle((0, 0), columns * size, rows * size, color="black"))
        left.imshow(image, extent=(0, width, height, 0), zorder=2)
        for tile in range(count):
            x, y = tile % columns * size, tile // columns * size
            left.add_patch(Rectangle((x, y), size, size, fill=False, ec=VERMILION, lw=2, zorder=3))
            left.text(x + 0.05 * size, y + 0.05 * size, str(tile), va="top", zorder=4, bbox={"fc": "white", "pad": 2})
        left.set(xlim=(0, columns * size), ylim=(rows * size, 0), aspect="equal")
        left.set_title(f"{_tiles(rows, columns)}, padded with black", fontsize=11)
        right.imshow(image, extent=(0, 1, 1, 0), aspect="equal")
        right.set_title("global tile, last", fontsize=11)
        right.set_visible(count > 1)
        for axis in (left, right):
            axis.axis("off")
        return figure

    def _image(self) -> Image.Image | np.ndarray:
        """The picture's copy, or a test card with the image's proportions: a disc on a plain ground."""
        if self.picture:
            return Image.open(BytesIO(self.picture))
        shrunk = 400 / max(self.height, self.width)
        height, width = max(1, round(self.height * shrunk)), max(1, round(self.width * shrunk))
        y, x = np.mgrid[0:height, 0:width]
        inside = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (0.32 * min(height, width)) ** 2
        return np.where(inside[..., None], ImageColor.getrgb(BLUE), ImageColor.getrgb(SKY_BLUE)).astype(np.uint8)


def _tiles(rows: int, columns: int) -> str:
    return f"{rows} x {columns} tile{'' if rows * columns == 1 else 's'}"


def _small_copy(image: Image.Image) -> bytes:
    """A JPEG file of the image, its longer side at most COPY_SIDE pixels."""
    copy = image.copy()
    copy.thumbnail((COPY_SIDE, COPY_SIDE))
    file = BytesIO()
    copy.save(file, "JPEG", quality=85)
    return file.getvalue()
