"""Lets Sphinx read the docstrings of this project, which are plain text with Markdown's backticks.

- `Shapes:`, `Units:`, `Errors:`, `Source:` and `Differs:` begin the entries of a list of definitions.
- An indented block after an empty line is shown as it stands.
- A word in backticks is code, and a link where it names something documented.
- The comment behind a dataclass's field, or behind a constant, is its description.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer

LABEL = re.compile(r"(Shapes|Units|Errors|Source|Differs):\s+(.*)")
BULLET = re.compile(r"(-|\d+\.) ")
EMPHASIS = re.compile(r"(?<![\w*])(\*\w(?:[\w -]*\w)?\*)(?![\w*])")
IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", rewrite)
    return {"parallel_read_safe": True}


def rewrite(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Sphinx calls this with each docstring's lines, to be changed in place."""
    if what == "module":
        describe_fields(name)
    lines[:] = to_restructured_text(lines)


def to_restructured_text(lines: list[str]) -> list[str]:
    """The same text in the language that autodoc reads."""
    result: list[str] = []
    inside = ""  # of what the current block is: "", "label", "bullet", "literal"
    for line in lines:
        indented = line.startswith(" ")
        starts_block = not result or not result[-1].strip()
        if not line.strip():
            result.append("")
            inside = inside if inside == "literal" else ""
        elif inside == "literal" and indented:
            result.append(line)
        elif found := LABEL.fullmatch(line):
            result += [*([] if inside == "label" or starts_block else [""]), f":{found[1]}: {inline(found[2])}"]
            inside = "label"
        elif BULLET.match(line):
            result += [*([] if inside == "bullet" or starts_block else [""]), inline(line)]
            inside = "bullet"
        elif inside in ("label", "bullet"):
            result.append("   " + inline(line.strip()))
        elif indented:
            result += [*([] if starts_block else [""]), "::", "", line]
            inside = "literal"
        else:
            result += [*([""] if inside == "literal" and not starts_block else []), inline(line)]
            inside = ""
    return [*result, ""]


def inline(text: str) -> str:
    """Escapes what would be markup; code in backticks becomes a link or literal text."""
    parts = re.split(r"`([^`]+)`", text)
    for i, part in enumerate(parts):
        if i % 2 == 0:
            plain_and_emphasised = EMPHASIS.split(part)
            plain_and_emphasised[::2] = [
                re.sub(r"[\\*|]|_(?!\w)", r"\\\g<0>", text) for text in plain_and_emphasised[::2]
            ]
            parts[i] = "".join(plain_and_emphasised)
        elif IDENTIFIER.fullmatch(part):
            parts[i] = f"\\ :py:obj:`{part}`\\ "
        else:
            parts[i] = f"\\ ``{part.strip()}``\\ "
    return "".join(parts)


def describe_fields(module: str) -> None:
    """Tells autodoc that a comment behind a field or a constant describes it; it knows only those before it."""
    try:
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
    except PycodeError as error:
        raise RuntimeError(f"cannot read the source of {module}") from error
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(analyzer.code).readline)
        if token.type == tokenize.COMMENT and token.line.strip() != token.string
    }
    for owner, name, line in assignments(ast.parse(analyzer.code)):
        comment = comments.get(line, "")
        if comment and not comment.startswith(("type:", "noqa", "fmt:", "pyright")):
            analyzer.attr_docs.setdefault((owner, name), [comment, ""])


def assignments(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """(class or "", name, last line) of all that is assigned in a module and directly in its classes."""
    for owner, body in [
        ("", tree.body),
        *((node.name, node.body) for node in tree.body if isinstance(node, ast.ClassDef)),
    ]:
        for node in body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            for target in targets:
                if isinstance(target, ast.Name):
                    yield owner, target.id, node.end_lineno or node.lineno
