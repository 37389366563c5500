"""The drawing of a mixture: a line for each choice, as thick as its score."""

import torch

from llama4_explained.show.mixture import draw_routes


def test_every_choice_is_a_line():
    expert_index, score = torch.tensor([[0, 2], [2, 1]]), torch.tensor([[0.9, 0.5], [0.25, 1.0]])
    (axis,) = draw_routes(["one", "two"], expert_index, score, num_experts=4).axes
    ends = [(line.get_ydata()[0], line.get_ydata()[1]) for line in axis.lines]
    widths = [line.get_linewidth() for line in axis.lines]
    assert len(ends) == 4
    texts = {text.get_text(): text for text in axis.texts}
    assert {"one", "two", "expert 0", "expert 3", "0.90", "0.25", "shared\nexpert"} <= texts.keys()
    assert ends[0][0] == ends[1][0] != ends[2][0] and ends[1][1] == ends[2][1]
    assert widths[3] > widths[0] > widths[1] > widths[2]
    assert texts["expert 3"].get_color() != texts["expert 0"].get_color()
