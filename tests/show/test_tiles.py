"""The figures of a picture's way to the vision tower."""

import pytest
import torch
from matplotlib.patches import Rectangle

from llama4_explained.show import tiles


def titles(figure) -> list[str]:
    return [title for axis in figure.axes if (title := axis.get_title() or axis.get_title(loc="left"))]


def rectangles(axis) -> list[tuple[float, float]]:
    return [(patch.get_width(), patch.get_height()) for patch in axis.patches if isinstance(patch, Rectangle)]


def test_the_picture_is_as_large_as_it_would_be_on_each_canvas():
    scales = {(1, 1): 0.5, (1, 2): 1.0, (2, 2): 1.25}
    figure = tiles.draw_canvases(100, 200, 112, scales, chosen=(1, 2), per_row=2)
    assert titles(figure) == ["1 x 1: scale 0.50\nshrinks", "1 x 2: scale 1.00\nchosen", "2 x 2: scale 1.25\nkeeps all"]
    assert [rectangles(axis)[0] for axis in figure.axes[:3]] == [(100, 50), (200, 100), (250, 125)]
    rows_and_columns = [len(axis.lines) for axis in figure.axes[:3]]
    assert rows_and_columns == [2 + 2, 2 + 3, 3 + 3]


@pytest.mark.parametrize(
    "rows, columns, expected",
    [
        (1, 1, ["then image_end"]),
        (2, 1, ["then tile_y_separator", "then tile_y_separator\nthen image", "then image_end"]),
        (1, 2, ["then tile_x_separator", "then tile_y_separator\nthen image", "then image_end"]),
    ],
)
def test_tiles_stand_in_order_with_what_follows_them(rows, columns, expected):
    count = rows * columns + (rows * columns > 1)
    figure = tiles.draw_tile_order(torch.zeros(count, 3, 8, 8), rows, columns)
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == expected
    assert titles(figure)[-1] == f"tile {count - 1}\nthe whole picture"


def test_a_patch_is_cut_where_the_frame_is():
    tile = torch.linspace(-1, 1, 3 * 8 * 8).view(3, 8, 8)
    figure = tiles.draw_patch(tile, 4, row=1, column=0)
    left, right, line = figure.axes
    assert left.patches[-1].get_xy() == (0, 4)
    shown = torch.from_numpy(right.images[0].get_array().data).permute(2, 0, 1)
    assert torch.allclose(shown, (tile[:, 4:, :4] + 1) / 2)
    assert [text.get_text() for text in line.texts] == ["red", "green", "blue"]


def test_every_size_has_its_cost_and_marks_stand_at_theirs():
    figure = tiles.draw_token_costs(lambda height, width: height + 10 * width, 48, {"wide": (24, 48)}, step=24)
    axis = figure.axes[0]
    assert axis.collections[0].get_array().tolist() == [[264, 504], [288, 528]]
    (mark,) = axis.lines
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (48, 24)
