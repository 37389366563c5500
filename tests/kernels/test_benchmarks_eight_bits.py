"""The benchmarks of eight-bit products without a GPU: who is measured at which sizes, and how far products are off."""

import math

import pytest
import torch

from benchmarks import matmul_fp8, matmul_int8
from benchmarks.tasks import measure_all

CPU = torch.device("cpu")


def fake_clock(call, copies):
    for copy in copies:
        call(*copy)
    return [4.0, 2.0, 9.0]


def measured(op):
    if torch.cuda.is_available():
        pytest.skip("the kernels run in the interpreter only where there is no GPU")
    with torch.no_grad():
        todo = op.tasks(CPU, {"small": (64, 256)}, (1, 20))
        return measure_all("op", todo, {}, fake_clock, None, math.inf)["records"]


def test_int8_is_the_head_and_the_widest_matrix_and_ours_comes_first():
    todo = list(matmul_int8.tasks(CPU))
    assert [str(task) for task in todo] == [
        "lm_head, ours", "gate_up, ours", "lm_head, torch bf16", "gate_up, torch bf16"
    ]  # fmt: skip
    assert matmul_int8.SHAPES == {"lm_head": (202048, 5120), "gate_up": (16384, 5120)}
    assert {tuple(task.sizes) for task in todo} == {(1, 16, 64)}


def test_int8_errors_are_those_of_bfloat16_and_bytes_those_of_the_format():
    records = measured(matmul_int8)
    assert len(records) == 4 and all(0 < record["rel_error"] < 0.004 for record in records)
    ours = next(record for record in records if (record["impl"], record["M"]) == ("ours", 20))
    assert ours["bytes"] == 64 * 256 + 64 * 2 + 2 * 20 * (256 + 64)


def test_fp8_is_measured_with_and_without_rounding_and_errors_are_those_of_e4m3():
    records = measured(matmul_fp8)
    fp8 = [record for record in records if record["impl"] != "torch bf16"]
    assert {record["impl"] for record in fp8} >= {"ours", "ours (x rounded already)"}
    assert all(0.01 < record["rel_error"] < 0.04 for record in fp8)  # e4m3 is off by up to 1 in 16
    for tokens in (1, 20):  # the same numbers, whoever multiplies and whenever x is rounded
        errors = [record["rel_error"] for record in fp8 if record["M"] == tokens]
        assert max(errors) - min(errors) < 0.0005
    assert all(record["rel_error"] < 0.004 for record in records if record["impl"] == "torch bf16")
