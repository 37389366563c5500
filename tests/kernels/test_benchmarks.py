"""The GPU benchmarks without a GPU: what they measure, what they write and draw, and what a failure does. A fake clock
tells the time, so that every figure that follows from it is known."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from torch.testing import assert_close

from benchmarks import chart, command, matmul_int4, peers, results, tasks, timing
from benchmarks.tasks import Task, Work, measure_all

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
SHAPES = {"narrow": (48, 256), "wide": (96, 128)}  # N, K
HEAD = {"device": "NVIDIA H100 80GB HBM3", "gpus": 1, "read_roof_gb_s": 3000, "bf16_roof_tflop_s": 750}
# Of the design's example, in its order.
FIELDS = ["op", "case", "M", "N", "K", "impl", "us_median", "us_min", "us_max", "bytes", "flops", "rel_error"]


def fake_clock(call, copies):
    """Runs everything once, as the real one does, and says 2, 4 and 9 microseconds."""
    for copy in copies:
        call(*copy)
    return [4.0, 2.0, 9.0]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A whole run at small shapes, where only ours and PyTorch's own product can run."""
    path = tmp_path_factory.mktemp("results") / "device-matmul_int4.json"
    todo = list(matmul_int4.tasks(CPU, SHAPES, tokens=(1, 256)))
    with torch.no_grad():
        measure_all("matmul_int4", todo, HEAD, fake_clock, path, deadline=math.inf)
    return results.load(path)


def work(call=lambda x: x, error=0.001):
    copies = [(torch.ones(2),), (torch.zeros(2),)]
    return Work(call, copies, {"M": 1, "N": 2, "K": 3}, num_bytes=600, flops=12, rel_error=error)


def task(impl, sizes=(1,), prepare=lambda: lambda size: work(), case="o"):
    return Task(case, impl, sizes, prepare)


def record(impl, us, case="o", size=1, num_bytes=3_000_000, flops=1_000):
    times = {"us_median": us, "us_min": us, "us_max": us}
    return dict(op="matmul_int4", case=case, M=size, N=2, K=3, impl=impl, **times) | {
        "bytes": num_bytes, "flops": flops, "rel_error": 0.002,
    }  # fmt: skip


def test_a_record_has_the_fields_of_the_design_in_their_order(measured):
    assert {tuple(record) for record in measured["records"]} == {tuple(FIELDS)}


def test_the_cases_are_scouts_shapes_and_ours_comes_first():
    todo = list(matmul_int4.tasks(CPU))
    scout = {"qkv": (7168, 5120), "o": (5120, 5120), "gate_up": (16384, 5120), "down": (5120, 8192)}
    assert scout == matmul_int4.SHAPES
    assert [str(task) for task in todo[:4]] == ["qkv, ours", "o, ours", "gate_up, ours", "down, ours"]
    assert list(todo[0].sizes) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
    assert len(todo) == 4 * 8


def test_bytes_and_flops_are_the_fewest_that_are_needed(measured):
    ours, bfloat16 = (
        next(r for r in measured["records"] if (r["impl"], r["case"], r["M"]) == (impl, "narrow", 256))
        for impl in ("ours", "torch bf16")
    )
    rows = 64  # 48 rows fill two rows of tiles
    x_and_product = 2 * 256 * (256 + 48)
    assert ours["bytes"] == x_and_product + rows * 256 // 2 + rows * 2 * 4
    assert bfloat16["bytes"] == x_and_product + 2 * 48 * 256
    assert ours["flops"] == bfloat16["flops"] == 2 * 256 * 48 * 256


def test_times_are_summed_up_as_median_and_ends(measured):
    assert {(r["us_median"], r["us_min"], r["us_max"]) for r in measured["records"]} == {(4.0, 2.0, 9.0)}


def test_errors_are_those_of_bfloat16(measured):
    """A rounded product is off by up to 1 in 256, 1 in 600 at a time; anything wrong is off by far more."""
    assert {r["impl"] for r in measured["records"]} >= {"ours", "torch bf16"}
    assert all(0 < r["rel_error"] < 0.004 for r in measured["records"])


