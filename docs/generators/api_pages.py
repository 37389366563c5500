"""The reference: one page a module, filled by autodoc from the docstrings."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import llama4_explained

from .source_folder import PACKAGE, ROOT, SourceFolder, table

LEFT_OUT = re.compile(r"(^|\.)(__main__|exercises|languages\.(?!language$).*)($|\.)")
FOLDERS = {
    "": "The model", "vision": "The vision tower", "check": "Comparing with Hugging Face", "show": "Figures",
    "tiny": "The tiny model",
}  # fmt: skip


def modules() -> dict[str, Path]:
    """Every documented module by its dotted name, those of the package itself in the order of README's table."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if not LEFT_OUT.search(name):
            found[name] = path
    order = {name: readme.find(f"`{path.name}`") for name, path in found.items()}
    return {name: found[name] for name in sorted(found, key=lambda name: (order[name] < 0, order[name], name))}


def entry_address(dotted_name: str) -> str:
    """Where the entry of a class or function is, from the site's root."""
    module = dotted_name
    while module not in modules():
        module = module.rpartition(".")[0]
    return f"api/{module}.html#{dotted_name}"


def summary(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def write_api(source: SourceFolder) -> None:
    groups: dict[str, list[str]] = {}
    for name, path in modules().items():
        parts = name.split(".")
        folder = parts[1] if path.name == "__init__.py" and len(parts) > 1 else parts[1] if len(parts) > 2 else ""
        if name != llama4_explained.__name__:
            groups.setdefault(folder, []).append(name)
            source.write(f"api/{name}.md", module_page(name))
    sections = []
    for folder, names in sorted(groups.items(), key=lambda item: list(FOLDERS).index(item[0])
                                if item[0] in FOLDERS else len(FOLDERS)):  # fmt: skip
        sections.append(f"## {FOLDERS.get(folder, folder.capitalize())}\n")
        rows = [[f"[{name.partition('.')[2]}]({name}.md)", summary(modules()[name])] for name in names]
        sections.append(table(["module", "what it explains"], rows))
        sections.append("\n".join(["```{toctree}", ":hidden:", *names, "```"]) + "\n")
    source.write("api/index.md", index_page(sections))


def index_page(sections: list[str]) -> str:
    public = [public_entry(name) for name in llama4_explained.__all__]
    return "\n".join(
        [
            "# Reference\n",
            "Written from the docstrings. They say what a thing does, then the lines that apply: the *shapes* (letters",
            "as in [the legend](../shapes.md)), *units*, *errors* a user can cause, its *source* in Hugging Face's or",
            "Meta's code, and where it *differs* from that, and why.\n",
            "## What `llama4_explained` offers\n",
            "Each of these is imported from the package itself; everything else from its module.\n",
            table(["name", "what it is"], public),
            *sections,
        ]
    )


def public_entry(name: str) -> list[str]:
    thing = getattr(llama4_explained, name)
    if hasattr(thing, "__qualname__"):
        text = (thing.__doc__ or "").strip().partition("\n\n")[0].partition("\n")[0]
        return [f"{{py:obj}}`{name} <{thing.__module__}.{thing.__qualname__}>`", text]
    return [f"{{py:obj}}`{name} <llama4_explained.presets.{name}>`", f"a preset {type(thing).__name__}"]


def module_page(name: str) -> str:
    return f"""# {name.partition(".")[2]}

```{{eval-rst}}
.. automodule:: {name}
   :members:
   :undoc-members:
   :ignore-module-all:
```
"""
