"""Execute, check and time the notebooks: `python tools/notebooks.py run|check|time [notebook ...]`.

run    executes each notebook in a fresh kernel and stores it in normal form.
check  fails unless each notebook is in normal form and strict nbval gets every stored output again.
time   executes each notebook and prints the seconds it took, without storing anything.

Normal form keeps what a reader sees and drops what changes from run to run: timings, editors' metadata, widget state,
widget ids, the paths in tracebacks. Execution counts are renumbered 1, 2, 3, ...; they cannot be dropped, because nbval
leaves a cell without a count unchecked. Nothing may reach stderr: what is written there differs between machines.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CELL_SECONDS = 600
DONE = {"run": "stored", "check": "agrees", "time": "ran"}
KEPT_CELL_METADATA = ("mystnb", "tags")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# What a kernel inherits, here and under nbval, so that two runs give the same text.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OMP_NUM_THREADS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONWARNINGS": "ignore",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


# Runs in every kernel before its first cell: the bars that tqdm draws for notebooks overrule TQDM_DISABLE.
STARTUP = "import tqdm.auto, tqdm.std; tqdm.auto.tqdm, tqdm.auto.trange = tqdm.std.tqdm, tqdm.std.trange; del tqdm"


class NotebookError(Exception):
    """One line: which notebook, which cell, what is wrong with it."""


@contextlib.contextmanager
def fixed_environment() -> Iterator[None]:
    """ENVIRONMENT, kernels that run this Python, and nothing but STARTUP in place of the user's IPython profile."""
    with tempfile.TemporaryDirectory() as folder:
        startup = Path(folder, "profile_default", "startup", "bars.py")
        startup.parent.mkdir(parents=True)
        startup.write_text(STARTUP, encoding="utf-8")
        kernel = Path(folder, "kernels", "python3", "kernel.json")
        kernel.parent.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        kernel.write_text(json.dumps({"argv": command, "display_name": "Python 3"}), encoding="utf-8")
        os.environ.update(ENVIRONMENT, IPYTHONDIR=folder, JUPYTER_PATH=folder)
        yield


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cell_name(cell: NotebookNode) -> str:
    """How a reader finds a cell: its count and its first line."""
    first_line = cell.source.strip().split("\n")[0]
    return f"In [{cell.execution_count}] `{first_line}`"


def normalise(notebook: NotebookNode) -> NotebookNode:
    """The notebook in normal form; the given one is changed and returned."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    seen: set[str] = set()
    count = 0
    for position, cell in enumerate(notebook.cells):
        cell.metadata = {key: cell.metadata[key] for key in KEPT_CELL_METADATA if key in cell.metadata}
        if cell.get("id") in seen or not cell.get("id"):
            cell.id = hashlib.sha256(f"{position} {cell.source}".encode()).hexdigest()[:8]
        seen.add(cell.id)
        if cell.cell_type == "code":
            count += bool(cell.source.strip())
            cell.execution_count = count if cell.source.strip() else None
            cell.outputs = [normalise_output(output, cell.execution_count) for output in cell.outputs]
    return notebook


def normalise_output(output: NotebookNode, count: int | None) -> NotebookNode:
    if output.output_type == "execute_result":
        output.execution_count = count
    if output.output_type == "error":  # the frames above the last line name files of one machine
        output.traceback = [f"{output.ename}: {output.evalue}"]
    if "data" in output:  # without its state, a view makes JupyterLab print an error in place of the still image
        output.data.pop(WIDGET_VIEW, None)
        output.metadata.pop(WIDGET_VIEW, None)
    return output


def to_text(notebook: NotebookNode) -> str:
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"  # sorts the keys, splits text into lines


def read(path: Path) -> NotebookNode:
    if not path.is_file():
        raise NotebookError(f"{path}: no such notebook")
    try:
        return nbformat.v4.reads(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, AttributeError) as error:
        raise NotebookError(f"{path}: not a notebook in format 4: {error}") from error


def execute(path: Path) -> NotebookNode:
    """The notebook in normal form, run from top to bottom in a new kernel that works in the notebook's folder."""
    notebook = normalise(read(path))
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_SECONDS,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    try:
        client.execute()
    except CellTimeoutError as error:
        raise NotebookError(f"{path}: a cell takes over {CELL_SECONDS} seconds") from error
    except DeadKernelError as error:
        raise NotebookError(f"{path}: the kernel died") from error
    except CellExecutionError as error:
        failed = next(cell for cell in code_cells(notebook) if any(o.output_type == "error" for o in cell.outputs))
        raise NotebookError(f"{path}: {cell_name(failed)} raises {error.ename}: {error.evalue}") from error
    for cell in code_cells(notebook):
        if noise := "".join(output.text for output in cell.outputs if output.get("name") == "stderr"):
            raise NotebookError(f"{path}: {cell_name(cell)} writes to stderr: {noise.strip().splitlines()[-1]}")
    return normalise(notebook)