def test_an_error_is_held_against_what_the_implementation_stores():
    matrix = matmul_int4.gaussian_matrix((64, 256), CPU)
    right = peers.torch_bfloat16(matrix)
    wrong = peers.Implementation(lambda x, w: x @ (1.05 * w).T, right.weights, right.values)
    assert matmul_int4.work(right, [right.weights], 8).rel_error < 0.004
    assert_close(matmul_int4.work(wrong, [right.weights], 8).rel_error, 0.05, rtol=0.1, atol=0)


def test_a_product_of_another_shape_is_refused():
    matrix = matmul_int4.gaussian_matrix((64, 256), CPU)
    weights = peers.torch_bfloat16(matrix).weights
    transposed = peers.Implementation(lambda x, w: (x @ w.T).T, weights, matrix.values())
    with pytest.raises(ValueError, match=r"\[64, 8\], not \[8, 64\]"):
        matmul_int4.work(transposed, [weights], 8)


def test_scale_and_zero_stored_as_an_offset_stand_for_the_same_numbers():
    matrix = matmul_int4.gaussian_matrix((32, 256), CPU)
    middle = torch.full_like(matrix.zero, peers.MIDDLE)
    offset = (middle.double() - matrix.zero.double()) * matrix.scale.double()
    assert_close(matrix.scaled(middle, offset), matrix.values(), rtol=1e-12, atol=1e-12)


