"""Pictures that answer when touched: what all explorers share.

An explorer computes in the reader's browser, from state that Python gave it once. So it works without a kernel too: on
a static page, and in a file of its own.
"""

from __future__ import annotations

import base64
import html
import json
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from ..errors import UserError

SOURCES = Path(__file__).parents[1] / "assets" / "explorers"
SHARED = ("common.js", "controls.js")

# The file may not load anything, whatever it says; all that it needs is inside.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


def source(name: str) -> str:
    """The text of a script or style sheet."""
    return (SOURCES / name).read_text(encoding="utf-8")


class Explorer(anywidget.AnyWidget):
    """A picture that answers when touched: works in JupyterLab, on a static page, and saved as one HTML file.

    A subclass names its script, a file of `assets/explorers` that builds on `common.js` and `controls.js`. It keeps its
    state in traits tagged `sync=True`, numbers in bulk as bytes, and draws a `still` for where no script runs.
    """

    script: ClassVar[str | tuple[str, ...]]  # one file, or several that are joined
    style: ClassVar[str] = ""  # a style sheet of its own, beside the one that all share
    alt = traitlets.Unicode("", help="What it shows, in one or two sentences: the text alternative.").tag(sync=True)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "script" in cls.__dict__:
            scripts = (cls.script,) if isinstance(cls.script, str) else cls.script
            cls._esm = "".join(map(source, (*SHARED, *scripts)))
            cls._css = source("explorer.css") + (source(cls.style) if cls.style else "")
        super().__init_subclass__(**kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.alt}"

    def still(self) -> Figure:
        """The picture where no script runs: on GitHub, in a PDF, after nbconvert."""
        raise NotImplementedError(f"{type(self).__name__} must say what it looks like where no script runs")

    def to_html(self) -> str:
        """One page that holds all it needs: no other file, no address. It is live without a kernel."""
        name = html.escape(type(self).__name__)
        alt = html.escape(self.alt, quote=True)
        state = json.dumps(self._own_state(), default=_bytes_as_text, ensure_ascii=False, sort_keys=True)
        state = state.replace("<", "\\u003c")  # a token may spell </script>
        picture = base64.b64encode(self._still_as_png()).decode()
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            f"<title>{name}</title>\n<style>\n{self._css}</style>\n</head>\n"
            f'<body class="l4x-page">\n<main>\n<h1 class="l4x-hidden">{name}</h1>\n'
            f'<noscript><img alt="{alt}" src="data:image/png;base64,{picture}"></noscript>\n'
            f'<script type="application/json">{state}</script>\n</main>\n'
            f'<script type="module">\n{self._esm}{source("standalone.js")}</script>\n</body>\n</html>\n'
        )

    def save_html(self, path: str | Path) -> None:
        """Write `to_html` into a file.

        Errors: UserError if the file cannot be written.
        """
        try:
            Path(path).write_text(self.to_html(), encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {path}: {error}") from error

    def _own_state(self) -> dict[str, Any]:
        """The state that scripts read, without what Jupyter adds for itself."""
        names = [name for name in type(self).class_trait_names(sync=True) if not name.startswith("_")]
        foreign = set(anywidget.AnyWidget.class_trait_names())
        return {name: getattr(self, name) for name in names if name not in foreign}

    def _still_as_png(self) -> bytes:
        figure, file = self.still(), BytesIO()
        figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
        plt.close(figure)  # else a notebook would show it once more
        return file.getvalue()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The widget, and the still beside it for whoever shows no widgets: (data, metadata), as anywidget gives it."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        picture = base64.b64encode(self._still_as_png()).decode()
        return data | {"image/png": picture}, metadata | {"image/png": {"alt": self.alt}}


def _bytes_as_text(value: Any) -> dict[str, str]:
    """How JSON holds bytes; `standalone.js` reads them."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} cannot be kept in a page")
