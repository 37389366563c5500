"""The pages of instructions, copied, and the page that lists them."""

from __future__ import annotations

import re

from .links import site_links
from .source_folder import DOCS, SourceFolder


def write_how_to(source: SourceFolder) -> None:
    """Copies `how-to/*.md` and the hand-written pages beside them; a page that is added is listed by itself."""
    pages = sorted((DOCS / "how-to").glob("*.md"))
    for path in pages:
        source.write(f"how-to/{path.name}", site_links(path.read_text(encoding="utf-8"), path, source))
    names = [path.stem for path in pages]
    for path in sorted(DOCS.glob("*.md")):
        if path.name not in ("index.md", "README.md"):
            source.write(path.name, site_links(path.read_text(encoding="utf-8"), path, source))
    names += ["/workshop", "/contributing-lessons"]
    listed = "\n".join(f"- {{doc}}`{name}`: {opening(name)}" for name in names)
    source.write(
        "how-to/index.md", "\n".join(["# How to\n", f"{listed}\n", "```{toctree}", ":hidden:", *names, "```\n"])
    )


def opening(name: str) -> str:
    """The first sentence below the title of a page, which stands beside its name in the list."""
    path = DOCS / f"{name.removeprefix('/')}.md" if name.startswith("/") else DOCS / "how-to" / f"{name}.md"
    paragraph = re.search(r"^# .+\n\n((?:.+\n)+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert paragraph is not None, f"{path.name} has no paragraph below its title"
    return re.split(r"(?<=[.?])\s", paragraph[1].replace("\n", " ").strip())[0]
