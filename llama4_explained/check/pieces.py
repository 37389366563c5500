"""The registry: every piece of Llama 4 once, in the order of the lessons.

Tests, `llama4-explained check`, lessons and the site's map all read `PIECES`.
"""

from __future__ import annotations

from . import layer_pieces, model_pieces, position_pieces, preprocessing_pieces, vision_pieces
from .registry import LESSONS, REGISTERED, Case, Piece

__all__ = ["LESSONS", "PIECES", "Case", "Piece"]

_MODULES = [
    module.__name__ for module in (preprocessing_pieces, position_pieces, layer_pieces, vision_pieces, model_pieces)
]
PIECES: dict[str, Piece] = {
    piece.name: piece
    for piece in sorted(REGISTERED, key=lambda piece: (piece.lesson, _MODULES.index(piece.build.__module__)))
}
