"""Every lesson has the seven parts, proves what it claims, and leaves the reader something to do."""

import ast
import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from llama4_explained.check.mutants import MUTANTS
from llama4_explained.check.registry import LESSONS as IN_ORDER

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(path for path in NOTEBOOKS.glob("*.ipynb") if path.stem != "00_tour")
PARTS = [
    "Goals", "Before you start", "Picture", "Build it", "Check against Hugging Face", "See it", "Break it", "Exercises",
]  # fmt: skip
MOST_LINES = 30  # of a code cell
HF_LINE = re.compile(r"equals Hugging Face's, (within 1e-\d+; their own rounding is up to 1e-\d+|bit for bit)")


def read(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


def markdown(cells: list) -> str:
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def code(cells: list) -> list:
    return [cell for cell in cells if cell.cell_type == "code"]


def printed(cell) -> str:
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join(texts)


def definitions(path: Path) -> dict[str, str]:
    """Functions and classes of a notebook or module, by name; each as its syntax tree, docstrings left out."""
    if path.suffix == ".py":
        sources = [path.read_text(encoding="utf-8")]
    else:
        sources = [cell.source for cell in code(read(path))]
    found = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                body = [part for part in node.body if not _is_text(part)]
                found[node.name] = "\n".join(map(ast.dump, body))
    return found


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request) -> Path:
    return request.param


def test_there_are_lessons():
    assert LESSONS and {path.stem for path in LESSONS} <= set(IN_ORDER)


def test_parts_come_in_order(lesson):
    text = markdown(read(lesson))
    assert re.match(rf"# {lesson.stem[:2]} · .+\n", text)
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert [heading for heading in headings if heading in PARTS] == PARTS
    goals, start = (text.partition(f"## {part}\n")[2].partition("\n## ")[0] for part in PARTS[:2])
    assert "After this notebook you can" in goals and re.search(r"\d+ minutes to work through", goals)
    assert start.count("<details>") == start.count("</details>") >= 3


def test_it_is_compared_with_hugging_face(lesson):
    assert any(HF_LINE.search(printed(cell)) for cell in code(read(lesson)))


def test_pictures_have_alternative_text(lesson):
    for cell in code(read(lesson)):
        if any("image/png" in output.get("data", {}) for output in cell.outputs) and "Explorer" not in cell.source:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 30, f"no alternative text: {cell.source[:80]}"


def test_something_is_broken_and_guessed_first(lesson):
    cells = read(lesson)
    used = {name for name in MUTANTS if any(f'"{name}"' in cell.source for cell in code(cells))}
    assert used, "no mutant of the registry is shown"
    is_guess = [cell.cell_type == "markdown" and "**Guess" in cell.source for cell in cells]
    hidden = ["hide-output" in cell.metadata.get("tags", []) for cell in cells]
    assert any(hidden) and any(guess and hidden[i + 1] for i, guess in enumerate(is_guess[:-1]))


def test_misconceptions_are_refuted(lesson):
    cells = read(lesson)
    claims = [i for i, cell in enumerate(cells) if cell.cell_type == "markdown" and "**Misconception: " in cell.source]
    assert len(claims) >= 3
    for i in claims:
        assert any("assert " in cell.source for cell in code(cells[i + 1 : i + 4])), cells[i].source[:80]


def test_a_real_bug_is_told(lesson):
    boxes = [part for part in markdown(read(lesson)).split("\n\n") if part.startswith("> **Seen in the wild.**")]
    assert boxes and all("https://github.com/" in box for box in boxes)


def test_exercises_have_checkers_and_solutions(lesson):
    asked = {match for cell in code(read(lesson)) for match in re.findall(r"exercises\.(\w+)\.check\(", cell.source)}
    untried = [cell for cell in code(read(lesson)) if "exercises." in cell.source and ".check(" in cell.source]
    assert len(asked) >= 3 and all(printed(cell).endswith(": not tried yet") for cell in untried)
    solutions = code(read(NOTEBOOKS / "solutions" / lesson.name))
    solved = {
        match: printed(cell) for cell in solutions for match in re.findall(r"exercises\.(\w+)\.check\(", cell.source)
    }
    assert solved.keys() == asked
    assert all(re.search(r"^[\w\s-]+: right", text) for text in solved.values()), solved


def test_cells_are_short(lesson):
    long = [cell.source[:60] for cell in code(read(lesson)) if len(cell.source.splitlines()) > MOST_LINES]
    assert not long


def test_nothing_is_defined_twice():
    """Copies drift: what a lesson defines is its own, or `naive_`, and then compared with the package's."""
    package: dict[str, str] = {}
    for path in sorted((ROOT / "llama4_explained").rglob("*.py")):
        package |= definitions(path)
    bodies, names = set(package.values()), Counter()
    for path in LESSONS:
        blank = {name for name, body in definitions(path).items() if body == ""}
        for name, body in definitions(path).items():
            names[name] += 1
            assert name not in package or name in blank, f"{path.stem} defines {name} as the package does"
            assert not body or body not in bodies, f"{name} in {path.stem} repeats the package"
            bodies.add(body)
    assert not [name for name, number in names.items() if number > 1]