def check_form(path: Path) -> NotebookNode:
    """The stored notebook, if it is in normal form."""
    stored = path.read_bytes().decode() if path.is_file() else ""  # bytes, so that CRLF is seen
    notebook = read(path)
    for cell in code_cells(notebook):
        if cell.source.rstrip().endswith(";"):
            raise NotebookError(f"{path}: {cell_name(cell)} ends in `;`, which nbval does not obey: end in plt.show()")
        if any(output.get("name") == "stderr" for output in cell.outputs):
            raise NotebookError(f"{path}: {cell_name(cell)} has stored stderr")
    if to_text(normalise(notebook)) != stored:
        raise NotebookError(f"{path}: not in normal form: `python tools/notebooks.py run {path}` stores it so")
    return notebook


class CellReports:
    """A pytest plugin that keeps nbval's verdict on each cell."""

    def __init__(self) -> None:
        self.failures: list[tuple[int, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            number = report.nodeid.partition("::Cell ")[2]
            self.failures.append((int(number), report.longreprtext))


def compare(path: Path) -> None:
    """Runs every cell again under strict nbval; the stored outputs must come out."""
    cells = code_cells(check_form(path))
    reports = CellReports()
    options = ["--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}", "--color=no", "-oaddopts="]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        status = pytest.main(["-pno:cacheprovider", *options, str(path)], plugins=[reports])
    if reports.failures:
        number, details = reports.failures[0]
        raise NotebookError(f"{path}: {cell_name(cells[number])} does not give its stored output\n{details}")
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise NotebookError(f"{path}: nbval ended with {status!r}\n{printed.getvalue()}")


def store(path: Path) -> None:
    """Executes the notebook and replaces the file; one that fails is left as it was."""
    text = to_text(execute(path))
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(text.encode())  # bytes: the same line ends on every system
    unfinished.replace(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Execute, check and time the notebooks.")
    parser.add_argument("command", choices=["run", "check", "time"])
    parser.add_argument("notebook", nargs="*", type=Path, help="all of notebooks/ if none is named")
    chosen = parser.parse_args(arguments)
    action = {"run": store, "check": compare, "time": execute}[chosen.command]
    paths = chosen.notebook or sorted(
        Path(os.path.relpath(path)) for path in NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
    )
    if not paths:
        print(f"no notebooks in {NOTEBOOKS}", file=sys.stderr)
    failures = 0
    with fixed_environment():
        import matplotlib.font_manager  # noqa: F401  builds the font cache, or a cell would tell of it on stderr

        for path in paths:
            start = time.perf_counter()
            try:
                action(path)
            except NotebookError as error:
                failures += 1
                print(error, file=sys.stderr)
            else:
                print(f"{time.perf_counter() - start:7.1f} s  {DONE[chosen.command]}  {path}")
    return 1 if failures or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
