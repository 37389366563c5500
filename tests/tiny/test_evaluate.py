"""`llama4-explained evaluate` on small random checkpoints: what it writes, prints, draws and refuses."""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from llama4_explained import TINY, Llama4, Llama4Config, Llama4Text, TextConfig, cli, load
from llama4_explained.show.accuracy import draw_accuracy
from llama4_explained.tiny import evaluate, fewer_bits
from llama4_explained.tiny.accuracy import Mark, answers_to, tabulate
from llama4_explained.tiny.exam import Examiner
from llama4_explained.tiny.fewer_bits import FORMATS
from tiny_world import processor, short_exam

SMALL = replace(TINY, text=replace(TINY.text, num_layers=2, num_experts=2), vision=replace(TINY.vision, num_layers=1))
CAUSAL = {"experts off": {"points lost": 12.34, "standard error": 0.56}}
TABLES = {"summary", "tasks", "languages", "objects", "tiles", "texts", "lookup", "perplexity"}


def save(folder, config: Llama4Config | TextConfig = SMALL, seed=0, with_tokenizer=True):
    model = Llama4(config) if isinstance(config, Llama4Config) else Llama4Text(config)
    model.init_weights(seed=seed, std=0.1)
    model.to(torch.bfloat16).save_pretrained(folder)
    if with_tokenizer:
        processor().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two seeds, of which training recorded one."""
    parent = tmp_path_factory.mktemp("checkpoints")
    first, second = (save(parent / name, seed=seed) for seed, name in enumerate(("first", "second")))
    (parent / "second" / "training.json").write_text('{"recipe": {"seed": 41, "steps": 9}}')
    return first, second


@pytest.fixture
def quick(monkeypatch):
    """Few questions and formats; returns what was asked for: questions of the exams, and of `specialisation`."""
    asked = {"exam": [], "experts": []}
    monkeypatch.setattr(evaluate, "exam_of", lambda number: asked["exam"].append(number) or short_exam())
    for module in (evaluate, fewer_bits):
        monkeypatch.setattr(module, "FORMATS", FORMATS[1:3])

    def experts(model, processor, questions_per_language):
        asked["experts"].append(questions_per_language)
        return {"causal": CAUSAL}

    monkeypatch.setattr(evaluate, "specialisation", experts)
    monkeypatch.setattr(evaluate, "save_specialisation", lambda found, path: path.write_text(str(found)))
    return asked


def read_strictly(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_two_checkpoints_and_their_mean(folders, quick, tmp_path, capsys):
    output = tmp_path / "new" / "evaluation"
    assert cli.main(["evaluate", *folders, "--questions", "7", "--output", str(output)]) == 0
    assert quick == {"exam": [7, 2], "experts": [2, 2]}
    assert sorted(path.name for path in output.iterdir()) == ["evaluation.json", "evaluation.png", "experts.png"]
    assert (output / "experts.png").read_text() == str({"causal": CAUSAL})
    assert (output / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    report = read_strictly(output / "evaluation.json")
    assert list(report) == ["versions", "questions", "checkpoints", "mean"] and report["questions"] == 7
    assert set(report["versions"]) == {"llama4_explained", "torch", "python"}
    first, second = report["checkpoints"]
    assert set(first) == {"name", "quantization", "experts", *TABLES}
    assert set(second) == {"name", "seed", "quantization", "experts", *TABLES}
    assert (first["name"], second["name"], second["seed"]) == ("first", "second", 41)
    assert set(report["mean"]) == {"quantization", *TABLES}

    perplexities = [table["perplexity"]["caption"]["perplexity"] for table in (first, second, report["mean"])]
    assert perplexities[0] != perplexities[1] and perplexities[2] == pytest.approx(sum(perplexities[:2]) / 2)
    name = "int4, groups of 32"
    kl = [table["quantization"][name]["kl"] for table in (first, second, report["mean"])]
    assert kl[0] != kl[1] and kl[2] == pytest.approx(sum(kl[:2]) / 2)
    assert report["mean"]["quantization"][name]["bytes"] == first["quantization"][name]["bytes"]

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["right,", "%", "first", "second", "mean", "questions"] in lines
    assert [
        "caption",
        *(f"{number:.3f}" for number in perplexities),
        str(first["perplexity"]["caption"]["tokens"]),
    ] in lines
    assert ["experts", "off", *["12.3", "±", "0.6"] * 2] in lines
    assert [line[-5] for line in lines if line[:2] == ["int4,", "groups"]][1] == f"{kl[2]:.5f}"


def test_the_tables_are_those_of_the_loaded_model(folders, quick, tmp_path):
    """In float32, from the stored bfloat16 weights."""
    options = ["--output", str(tmp_path), "--no-quantization", "--no-experts"]
    assert cli.main(["evaluate", folders[0], *options]) == 0
    model, _ = load(folders[0], dtype="float32")
    assert isinstance(model, Llama4)
    answers = answers_to(short_exam(), model, Examiner(processor()))
    expected = tabulate([Mark.of(part, answer) for part, answer in answers], 64)
    record = read_strictly(tmp_path / "evaluation.json")["checkpoints"][0]
    assert record == {"name": "first", **json.loads(json.dumps(expected))}


def test_parts_can_be_left_out(folders, quick, tmp_path, capsys):
    options = ["--output", str(tmp_path), "--no-quantization", "--no-experts"]
    assert cli.main(["evaluate", folders[0], *options]) == 0
    report = read_strictly(tmp_path / "evaluation.json")
    assert set(report["checkpoints"][0]) == {"name", *TABLES} and set(report["mean"]) == TABLES
    assert not quick["experts"]
    printed = capsys.readouterr().out
    assert "Fewer bits" not in printed and "experts" not in printed and "mean" not in printed


def test_bytes_are_counted_as_stored_not_as_computed(folders, quick, tmp_path):
    assert cli.main(["evaluate", folders[0], "--output", str(tmp_path), "--no-experts"]) == 0
    formats = read_strictly(tmp_path / "evaluation.json")["mean"]["quantization"]
    parameters = sum(parameter.numel() for parameter in Llama4(SMALL).parameters())
    assert formats["unquantised"]["bytes"] == 2 * parameters


def mistakes(folders, tmp_path):
    """What is wrong -> the arguments, and what the line must say."""
    file = tmp_path / "file"
    file.write_text("")
    quantised, _ = load(folders[0], quantize="int8")
    quantised.save_quantized(tmp_path / "quantised")
    processor().save_pretrained(tmp_path / "quantised")
    record = tmp_path / "bad-record"
    save(record)
    (record / "training.json").write_text("[not JSON")
    other_sizes = replace(SMALL, text=replace(SMALL.text, expert_width=64))
    large_tiles = replace(SMALL, vision=replace(SMALL.vision, image_size=224))
    large_processor = type(processor())(processor().tokenizer, tile_size=224, tokens_per_tile=64)
    large_processor.save_pretrained(save(tmp_path / "large", large_tiles, with_tokenizer=False))
    return {
        "no such checkpoint": (["nowhere/at/all"], "nowhere/at/all"),
        "second is missing": ([folders[0], "nowhere/at/all"], "nowhere/at/all"),
        "no questions": ([folders[0], "--questions", "0"], "--questions"),
        "output is a file": ([folders[0], "--output", str(file)], "file"),
        "device": ([folders[0], "--device", "nonsense"], "nonsense"),
        "quantised": ([str(tmp_path / "quantised")], "--no-quantization"),
        "sizes": ([folders[0], save(tmp_path / "other", other_sizes)], "sizes"),
        "tiles": ([str(tmp_path / "large")], "224"),
        "text only": ([save(tmp_path / "text", SMALL.text)], "vision"),
        "record": ([str(record)], "training.json"),
    }  # fmt: skip


def test_every_mistake_is_one_line_and_leaves_nothing(folders, quick, tmp_path, capsys):
    for mistake, (arguments, says) in mistakes(folders, tmp_path).items():
        output = [] if "--output" in arguments else ["--output", str(tmp_path / "output")]
        assert cli.main(["evaluate", *arguments, *output]) == 2, mistake
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("llama4-explained: ") and says in error, mistake
        assert not (tmp_path / "output").exists(), mistake
    assert not quick["exam"], "a mistake is found before the work, not after it"


def test_a_checkpoint_without_a_tokenizer_is_refused(quick, tmp_path, capsys):
    folder = save(tmp_path / "checkpoint", with_tokenizer=False)
    with pytest.warns(UserWarning, match="tokenizer"):
        assert cli.main(["evaluate", folder]) == 2
    assert "no tokenizer" in capsys.readouterr().err


def test_a_quantised_checkpoint_is_measured_as_it_is(folders, quick, tmp_path):
    quantised, _ = load(folders[0], quantize="int8")
    quantised.save_quantized(tmp_path / "int8")
    processor().save_pretrained(tmp_path / "int8")
    options = ["--no-quantization", "--no-experts", "--output", str(tmp_path / "output")]
    assert cli.main(["evaluate", str(tmp_path / "int8"), *options]) == 0


def test_checkpoints_of_the_same_name_are_told_apart(tmp_path):
    sources = [save(tmp_path / seed / "final") for seed in ("0", "1")]
    assert [each.name for each in evaluate.load_checkpoints(sources, "cpu")] == sources


def invented(seed, formats=True):
    """A record of a model that is right at every second question."""
    marks, answers = [], answers_to(short_exam(), Llama4(SMALL).eval(), Examiner(processor()))
    for number, (part, answer) in enumerate(answers):
        marks.append(replace(Mark.of(part, answer), is_right=(number + seed) % 2 == 0))
    tables = tabulate(marks, 64)
    entry = {"all questions": {"right": 0.5, "questions": 2}, "bytes": 5_000_000, "tokens": 4}
    kl = {"unquantised": 0.0, "int8": 0.001, "int4, groups of 32": 0.01 * (1 + seed)}
    return tables | ({"quantization": {name: entry | {"kl": value} for name, value in kl.items()}} if formats else {})


def test_the_picture_has_what_was_measured():
    records = [invented(0), invented(1)]
    mean = evaluate.mean_of(records)
    named = [{"name": str(number)} | record for number, record in enumerate(records)]
    figure = draw_accuracy({"checkpoints": named, "mean": mean})
    panels = {axis.get_title("left"): axis for axis in figure.axes}
    assert len(panels) == 6
    languages = panels["The same, by language"]
    widths = [bar.get_width() for bar in languages.patches if isinstance(bar, Rectangle)]
    assert widths == [100 * entry["right"] for entry in mean["languages"].values()]
    dots = [np.array(line.get_xdata()).tolist() for line in languages.get_lines()]
    assert dots == [[100 * entry["right"] for entry in record["languages"].values()] for record in records]
    moved = panels["How far the distribution moves"].get_lines()
    assert [np.array(line.get_xdata()).tolist() for line in moved] == [[0.001, 0.015], [0.001, 0.01], [0.001, 0.02]]
    plt.close(figure)


def test_the_picture_of_one_checkpoint_without_formats():
    record = invented(0, formats=False)
    record["lookup"]["positions"] = {
        notes: {} for notes in record["lookup"]["positions"]
    }  # as of a model without chunks
    figure = draw_accuracy({"checkpoints": [{"name": "tiny"} | record], "mean": record})
    assert len(figure.axes) == 4 and not any(axis.get_lines() for axis in figure.axes)
    assert "tiny" in figure.get_suptitle()
    figure.canvas.draw()
    plt.close(figure)
