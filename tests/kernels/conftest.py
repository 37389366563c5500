"""Kernels run on the GPU if there is one, else on the CPU in Triton's interpreter (see `tests/conftest.py`)."""

import importlib.util

import pytest
import torch

HAS_GPU = torch.cuda.is_available()
KERNELS = ["test_attention*", "test_counters*", "test_matmul_*", "test_moe_*", "test_benchmarks*"]

if importlib.util.find_spec("triton") is None:
    collect_ignore_glob = KERNELS  # macOS and Windows: there is nothing to run them with
elif not HAS_GPU:
    import triton

    import triton_interpreter

    if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 8):
        collect_ignore_glob = KERNELS  # its interpreter does not run with the NumPy of today
    else:
        triton_interpreter.mend()


@pytest.fixture
def device() -> str:
    return "cuda" if HAS_GPU else "cpu"


@pytest.fixture(autouse=True)
def nan_in_new_memory(monkeypatch):
    """`torch.empty` gives NaN, so that a number which is not stored shows."""
    empty, new_empty = torch.empty, torch.Tensor.new_empty

    def filled(tensor):
        return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: filled(empty(*args, **kwargs)))
    monkeypatch.setattr(
        torch.Tensor, "new_empty", lambda self, *args, **kwargs: filled(new_empty(self, *args, **kwargs))
    )
