"""tools/notebooks.py on small notebooks: what it stores, and what it must not let pass."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

TOOL = Path(__file__).parents[1] / "tools" / "notebooks.py"
GOOD_CELLS = [
    "import ipywidgets, matplotlib.pyplot as plt\nfrom tqdm.auto import tqdm\nfor i in tqdm(range(3)):\n    print(i)",
    "plt.plot([1, 2])\nplt.show()",
    "ipywidgets.IntSlider()",
    "# only a note",
    "1 / 0",
    "sorted({'b', 'a'})",
]


def notebook(*sources: str) -> nbformat.NotebookNode:
    return new_notebook(cells=[new_markdown_cell("# A lesson"), *(new_code_cell(source) for source in sources)])


def tool(command: str, *paths: Path) -> tuple[int, str, list[str]]:
    """Exit code, stdout, and the lines of stderr that name a notebook."""
    run = subprocess.run([sys.executable, TOOL, command, *paths], capture_output=True, text=True)
    assert "Traceback (most recent call last)" not in run.stderr, run.stderr
    return run.returncode, run.stdout, [line for line in run.stderr.splitlines() if ".ipynb: " in line]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook with everything that makes outputs unsteady, as `run` stores it."""
    path = tmp_path_factory.mktemp("stored") / "good.ipynb"
    draft = notebook(*GOOD_CELLS)
    draft.cells[5].metadata = {"tags": ["raises-exception"], "execution": {"iopub.execute_input": "2026-01-01T00:00"}}
    draft.cells[3].id = draft.cells[2].id
    draft.metadata["widgets"] = {"state": {}}
    path.write_text(json.dumps(draft))  # nbformat.write would mend the id that stands twice
    code, printed, complaints = tool("run", path)
    assert (code, complaints) == (0, []) and "stored" in printed
    return path


def test_normal_form(stored: Path):
    text = stored.read_text()
    lesson = json.loads(text)
    code = lesson["cells"][1:]
    assert text == json.dumps(lesson, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert set(lesson["metadata"]) == {"kernelspec", "language_info"}
    assert [cell["execution_count"] for cell in code] == [1, 2, 3, 4, 5, 6]
    assert len({cell["id"] for cell in lesson["cells"]}) == 7
    assert "".join(code[0]["outputs"][0]["text"]) == "0\n1\n2\n" and len(code[0]["outputs"]) == 1
    assert set(code[1]["outputs"][0]["data"]) == {"image/png", "text/plain"}
    assert set(code[2]["outputs"][0]["data"]) == {"text/plain"}
    assert code[4]["metadata"] == {"tags": ["raises-exception"]}
    assert code[4]["outputs"][0]["traceback"] == ["ZeroDivisionError: division by zero"]


def test_check_passes_what_run_stored_and_nothing_else(stored: Path, tmp_path: Path):
    def changed(name: str, change) -> Path:
        lesson = json.loads(stored.read_text())
        change(lesson)
        path = tmp_path / f"{name}.ipynb"
        path.write_text(json.dumps(lesson, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        return path

    def falsify(lesson):
        lesson["cells"][6]["outputs"][0]["data"]["text/plain"] = ["['a', 'c']"]

    def drop_counts(lesson):
        for cell in lesson["cells"][1:]:
            cell["execution_count"] = None

    def end_in_semicolon(lesson):
        lesson["cells"][2]["source"] = ["plt.plot([1, 2]);"]

    false = changed("false", falsify)
    uncounted = changed("uncounted", drop_counts)
    semicolon = changed("semicolon", end_in_semicolon)
    code, printed, complaints = tool("check", stored, false, uncounted, semicolon)
    assert code == 1
    assert printed.count("agrees") == 1 and str(stored) in printed
    assert complaints == [
        f"{false}: In [6] `sorted({{'b', 'a'}})` does not give its stored output",
        f"{uncounted}: not in normal form: `python tools/notebooks.py run {uncounted}` stores it so",
        f"{semicolon}: In [2] `plt.plot([1, 2]);` ends in `;`, which nbval does not obey: end in plt.show()",
    ]


def test_run_is_idempotent_and_leaves_a_failing_notebook_alone(stored: Path, tmp_path: Path):
    before = stored.read_bytes()
    raising, noisy, missing = tmp_path / "raising.ipynb", tmp_path / "noisy.ipynb", tmp_path / "missing.ipynb"
    nbformat.write(notebook("x = 1", "y = x + z"), raising)
    nbformat.write(notebook("import sys\nprint('careful', file=sys.stderr)"), noisy)
    drafts = raising.read_bytes(), noisy.read_bytes()
    code, _, complaints = tool("run", stored, raising, noisy, missing)
    assert code == 1
    assert stored.read_bytes() == before
    assert (raising.read_bytes(), noisy.read_bytes()) == drafts
    assert complaints == [
        f"{raising}: In [2] `y = x + z` raises NameError: name 'z' is not defined",
        f"{noisy}: In [1] `import sys` writes to stderr: careful",
        f"{missing}: no such notebook",
    ]
