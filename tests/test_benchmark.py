"""The CPU benchmark on miniature sizes: what it compares, in which order, what it reports. Never how quick it is."""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import pytest
import torch
from torch.testing import assert_close

from llama4_explained import TINY, benchmark, cli
from llama4_explained.benchmark import Sizes, as_text, cpu_sizes, in_turn, measure_all
from llama4_explained.show.costs import draw_moe_costs

TEXT = replace(TINY.text, vocab_size=2000, num_layers=4, hidden_size=32, head_dim=8, expert_width=16, chunk_size=8)
SMALL = Sizes(TEXT, prompt=20, new_tokens=3, photograph=(700, 400), experts=(2, 8), tokens=(4, 20), rounds=2)
CASES = [
    ("prefill", "20 tokens"),
    ("decode", "3 tokens"),
    ("preprocess", "700 x 400"),
    ("moe", "2 experts, 20 tokens"),
    ("moe", "8 experts, 20 tokens"),
    ("moe", "8 experts, 4 tokens"),
]


@pytest.fixture(scope="module")
def report():
    return measure_all(SMALL)


def test_the_sizes_are_those_that_the_readme_promises():
    sizes, config = cpu_sizes(), cpu_sizes().config
    assert (config.num_layers, config.hidden_size, config.num_query_heads, config.num_kv_heads) == (8, 512, 8, 2)
    assert (config.num_experts, config.expert_width, config.vocab_size, config.chunk_size) == (16, 1024, 2048, 256)
    assert all(layer.is_moe for layer in config.layer_plan)
    assert (sizes.prompt, sizes.photograph, sizes.experts) == (1024, (4000, 3000), (2, 4, 8, 16, 32, 64, 128))


def test_both_sides_run_in_turn_and_the_first_round_does_not_count():
    ran = []
    times = in_turn({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, rounds=3)
    assert ran == ["a", "b"] * 4
    assert [len(ms) for ms in times.values()] == [3, 3]


@torch.no_grad()
def test_both_sides_do_the_same_work():
    compared = []
    for op, case, sides in benchmark._comparisons(SMALL):
        ours, theirs = sides["ours"](), sides["hf eager"]()
        if op == "moe":
            assert_close(ours.flatten(0, 1), theirs[0])
        elif op == "preprocess":
            assert torch.equal(ours.pixel_values, theirs["pixel_values"])
        elif op == "prefill":
            assert ours.length == theirs.get_seq_length() == SMALL.prompt
        compared.append((op, case))
    assert compared == CASES


def test_every_comparison_is_reported(report):
    assert {"device", "threads", "torch", "transformers", "llama4_explained", "python"} < report.keys()
    records = [(record["op"], record["case"], record["impl"]) for record in report["records"]]
    assert records == [(op, case, impl) for op, case in CASES for impl in ("ours", "hf eager")]
    for record in report["records"]:
        assert 0 < record["ms_min"] <= record["ms_median"] <= record["ms_max"]


def test_the_table_shows_medians_and_their_ratio():
    sides = {"ours": 2.0, "hf eager": 9.0}
    records = [{"op": "decode", "case": "1 token", "impl": impl, "ms_median": ms} for impl, ms in sides.items()]
    head = {"device": "A chip", "threads": 2, "torch": "1", "transformers": "5", "python": "3"}
    lines = as_text({**head, "records": records}).splitlines()
    assert "A chip, 2 threads" in lines[0]
    assert [line.split() for line in lines if "decode" in line] == [["decode", "1", "token", "2.0", "9.0", "4.50x"]]


def test_the_command_prints_json_draws_and_leaves_the_threads_alone(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(benchmark, "cpu_sizes", lambda: SMALL)
    threads, path = torch.get_num_threads(), tmp_path / "costs.png"
    assert cli.main(["benchmark", "cpu", "--json", "--threads", "1", "--rounds", "1", "--output", str(path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["threads"] == 1
    assert len(printed["records"]) == 2 * len(CASES)
    assert torch.get_num_threads() == threads
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("option", "value"), [("--threads", "0"), ("--rounds", "-1")])
def test_settings_that_measure_nothing_are_refused(option, value, capsys):
    assert cli.main(["benchmark", "cpu", option, value]) == 2
    assert option in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(benchmark, "cpu_sizes", lambda: SMALL)
    assert cli.main(["benchmark", "cpu", "--rounds", "1", "--output", str(tmp_path / "none" / "costs.png")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("llama4-explained:") and "costs.png" in error


def test_the_picture_has_the_measured_points(report):
    figure = draw_moe_costs(report["records"])
    for axis, counts in zip(figure.axes, ([2, 8], [4, 20]), strict=True):
        ours, theirs = axis.get_lines()
        assert list(ours.get_xdata()) == list(theirs.get_xdata()) == counts
    ms = {(r["case"], r["impl"]): r["ms_median"] for r in report["records"]}
    assert list(figure.axes[1].get_lines()[0].get_ydata()) == [
        ms["8 experts, 4 tokens", "ours"],
        ms["8 experts, 20 tokens", "ours"],
    ]
    plt.close(figure)
