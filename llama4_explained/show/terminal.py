"""A picture in the terminal: every character shows two pixels, one above the other.

In colours of 24 bits where the terminal says that it has them, else in the 256 that nearly every terminal has.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from textwrap import indent
from typing import TextIO

import numpy as np
from PIL import Image

UPPER_HALF = "▀"
MOST_COLUMNS = 64
BLANK_LINES = 4  # of the terminal's lines, left for text
# Of the 256 colours the first 16 are as users choose; then come a cube of six steps a channel, and 24 greys.
_STEPS = (0, 95, 135, 175, 215, 255)
_FIXED = [(red, green, blue) for red in _STEPS for green in _STEPS for blue in _STEPS]
_FIXED += [(8 + 10 * i,) * 3 for i in range(24)]
_FIRST = 16


def print_picture(image: Image.Image, margin: str = "") -> None:
    """Print a picture as wide as the terminal allows, after a left margin; nothing where no colours are shown."""
    if not shows_colors(sys.stdout, os.environ):
        return
    if os.name == "nt":
        os.system("")  # a console of Windows obeys colour codes only after a command has run in it
    terminal = shutil.get_terminal_size()
    columns = fitting_columns(image, terminal.columns - len(margin), terminal.lines)
    lines = half_blocks(image, columns, exact=os.environ.get("COLORTERM") in ("truecolor", "24bit"))
    print(indent(lines, margin))


def shows_colors(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether colour codes and half blocks may be written: to a terminal, if nobody said NO_COLOR."""
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb" or not stream.isatty():
        return False
    try:
        UPPER_HALF.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def fitting_columns(image: Image.Image, columns: int, lines: int) -> int:
    """The number of columns in which a picture fits a terminal of this size; a line is as high as two columns."""
    by_height = max(1, lines - BLANK_LINES) * 2 * image.width // image.height
    return max(1, min(columns, by_height, MOST_COLUMNS))


def half_blocks(image: Image.Image, columns: int, exact: bool) -> str:
    """Lines of text that show the picture; `exact`: in 24 bits of colour, else in 256 colours."""
    lines = max(1, round(columns * image.height / image.width / 2))
    small = image.convert("RGB").resize((columns, 2 * lines), Image.Resampling.BOX)
    if exact:
        codes = [f"2;{red};{green};{blue}" for red, green, blue in np.asarray(small).reshape(-1, 3)]
    else:  # neighbours that together make the right hue: the nearest of 256 colours may have another name
        palette = Image.new("P", (1, 1))
        palette.putpalette([value for rgb in _FIXED + _FIXED[:_FIRST] for value in rgb])
        nearest = small.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        codes = [f"5;{_FIRST + number % len(_FIXED)}" for number in np.asarray(nearest).flatten()]
    rows = [codes[start : start + columns] for start in range(0, len(codes), columns)]
    return "\n".join(
        "".join(f"\x1b[38;{top};48;{bottom}m{UPPER_HALF}" for top, bottom in zip(upper, lower, strict=True)) + "\x1b[0m"
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )
