"""The figures of merged bytes and of the lengths of texts."""

from matplotlib.colors import to_rgba

from llama4_explained.show import tokens
from llama4_explained.show.colors import ORANGE


def test_the_piece_that_was_joined_last_is_orange():
    steps = [["a", "b", "c"], ["a", "bc"], ["abc"]]
    (axis,) = tokens.draw_merges(steps, notes=["bytes", "b + c"]).axes
    assert [text.get_text() for text in axis.texts] == ["a", "b", "c", "bytes", "a", "bc", "b + c", "abc"]
    is_orange = [patch.get_facecolor() == to_rgba(ORANGE) for patch in axis.patches]
    assert is_orange == [False, False, False, False, True, True]
    assert [round(patch.get_width(), 6) for patch in axis.patches] == [0.9, 0.9, 0.9, 0.9, 1.9, 2.9]


def test_bars_are_lengths():
    (axis,) = tokens.draw_lengths(
        {"bytes": {"English": 1.0, "Thai": 3.0}, "tokens": {"English": 0.5, "Thai": 2}}, ""
    ).axes
    assert [[bar.get_width() for bar in bars] for bars in axis.containers] == [[1.0, 3.0], [0.5, 2.0]]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["English", "Thai"]


def test_lines_are_told_apart_without_colours():
    (axis,) = tokens.draw_vocabulary_sizes([256, 512], {"English": [4.0, 2.0], "Thai": [9.0, 6.0]}, "tokens").axes
    assert [list(line.get_ydata()) for line in axis.lines] == [[4.0, 2.0], [9.0, 6.0]]
    assert len({line.get_marker() for line in axis.lines}) == 2
