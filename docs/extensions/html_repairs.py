"""Mends what Sphinx writes and a screen reader, or a reader who follows links, would stumble over."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

# A signature of several lines is a list without terms, which is no list.
LINES = re.compile(r"<dl>\s*((?:<dd><em class=\"sig-param\">.*?</dd>\s*|<dd>.*?</dd>\s*)+)</dl>", re.DOTALL)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", mend_signatures)
    app.connect("html-collect-pages", forget_modules_without_source, priority=100)
    return {"parallel_read_safe": True}


def mend_signatures(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if page.startswith("api/"):
        context["body"] = LINES.sub(lambda found: as_lines(found[1]), context["body"])


def as_lines(items: str) -> str:
    items = items.replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
    return f'<span class="sig-lines">{items}</span>'


def forget_modules_without_source(app: Sphinx) -> list[Any]:
    """The index of sources would link to the pages of modules that have none, such as `builtins`."""
    known = getattr(app.env, "_viewcode_modules", {})
    for name in [name for name, source in known.items() if not source]:
        del known[name]
    return []
