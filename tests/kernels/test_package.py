"""The kernels stand alone: PyTorch and Triton, and without Triton the specifications."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import llama4_kernels

FOLDER = Path(llama4_kernels.__file__).parent
ALLOWED = {"torch", "triton"} | set(sys.stdlib_module_names)
USES = """
import sys
sys.modules["triton"] = None  # as if it were not installed
import torch
from llama4_kernels import matmul_int4, pack_int4
x = torch.ones(2, 128)
matrix = pack_int4(torch.full((3, 128), 9, dtype=torch.uint8), torch.ones(3, 1).bfloat16())
assert matmul_int4(x, matrix).tolist() == [[128.0] * 3] * 2
"""


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_only_torch_and_triton_are_imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        assert not {name.split(".")[0] for name in names} - ALLOWED


def test_without_triton_the_specifications_run():
    subprocess.run([sys.executable, "-c", USES], check=True, env={"PYTHONPATH": str(FOLDER.parent)})


def test_every_operation_has_its_specification_and_its_readme():
    operations = [path for path in FOLDER.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert operations
    for path in operations:
        assert {"reference.py", "kernel.py", "configs.py", "launch.py", "README.md"} <= {f.name for f in path.iterdir()}
