"""Links from notebooks and pages to files of the repository, which the site has to lead somewhere too.

A lesson links to `../llama4_explained/moe.py`, as JupyterLab follows it. Here a module's link goes to its page in the
reference, any other file's to a copy of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from .api_pages import modules
from .source_folder import BUILD, DOCS, ROOT, SourceFolder

LINK = re.compile(r"(?<!!)\]\((?P<target>[^)\s#:]+)(?P<fragment>#[^)\s]*)?\)")


def site_links(text: str, page: Path, source: SourceFolder) -> str:
    """The Markdown of a page of the repository, with its links led to where the site has their targets."""

    def led(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(page.parent / found["target"]))
        if found["target"].startswith("/") or target.suffix == ".ipynb" or not is_outside(target):
            return found[0]
        if not target.is_file():
            raise SystemExit(f"{page.relative_to(ROOT)}: {found['target']} is no file of the repository")
        name = next((name for name, path in modules().items() if path == target), None)
        if name is not None:
            return f"](/api/{name}.md)"
        copy = f"files/{target.relative_to(ROOT)}"
        source.write(copy, target.read_bytes())
        return f"](/{copy})"

    return LINK.sub(led, text)


def is_outside(target: Path) -> bool:
    """Whether a link's target is no page of the site: pages may link to pages that are generated, too."""
    return target.is_relative_to(ROOT) and not target.is_relative_to(DOCS) and not target.is_relative_to(BUILD)
