"""A whole training on the CPU, stopped and resumed, of a model and batches that are smaller still."""

import argparse
import dataclasses
import json
import math
import os
import signal
from collections import Counter
from functools import partial

import pytest
import torch

from llama4_explained import TINY, cli, load
from llama4_explained.show.training import UNSEEN_PAIRS, draw_curves
from llama4_explained.tiny import train, training
from llama4_explained.tiny.batches import Layout
from llama4_explained.tiny.languages import BY_CODE
from llama4_explained.tiny.tasks import KEYS, PICTURE_TASKS, TEXT_TASKS
from llama4_explained.tiny.trainer import Recipe, Trainer
from llama4_explained.tiny.training import CURVES, RECORD, UNFINISHED, Training, tiny_processor, watched_questions
from tiny_world import processor

CPU = torch.device("cpu")
SEEING_LOSSES = {"total", "cells"}
LOSSES = {"total", "answers", "balance", "cells", "named"}
SMALL = dataclasses.replace(
    TINY,
    text=dataclasses.replace(TINY.text, num_layers=2, num_experts=2),
    vision=dataclasses.replace(TINY.vision, num_layers=1),
)
COUNT = {"count": 1}
LAYOUT = Layout(seeing=6, pictures=(2, 1, 0, 0), texts=1, length=128, most_notes=4, tasks=COUNT, later_tasks=COUNT)
RECIPE = Recipe(steps=11, warmup=2, layout=LAYOUT)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The real training, but for the size of the model and the questions on the way: two seen pairs, two unseen."""
    monkeypatch.setattr(training, "Trainer", partial(Trainer, config=SMALL))
    monkeypatch.setattr(training, "tiny_processor", processor)
    monkeypatch.setattr(training, "WATCHES", 2)
    monkeypatch.setattr(training, "watched_questions", lambda layout: watched_questions(layout)[24:28])


@pytest.fixture
def stop_after(monkeypatch):
    """Ctrl-C in the middle of a step, of which so many come before."""

    def stop(number):
        whole = Trainer.train_on

        def train_on(self, batch):
            if self.step == number:
                os.kill(os.getpid(), signal.SIGINT)
            return whole(self, batch)

        monkeypatch.setattr(Trainer, "train_on", train_on)
        return lambda: monkeypatch.setattr(Trainer, "train_on", whole)

    return stop


def test_what_is_asked_on_the_way():
    """Of each task in each language twice; half as much about what training never shows."""
    questions = watched_questions(Layout())
    assert Counter(map(training.watched_as, questions)) == dict.fromkeys((*PICTURE_TASKS, *TEXT_TASKS), 26) | {
        UNSEEN_PAIRS: 8 * 13
    }


def test_a_line_tells_seen_from_unseen():
    entry = {"losses": {"answers": 0.1234}, "right": {"count": 1.0, "color": 0.5, UNSEEN_PAIRS: 0.0}}
    assert training.in_short(entry) == "loss 0.123, 75% of answers right, 0% about unseen pairs"
    assert training.in_short({"losses": {"cells": 0.5}, "right": {}}) == "loss of image tokens 0.500"


def test_what_training_leaves(tmp_path):
    Training(tmp_path, RECIPE, CPU).run()
    model, its_processor = load(tmp_path)
    assert model.config == SMALL and next(model.parameters()).dtype == torch.bfloat16
    assert its_processor is not None and its_processor.tokenizer.encode("A red star.") == processor().tokenizer.encode(
        "A red star."
    )
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["recipe"] == json.loads(json.dumps(dataclasses.asdict(RECIPE))) and record["seconds"] > 0
    assert [entry["step"] for entry in record["history"]] == [6, 11]
    assert [set(entry["right"]) for entry in record["history"]] == [set(), {"count", UNSEEN_PAIRS}]
    assert [set(entry["losses"]) for entry in record["history"]] == [SEEING_LOSSES, LOSSES]
    assert (tmp_path / CURVES).read_bytes().startswith(b"\x89PNG") and not (tmp_path / UNFINISHED).exists()


@pytest.mark.parametrize("number", [3, 6, 8])
def test_a_stopped_training_ends_with_the_same_weights(tmp_path, stop_after, number, capsys):
    """While only what sees learns, just before all do, and where a group of batches has just ended."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    Training(whole, RECIPE, CPU).run()
    go_on = stop_after(number - 1)
    with pytest.raises(KeyboardInterrupt):
        Training(parts, RECIPE, CPU).run()
    assert f"kept {number} of 11 steps" in capsys.readouterr().out
    assert [path.name for path in parts.iterdir()] == [UNFINISHED]
    go_on()
    Training(parts, RECIPE, CPU).run()
    expected, state = (load(folder)[0].state_dict() for folder in (whole, parts))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())
    histories = [json.loads((folder / RECORD).read_text())["history"] for folder in (whole, parts)]
    assert [entry["losses"] for entry in histories[0]] == [entry["losses"] for entry in histories[1]]


def test_ctrl_c_in_the_last_step_comes_too_late(tmp_path, stop_after):
    stop_after(RECIPE.steps - 1)
    before = signal.getsignal(signal.SIGINT)
    Training(tmp_path, RECIPE, CPU).run()
    assert (tmp_path / RECORD).exists() and signal.getsignal(signal.SIGINT) is before


