"""The scripts and fonts that the pages need, from `docs/vendor` and from installed packages."""

from __future__ import annotations

import lzma
from importlib.util import find_spec
from pathlib import Path

from .source_folder import DOCS, SourceFolder

PLACES = {"require.js": "widgets", "embed-amd.js": "widgets", "tex-svg.js": "mathjax"}


def write_runtime(source: SourceFolder) -> None:
    """Everything under `_static`."""
    vendor = DOCS / "vendor"
    for name, folder in PLACES.items():
        source.write(f"_static/{folder}/{name}", lzma.decompress((vendor / f"{name}.xz").read_bytes()))
    for font in (path for path in sorted(vendor.iterdir()) if path.suffix in (".woff2", ".woff", ".ttf")):
        source.write(f"_static/widgets/fonts/{font.name}", font.read_bytes())
    source.write("_static/widgets/anywidget.js", anywidget_script().read_bytes())
    source.write("_static/licences.txt", (vendor / "licences.txt").read_bytes())
    for path in sorted((DOCS / "static").iterdir()):
        folder = "_static/widgets" if path.name == "setup.js" else "_static"
        source.write(f"{folder}/{path.name}", path.read_bytes())


def anywidget_script() -> Path:
    """The browser's half of the installed anywidget, so that it fits the Python half."""
    spec = find_spec("anywidget")
    if spec is None or spec.origin is None:
        raise SystemExit("anywidget is not installed: `make docs` installs it")
    return Path(spec.origin).parent / "nbextension" / "index.js"
