import io
import os
import re

import numpy as np
import pytest
from PIL import Image

from llama4_explained.show import terminal
from llama4_explained.tiny.scenes import BASE_RGB

RED, BLUE = (200, 10, 20), (10, 20, 200)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def plain(rgb, size=(32, 32)):
    return Image.new("RGB", size, rgb)


def test_every_character_shows_two_pixels():
    image = plain(RED, (2, 2))
    image.paste(BLUE, (0, 1, 2, 2))
    cell = "\x1b[38;2;200;10;20;48;2;10;20;200m▀"
    assert terminal.half_blocks(image, columns=2, exact=True) == cell * 2 + "\x1b[0m"


@pytest.mark.parametrize("exact", [True, False])
def test_lines_are_as_wide_as_asked_and_end_in_the_terminals_own_colours(exact):
    lines = terminal.half_blocks(plain(RED, (224, 112)), columns=30, exact=exact).split("\n")
    assert len(lines) == 8 and all(line.count("▀") == 30 and line.endswith("\x1b[0m") for line in lines)
    assert len(terminal.half_blocks(plain(RED, (100, 1)), columns=3, exact=exact).split("\n")) == 1


@pytest.mark.parametrize("name", BASE_RGB)
def test_256_colours_mix_to_the_right_one(name):
    text = terminal.half_blocks(plain(BASE_RGB[name]), columns=32, exact=False)
    numbers = [int(number) for pair in re.findall(r"38;5;(\d+);48;5;(\d+)m", text) for number in pair]
    assert len(numbers) == 32 * 32 and min(numbers) >= 16 and max(numbers) <= 255
    mean = np.mean([rgb_of(number) for number in numbers], axis=0)
    assert np.abs(mean - BASE_RGB[name]).max() < 8


def rgb_of(number):
    """What xterm shows for the numbers from 16 on."""
    if number >= 232:
        return ((number - 232) * 10 + 8,) * 3
    steps = (0, *range(95, 256, 40))
    return tuple(steps[(number - 16) // divisor % 6] for divisor in (36, 6, 1))


def test_colours_only_for_terminals_that_want_them():
    assert terminal.shows_colors(Terminal(), {}) and terminal.shows_colors(Terminal(), {"NO_COLOR": ""})
    assert not terminal.shows_colors(Terminal(), {"NO_COLOR": "1"})
    assert not terminal.shows_colors(Terminal(), {"TERM": "dumb"})
    assert not terminal.shows_colors(io.StringIO(), {})
    poor = Terminal()
    poor.encoding = "cp1252"
    assert not terminal.shows_colors(poor, {})


def test_a_picture_fits_the_terminal():
    assert terminal.fitting_columns(plain(RED, (224, 112)), columns=200, lines=100) == terminal.MOST_COLUMNS
    assert terminal.fitting_columns(plain(RED, (224, 112)), columns=40, lines=100) == 40
    assert terminal.fitting_columns(plain(RED, (112, 112)), columns=80, lines=24) == 40  # 20 lines
    assert terminal.fitting_columns(plain(RED, (112, 224)), columns=0, lines=0) == 1


def test_print_picture(monkeypatch, capsys):
    terminal.print_picture(plain(RED))
    assert capsys.readouterr().out == ""
    written = Terminal()
    monkeypatch.setattr("sys.stdout", written)
    monkeypatch.setattr(terminal.shutil, "get_terminal_size", lambda: os.terminal_size((12, 40)))
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    terminal.print_picture(plain(RED), margin="  ")
    lines = written.getvalue().splitlines()
    assert [line.count("▀") for line in lines] == [10] * 5
    assert all(line.startswith("  \x1b[38;2;200;10;20;") for line in lines)