def test_the_command_goes_on_with_what_was_interrupted(tmp_path, stop_after, monkeypatch, capsys):
    monkeypatch.setattr(train, "SMALL", RECIPE)
    monkeypatch.setattr(train, "seconds_per_step", lambda recipe, device, is_seeing: 3.0 if is_seeing else 8.0)
    command = ["train-tiny", "--device", "cpu", "--output", str(tmp_path), "--minutes", "1"]
    go_on = stop_after(3)
    assert cli.main(command) == 130
    go_on()
    monkeypatch.setattr(train, "seconds_per_step", lambda recipe, device, is_seeing: 1.0)  # it goes on as it was begun
    assert cli.main([*command, "--seed", "3"]) == 2
    assert "unfinished training of another recipe" in capsys.readouterr().err
    assert cli.main(command) == 0
    record = json.loads((tmp_path / RECORD).read_text())
    recipe = record["recipe"]  # all 11 steps would take 58 seconds, more than 0.93 * 60
    assert (recipe["steps"], recipe["layout"]["seeing"], recipe["seed"]) == (10, 5, 0)
    assert cli.main(command) == 2
    assert "holds a finished training" in capsys.readouterr().err


def test_mistakes_are_one_line(tmp_path, capsys):
    new = tmp_path / "new"
    for minutes in ("0", "-1", "nan", "inf"):
        assert cli.main(["train-tiny", "--device", "cpu", "--output", str(new), "--minutes", minutes]) == 2
        expected = f"llama4-explained: --minutes must be a number more than 0, got {float(minutes)}\n"
        assert capsys.readouterr().err == expected and not new.exists()
    for damage in (b"PK damaged", b"", b"\x80\x02}q\x00."):
        (tmp_path / UNFINISHED).write_bytes(damage)
        assert cli.main(["train-tiny", "--device", "cpu", "--output", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert "is damaged: delete it to begin anew" in error and error.count("\n") == 1
    (tmp_path / "file").write_text("")
    assert cli.main(["train-tiny", "--device", "cpu", "--output", str(tmp_path / "file"), "--minutes", "1"]) == 2
    assert "could not be written" in capsys.readouterr().err
    assert cli.main(["train-tiny", "--device", "abacus", "--output", str(new)]) == 2
    assert "abacus" in capsys.readouterr().err and not new.exists()


def test_recipes_by_options():
    known = {"steps": 77, "layout": {"seeing": 30}}

    def recipe(device, *options):
        parser = argparse.ArgumentParser()
        train.add_arguments(parser)
        return train.chosen_recipe(parser.parse_args(options), torch.device(device), known=known)

    assert recipe("cuda", "--seed", "5") == dataclasses.replace(train.FULL, seed=5)
    assert recipe("cuda", "--without-balance").balance == 0.0
    resumed = dataclasses.replace(train.SMALL, steps=77, layout=dataclasses.replace(train.EASY_LAYOUT, seeing=30))
    assert recipe("cpu") == resumed


@pytest.mark.parametrize(("minutes", "steps", "seeing"), [("1", 55, 27), ("0.01", 1, 0), ("0.03", 1, 0)])
def test_minutes_are_shared_by_both_kinds_of_steps(monkeypatch, minutes, steps, seeing):
    """Half of the steps only see here: 55 steps take 27.5 * 0.5 + 27.5 * 1.5 seconds. One step at least does all."""
    monkeypatch.setattr(train, "seconds_per_step", lambda recipe, device, is_seeing: 0.5 if is_seeing else 1.5)
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    chosen = train.chosen_recipe(parser.parse_args(["--minutes", minutes]), CPU)
    assert (chosen.steps, chosen.layout.seeing) == (steps, seeing)
    assert train.SMALL.layout.seeing / train.SMALL.steps == 0.5


def test_a_step_of_each_kind_is_timed(monkeypatch):
    """Those are the losses that its steps have, and nothing of it is kept."""
    seen, whole = [], Trainer.train_on

    def train_on(self, batch):
        seen.append(set(whole(self, batch)))

    monkeypatch.setattr(train, "Trainer", partial(Trainer, config=SMALL))
    monkeypatch.setattr(train, "tiny_processor", processor)
    monkeypatch.setattr(Trainer, "train_on", train_on)
    assert train.seconds_per_step(RECIPE, CPU, True, number=1) > 0
    assert train.seconds_per_step(RECIPE, CPU, False, number=1) > 0
    assert seen == [SEEING_LOSSES] * 5 + [LOSSES] * 5


def test_the_tokenizer_keeps_numbers_and_keys_whole():
    """What a text is to be searched for is one token each, so that looking up is not made harder by spelling."""
    tokenizer = tiny_processor().tokenizer
    assert all(len(tokenizer.encode(str(number))) == 1 for number in range(10, 100))
    note = BY_CODE["en"].note
    assert {len(tokenizer.encode(note(key, "42"))) for key in KEYS} == {len(tokenizer.encode(note("K", "17")))}


def test_curves_show_every_task_and_every_loss():
    """Nothing where only seeing was learnt."""
    losses = {"total": 2.0, "answers": 1.0, "cells": 0.5, "balance": 1.0, "named": 0.25}
    history = [{"step": 5, "losses": {"total": 3.0, "cells": 3.0}, "right": {}}]
    for step in (10, 20):
        history.append(
            {"step": step, "losses": losses, "right": {"count": step / 20, "color": 0.5, UNSEEN_PAIRS: 0.25}}
        )
    left, right = draw_curves(history).axes
    expected = [[None, 1.0, 1.0], [3.0, 0.5, 0.5], [None, 0.25, 0.25], [None, 1.0, 1.0]]
    assert [points(line) for line in left.get_lines()] == expected
    lines = {line.get_label(): points(line) for line in right.get_lines()}
    assert lines == {"colour": [None, 50.0, 50.0], "count": [None, 50.0, 100.0], UNSEEN_PAIRS: [None, 25.0, 25.0]}
    thickest = max(right.get_lines(), key=lambda line: line.get_linewidth())
    assert thickest.get_label() == UNSEEN_PAIRS


def points(line):
    return [None if math.isnan(value) else value for value in line.get_ydata()]