def test_missing_peers_are_a_line_each_and_the_rest_is_measured(capsys, monkeypatch):
    for name in ("bitsandbytes", "fbgemm_gpu", "gemlite"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    with torch.no_grad():
        todo = matmul_int4.tasks(CPU, {"narrow": (48, 256)}, tokens=(1,))
        found = measure_all("matmul_int4", todo, HEAD, fake_clock, None, deadline=math.inf)
    lines = capsys.readouterr().out.splitlines()
    assert [r["impl"] for r in found["records"]] == ["ours", "torch bf16"]
    for peer in ("tinygemm", "bitsandbytes NF4", "fbgemm bf16i4bf16_shuffled", "gemlite"):
        assert sum(line.startswith(f"narrow, {peer}: ") for line in lines) == 1
    assert "narrow, fbgemm bf16i4bf16_shuffled: cannot run: ModuleNotFoundError: No module named 'fbgemm_gpu'" in lines


def test_a_size_that_fails_is_a_line_and_the_next_is_measured(capsys):
    def work_of(size):
        if size == 2:
            raise RuntimeError("out of memory\nand a long story") from ValueError("the root of it\nin two lines")
        return work()

    found = measure_all("op", [task("ours", (1, 2, 4), lambda: work_of)], HEAD, fake_clock, None, math.inf)
    assert len(found["records"]) == 2
    assert "o, ours: size 2: ValueError: the root of it\n" in capsys.readouterr().out


def test_what_is_measured_is_written_after_every_size(tmp_path):
    path, seen = tmp_path / "new" / "a.json", []

    def work_of(size):
        seen.append(len(results.load(path)["records"]) if path.exists() else None)
        return work()

    measure_all("op", [task("ours", (1, 2, 4), lambda: work_of)], HEAD, fake_clock, path, math.inf)
    assert seen == [None, 1, 2]
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


def test_weights_are_made_ready_once_for_all_sizes():
    prepared = []

    def prepare():
        prepared.append("weights")
        return lambda size: work()

    measure_all("op", [task("ours", (1, 2, 4), prepare)], HEAD, fake_clock, None, math.inf)
    assert prepared == ["weights"]


def test_when_time_is_over_the_rest_is_left_out(capsys):
    ticks = iter(range(100))
    todo = [task("ours", (1, 2, 4)), task("gemlite", (1, 2))]
    found = measure_all("op", todo, HEAD, fake_clock, None, deadline=2, now=lambda: next(ticks))
    assert [r["impl"] for r in found["records"]] == ["ours", "ours"]
    out = capsys.readouterr().out
    assert "o, ours: left out from size 4 on" in out and "o, gemlite: left out from size 1 on" in out


def test_a_file_is_json_with_a_line_for_each_record(tmp_path):
    path = tmp_path / "a.json"
    content = {**HEAD, "records": [record("ours", 2.5), record("tinygemm", 5.0)]}
    results.save(content, path)
    assert json.loads(path.read_text()) == content
    assert list(json.loads(path.read_text())) == [*HEAD, "records"]
    assert sum('"impl"' in line for line in path.read_text().splitlines()) == 2
    results.save({**HEAD, "records": []}, path)
    assert json.loads(path.read_text()) == {**HEAD, "records": []}


def test_the_head_names_device_versions_commit_and_date():
    head = results.describe(CPU, commit="abc")
    assert list(head) == ["device", "gpus", "driver", "torch", "triton", "transformers", "commit", "date"]
    assert head["commit"] == "abc" and head["torch"] == torch.__version__ and head["gpus"] == 1


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert results.describe(CPU)["commit"] == results.describe(CPU)["driver"] == "unknown"


def test_a_file_is_named_by_device_and_op():
    name = results.file_name("NVIDIA H100 80GB HBM3", "matmul_int4")
    assert name == "nvidia-h100-80gb-hbm3-matmul_int4.json"


def test_the_table_says_rate_share_of_the_roof_and_ratio():
    quick = record("ours", 2.0)  # 3 MB at 3 TB/s take 1 microsecond
    large = record("ours", 4.0, size=512, num_bytes=3_000, flops=750_000_000)  # so do 750 MFLOP at 750 TFLOP/s
    lines = results.table({**HEAD, "records": [quick, record("tinygemm", 5.0), large]}).splitlines()
    assert lines[0] == "NVIDIA H100 80GB HBM3: 3000 GB/s, 750 TFLOP/s at most"
    assert lines[2].split() == ["o", "1", "ours", "2.00", "1.50", "TB/s", "50.0%", "2.0e-03"]
    assert lines[3].split() == ["o", "1", "tinygemm", "5.00", "0.60", "TB/s", "20.0%", "2.0e-03", "2.50"]
    assert lines[4].split() == ["o", "512", "ours", "4.00", "188", "TFLOP/s", "25.0%", "2.0e-03"]


def test_copies_outgrow_the_cache_and_are_memory_of_their_own():
    weights = (torch.arange(1000.0), torch.arange(24.0))  # 4,096 bytes
    copies = timing.copies_beyond_cache(weights, cache_bytes=10_000)
    assert len(copies) == 13  # 12 would be less than five caches
    assert len({tensor.data_ptr() for copy in copies for tensor in copy}) == 26
    assert all(torch.equal(a, b) for copy in copies for a, b in zip(copy, weights, strict=True))
    assert len(timing.copies_beyond_cache(weights, cache_bytes=0)) == 2


def test_the_roofs_are_bytes_and_flops_over_time():
    roofs = timing.measure_roofs(CPU, fake_clock, read_bytes=4_000_000, width=256)
    assert roofs == {"read_roof_gb_s": 1000, "bf16_roof_tflop_s": round(2 * 256**3 / 4e6)}


def test_the_chart_has_a_panel_for_each_case_and_the_devices_limit(measured):
    figure = chart.draw_chart(measured)
    titles = [panel.get_title("left") for panel in figure.axes if panel.get_title("left")]
    assert titles == ["narrow, 48 x 256", "wide, 96 x 128"]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert {"ours", "torch bf16", "the device's limit for ours"} <= lines.keys()
    ours = next(r for r in measured["records"] if (r["impl"], r["case"], r["M"]) == ("ours", "narrow", 1))
    assert list(lines["ours"].get_xdata()) == [1, 256] and list(lines["ours"].get_ydata()) == [4.0, 4.0]
    assert_close(lines["the device's limit for ours"].get_ydata()[0], ours["bytes"] / 3e6)
    assert "NVIDIA H100 80GB HBM3" in figure.get_suptitle()
    plt.close(figure)


def test_the_command_draws_and_prints_what_is_there(measured, tmp_path, capsys):
    results.save(measured, tmp_path / "device-matmul_int4.json")
    assert command.main(["chart", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "device-matmul_int4.png").read_bytes().startswith(b"\x89PNG")
    assert command.main(["table", "--output", str(tmp_path)]) == 0
    assert results.table(measured) in capsys.readouterr().out


def test_no_results_are_one_line(tmp_path, capsys):
    assert command.main(["chart", "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_without_cuda_the_command_is_one_clear_line():
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "kernels/benchmarks", "matmul_int4"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "the benchmarks need a CUDA device, and PyTorch finds none\n"


def test_some_cases_alone_are_not_written_over_all(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(command, "graph_clock", fake_clock)
    monkeypatch.setattr(matmul_int4, "tasks", lambda device: [task("ours", case="qkv"), task("ours", case="o")])
    options = command._parser().parse_args(["matmul_int4", "--only", "o"])
    command._measure("matmul_int4", CPU, {**HEAD}, options)
    assert list(tmp_path.iterdir()) == []
    out = capsys.readouterr().out
    assert "o, ours: 1 measured" in out and "qkv" not in out
    options = command._parser().parse_args(["matmul_int4"])
    command._measure("matmul_int4", CPU, {**HEAD}, options)
    assert [file.name for file in tmp_path.iterdir()] == ["nvidia-h100-80gb-hbm3-matmul_int4.json"]


def test_reasons_are_short():
    assert tasks._reason(RuntimeError("x" * 1000)) == ("RuntimeError: " + "x" * 1000)[:300]


@pytest.fixture
def page_of(tmp_path, monkeypatch):
    """Text of the site's page, drawn from one results file or none; its pictures lie in tmp_path / "site"."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from generators import performance
    from generators.source_folder import SourceFolder

    def page_of(content=None):
        if content is not None:
            results.save(content, tmp_path / "results" / "h100.json")
        monkeypatch.setattr(performance, "FOLDER", tmp_path / "results")
        performance.write_performance(SourceFolder(tmp_path / "site"))
        return (tmp_path / "site" / "performance.md").read_text(encoding="utf-8")

    return page_of


def test_the_site_shows_a_picture_and_a_table_for_each_case(measured, page_of, tmp_path):
    page = page_of({**HEAD, "torch": "2.11.0", "records": measured["records"]})
    assert "## NVIDIA H100 80GB HBM3: matmul_int4\n" in page and "torch 2.11.0" in page
    assert "### narrow, 48 x 256\n\n| tokens | ours |" in page and "### wide, 96 x 128\n" in page
    assert "figures/h100.png" in page
    assert (tmp_path / "site" / "figures" / "h100.png").read_bytes().startswith(b"\x89PNG")


def test_the_sites_tables_say_times_and_how_near_the_limit_they_are(page_of):
    page = page_of({**HEAD, "records": [record("ours", 2.0), record("gemlite", 5.0), record("ours", 4.0, size=2)]})
    assert "| 1 | 2.0 | 5.0 | 50% |\n| 2 | 4.0 |  | 25% |\n| largest relative error | 2.0e-03 | 2.0e-03 |  |" in page


def test_the_site_lists_records_that_are_not_kernels(page_of):
    decode = {"op": "scout_decode", "case": "int4", "batch": 1, "impl": "ours", "tokens_per_s": 123.456}
    assert "| scout_decode | int4 | ours | 1 | 123.5 |" in page_of({"device": "H100", "records": [decode]})


def test_without_results_the_site_says_so(page_of):
    assert "No benchmark has written a result yet." in page_of()
