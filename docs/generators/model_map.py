"""The map: every piece of the registry as a box, in the order in which a model computes.

A piece stands in the region of its lesson. `DIAGRAM` only says where regions lie; a lesson that it does not know gets a
row of its own at the end, so that no piece can be missing.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from llama4_explained.check.pieces import LESSONS, PIECES, Piece

from .api_pages import entry_address
from .notebook_pages import Lesson
from .reports import WIDE, Report, by_name, error_text
from .source_folder import SourceFolder, table

TITLES = {
    "01_tokens_and_chat": "Words become tokens", "02_embeddings_and_norms": "Embeddings and norms",
    "03_attention": "Attention", "04_rope": "Rotary positions", "05_irope": "Chunks, and layers without positions",
    "06_feed_forward": "Feed-forward", "07_moe": "Mixture of experts", "08_kv_cache": "KV cache and batches",
    "09_tiles_and_patches": "Pictures become patches", "10_vision_encoder": "Vision tower",
    "11_early_fusion": "Early fusion", "12_generation": "Generation", "16_training": "Training",
}  # fmt: skip

# From top to bottom; regions of one row lie side by side. A row with a caption is a frame around more rows.
ROWS: list[list[str]] = [["09_tiles_and_patches", "01_tokens_and_chat"],
                         ["10_vision_encoder", "02_embeddings_and_norms"], ["11_early_fusion"]]  # fmt: skip
DECODER: list[list[str]] = [["03_attention", "04_rope", "05_irope"], ["06_feed_forward", "07_moe"]]
AFTER: list[list[str]] = [["08_kv_cache", "12_generation"]]
CAPTION = "Decoder layer: attention, then a feed-forward or experts. Scout has 48, three of every four in chunks."


def write_map(source: SourceFolder, report: Report, lessons: list[Lesson]) -> None:
    source.write("map.md", map_page(report, lessons))


def map_page(report: Report, lessons: list[Lesson]) -> str:
    results, pages = by_name(report), {lesson.path.stem: lesson for lesson in reversed(lessons)}

    def rows(of: list[list[str]]) -> str:
        return ARROW.join(
            f'<div class="map-row" style="grid-template-columns: {widths(row)}">'
            f"{''.join(region(lesson, results, pages) for lesson in row)}</div>"
            for row in of
        )

    placed = {lesson for row in [*ROWS, *DECODER, *AFTER] for lesson in row}
    others = [[lesson] for lesson in LESSONS if lesson not in placed and pieces_of(lesson)]
    frame = f'<div class="map-frame"><p class="map-caption">{CAPTION}</p>{rows(DECODER)}</div>'
    diagram = ARROW.join([rows(ROWS), frame, rows(AFTER)]) + "".join(rows([row]) for row in others)
    inventory = [
        [f"`{piece.name}`", piece.what, f"{{py:obj}}`{piece.our_name.removeprefix('llama4_explained.')} "
         f"<{piece.our_name}>`", lesson_link(piece.lesson, pages)]
        for piece in PIECES.values()
    ]  # fmt: skip
    return f"""{WIDE}# The map of Llama 4

Each box is a piece of the model, with the file it lives in, its counterpart in Hugging Face's `transformers`, and how
far the two differ on the same weights and input (*equal*: in no bit). A box leads to the code; a heading leads to its
lesson. [How this was measured](parity.md).

<div class="map">
{diagram}
</div>

## The same as a list

{table(["piece", "what it does", "code", "lesson"], inventory)}
"""


ARROW = '<div class="map-arrow" aria-hidden="true">↓</div>'


def pieces_of(lesson: str) -> list[Piece]:
    return [piece for piece in PIECES.values() if piece.lesson == lesson]


def widths(row: list[str]) -> str:
    """A region gets more of its row the more pieces it has, within limits."""
    return " ".join(f"minmax(0, {min(max(len(pieces_of(lesson)), 3), 6)}fr)" for lesson in row)


def region(lesson: str, results: dict[str, Any], pages: dict[str, Lesson]) -> str:
    title = escape(TITLES.get(lesson, lesson[3:].replace("_", " ").capitalize()))
    if lesson in pages:
        title = f'<a href="{pages[lesson].page}.html">{title}</a>'
    boxes = "".join(box(piece, results.get(piece.name)) for piece in pieces_of(lesson))
    return f'<section class="map-region"><p class="map-title">{title}</p><div class="map-boxes">{boxes}</div></section>'


def box(piece: Piece, result: Report | None) -> str:
    file = piece.ours.__module__.partition(".")[2].replace(".", "/") + ".py"
    checked = ""
    if result is not None:
        mark = "✓" if result["passed"] else "✗"
        checked = f'<span class="map-result">{mark} {error_text(result)}</span>'
    return (
        f'<a class="map-box" href="{entry_address(piece.our_name)}" title="{escape(piece.what, quote=True)}">'
        f'<span class="map-name">{breakable(piece.name)}</span>{checked}'
        f'<span class="map-file">{breakable(file)}</span>'
        f'<span class="map-twin">{breakable(piece.their_name.rpartition(".")[2])}</span></a>'
    )


def breakable(name: str) -> str:
    """A name that a narrow box may break where its words meet."""
    return re.sub(r"(?<=[._/])(?=\w)|(?<=[a-z0-9])(?=[A-Z])", "<wbr>", escape(name))


def lesson_link(lesson: str, pages: dict[str, Lesson]) -> str:
    number, _, words = lesson.partition("_")
    text = f"{number} {TITLES.get(lesson, words.replace('_', ' '))}"
    return f"[{text}](/{pages[lesson].page})" if lesson in pages else text
