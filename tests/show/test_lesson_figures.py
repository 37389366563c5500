"""The lessons' figures show the numbers that they are given."""

import pytest
import torch
from PIL import Image

from llama4_explained.show import fusion, irope, quantization


def texts(axis) -> set[str]:
    return {text.get_text() for text in axis.texts}


def lines(axis) -> list[list[float]]:
    return [list(line.get_ydata()) for line in axis.lines]


def test_places_of_image_tokens():
    (axis,) = fusion.draw_places(["image_start", "patch", "patch", "What"], [False, True, True, False]).axes
    assert {"image\ntoken 0", "image\ntoken 1", "What"} <= texts(axis) and "image\ntoken 2" not in texts(axis)


def test_looks_at_a_picture_are_areas():
    looks = torch.zeros(2, 16)
    looks[1, 5], looks[1, 6] = 0.5, 0.25
    figure = fusion.draw_looks(Image.new("RGB", (112, 112)), looks, ["layer 0", "layer 1"], torch.arange(16) == 5)
    discs = figure.axes[1].collections[0].get_sizes()
    assert discs[5] == 2 * discs[6] > 0 and discs.sum() == discs[5] + discs[6]
    assert figure.axes[1].get_title() == "layer 1\n75% on the picture,\n50% in the frames"
    legend = {text.get_text(): handle.get_sizes()[0] for text, handle in scale_of(figure)}
    assert legend["50%"] == pytest.approx(float(discs[5]))


def scale_of(figure):
    (legend,) = figure.legends
    return zip(legend.get_texts(), legend.legend_handles, strict=True)


def test_what_is_found_is_in_percent_beside_chance():
    (axis,) = fusion.draw_found({"last": torch.tensor([0.9, 0.2]), "mark": torch.tensor([0.1, 0.3])}, chance=0.15).axes
    heights = [[round(float(bar.get_height())) for bar in bars] for bars in axis.containers]
    assert heights == [[90, 20], [10, 30]] and lines(axis) == [[15.0, 15.0]]
    places = [[bar.get_x() + bar.get_width() / 2 for bar in bars] for bars in axis.containers]
    assert all(left < layer < right for layer, (left, right) in enumerate(zip(*places, strict=True)))


def test_masks_are_drawn_as_they_are():
    mask = torch.tensor([[1, 0], [1, 1]])
    figure = irope.draw_masks(["a", "b"], {"one": mask, "other": mask.T})
    assert [axis.images[0].get_array().tolist() for axis in figure.axes] == [mask.tolist(), mask.T.tolist()]


def test_lines_of_needle_and_edges():
    (axis,) = irope.draw_needle([10, 100], {"with": [0.9, 0.5], "without": [0.9, 0.1]}).axes
    assert lines(axis) == [[0.9, 0.5], [0.9, 0.1]]
    figure = irope.draw_edges({"short": [[1.0, 0.9], [0.8, 0.7]], "long": [[0.4, 0.3], [0.2, 0.1]]}, ["0-7", "8-15"])
    assert lines(figure.axes[0])[:2] == [[1.0, 0.8], [0.9, 0.7]] and lines(figure.axes[1])[1] == [0.3, 0.1]


def test_every_weight_goes_to_the_nearest_rung():
    weights = torch.tensor([-0.3, 0.0, 0.31])
    (axis,) = quantization.draw_rounding(weights, scale=0.25, zero=1, num_codes=4).axes
    assert {"0", "1", "2", "3"} <= texts(axis)
    ends = {round(float(line.get_xdata()[-1]), 6) for line in axis.lines}
    assert {-0.25, 0.0, 0.25} <= ends


def test_errors_by_group_are_in_percent():
    (axis,) = quantization.draw_error_by_group({"int4": {32: 0.08, 128: 0.1}, "int8": {32: 0.01, 128: 0.02}}).axes
    assert [[round(y) for y in line] for line in lines(axis)] == [[8, 10], [1, 2]]
