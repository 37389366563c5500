"""The pages of instructions, copied, and the page that lists them."""

from __future__ import annotations

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
    listed = "\n".join(f"- {{doc}}`{name}`" for name in names)
    source.write(
        "how-to/index.md", "\n".join(["# How to\n", f"{listed}\n", "```{toctree}", ":hidden:", *names, "```\n"])
    )
