"""The shape of the project: who may import whom, what importing it costs, and what no file may hold."""

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "llama4_explained"
NAME = "llama4_explained"

# A module may import from the rows above its own, and from its own row. A folder's name stands for all in it.
LAYERS = [
    ["errors", "hub", "config_hf", "config", "presets", "trace"],
    ["linear", "norms", "rope", "masks", "kv_cache", "attention", "feed_forward", "moe", "loss"],
    ["block"],
    ["text_model", "vision", "fusion"],
    ["number_formats", "quantize", "atomic", "tensor_files", "checkpoint", "generate", "image_input", "images",
     "special_tokens", "vocabulary", "tokenizer", "tool_calls", "messages", "chat", "processor"],
    ["model"],
    ["loading", "devices", "activations", "weight_count", "memory_table", "memory"],
    ["__init__"],
    ["check", "show", "tiny"],
    ["exercises"],
    ["talk", "tour", "lab", "benchmark"],
    ["cli", "__main__"],
]  # fmt: skip
LAYER = {name: number for number, row in enumerate(LAYERS) for name in row}

# Who may import what is slow to load or not everywhere installed; an empty set is nobody.
RESTRICTED = {
    "anywidget": {"show"},
    "ipywidgets": {"show"},
    "matplotlib": {"show"},
    "torchvision": {"check"},
    "transformers": {"benchmark", "check", "exercises", "tokenizer", "tool_calls"},
    "triton": set(),
}

MAX_LINES = 350
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(work|farm|tmp)/",
    "a registry's host": r"pypi\.org|pythonhosted\.org|npmjs\.(com|org)",
    "a note to do something later": r"\b(T[O]DO|F[I]XME|X[X]X)\b",
    "a test that may fail": r"pytest\.mark\.x[f]ail|pytest\.x[f]ail",
}
TEXT_FILES = {".py", ".md", ".toml", ".yaml", ".yml", ".cff", ".txt", ".ipynb", ".js", ".css", ""}
LEFT_OUT = re.compile(r"^(\.git|\.venv.*|\.hypothesis|\.[a-z]+_cache|__pycache__|\.ipynb_checkpoints|build|dist)$")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def own_name(module: str) -> str:
    """The name that stands for the module in LAYERS: `llama4_explained.vision.encoder` -> `vision`."""
    return module.split(".")[1] if "." in module else "__init__"


def imported(module: str) -> set[str]:
    """Full names of all that the module's code imports, inside functions too, but not for type checking alone."""
    path = FILES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            inner = {f"{base}.{alias.name}" for alias in node.names} & FILES.keys()
            found.update(inner or {base})
    return found


def project_files() -> list[Path]:
    found, folders = [], [ROOT]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            if LEFT_OUT.match(path.name):
                continue
            if path.is_dir():
                folders.append(path)
            elif path.suffix in TEXT_FILES:
                found.append(path)
    return found


@pytest.mark.parametrize("module", [name for name in FILES if not name.endswith("__main__")])
def test_every_module_imports(module: str):
    importlib.import_module(module)


@pytest.mark.parametrize("module", FILES)
def test_imports_follow_the_layers(module: str):
    own = own_name(module)
    assert own in LAYER, f"say in LAYERS where {module} belongs"
    for target in imported(module):
        top = target.split(".")[0]
        if top == NAME:
            other = own_name(target)
            assert LAYER[other] <= LAYER[own], f"{module} imports {target}, which stands above it"
        elif top in RESTRICTED:
            assert own in RESTRICTED[top], f"{module} imports {top}; only {RESTRICTED[top] or 'nobody'} may"


def test_no_modules_import_each_other():
    graph = {module: {target for target in imported(module) if target in FILES} for module in FILES}
    TopologicalSorter(graph).prepare()  # raises CycleError and names the circle


def test_importing_the_package_loads_nothing_heavy():
    code = f"import json, sys, {NAME}; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(printed))
    assert NAME in loaded and "torch" in loaded
    heavy = loaded & RESTRICTED.keys()
    assert not heavy


def test_files_hold_one_idea_each():
    long = {
        str(path): lines for path in FILES.values() if (lines := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert not long, f"over {MAX_LINES} lines: {long}"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str):
    pattern = re.compile(FORBIDDEN[what])
    files = project_files()
    assert Path(__file__).resolve() in files
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if pattern.search(line) and '"image/png"' not in line  # base64 spells any three letters
    ]
    assert not found, f"{what}:\n" + "\n".join(found)


def test_readme_maps_every_file():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = {own_name(module) for module in FILES} - {"__init__", "__main__"}
    assert not {name for name in names if f"`{name}.py`" not in readme and f"`{name}/`" not in readme}


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert importlib.import_module(NAME).__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
