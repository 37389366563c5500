"""Figures into files."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ..errors import UserError


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure into a file, and close it.

    Errors: UserError if the file cannot be written, or its ending names no picture format.
    """
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot draw into {path}: {error}") from error
    finally:
        plt.close(figure)
