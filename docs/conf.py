"""Sphinx settings. The sources are in `build/docs/source`, where `docs/generate.py` puts them."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS / "extensions"), str(DOCS.parent / "tools")]

import nbformat
from generators.notebook_pages import NOTEBOOKS, Lesson
from generators.source_folder import BUILD, package_digest

import llama4_explained

project = "llama4-explained"
author = "The llama4-explained authors"
project_copyright = f"2026, {author}"
release = version = llama4_explained.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "docstrings",
    "html_repairs",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_static", "files"]

# Notebooks without a widget show what is stored in them; the others, and pages with cells, run here. jupyter-cache
# knows the cells only, so its folder is named after the package: another package, another run.
nb_execution_mode = "cache"
nb_execution_cache_path = str(BUILD / "cells" / package_digest())
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 600
nb_execution_excludepatterns = [
    path.relative_to(NOTEBOOKS.parent).as_posix()
    for path in sorted(NOTEBOOKS.rglob("*.ipynb"))
    if not Lesson.of(path, nbformat.read(path, as_version=4)).runs
]
nb_merge_streams = True
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
nb_output_stderr = "remove"
copybutton_selector = "div:not(.output) > div.highlight pre"

# Widgets and formulas ask no other host for anything: docs/vendor has their scripts.
nb_ipywidgets_js = {"widgets/require.js": {}, "widgets/setup.js": {}, "widgets/embed-amd.js": {}}
html_js_files = [("fa.js", {"priority": 1}), "site.js"]
mathjax_path = "mathjax/tex-svg.js"

default_role = "py:obj"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
python_trailing_comma_in_multi_line_signatures = False
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_title = "llama4-explained"
html_static_path = [str(BUILD / "source" / "_static")]
html_css_files = ["site.css"]
html_favicon = str(BUILD / "source" / "_static" / "favicon.svg")
html_context = {"default_mode": "auto"}
html_copy_source = False
html_domain_indices = False  # the reference has a better list of modules
html_show_sourcelink = False
html_last_updated_fmt = None
html_theme_options: dict[str, Any] = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def setup(app: Any) -> None:
    """Cells run as `tools/notebooks.py` runs them: fixed seeds and threads, no hub, no bars."""
    environment = import_module("notebooks").fixed_environment()
    environment.__enter__()
    settings = Path(os.environ["IPYTHONDIR"], "profile_default", "ipython_kernel_config.py")
    settings.write_text("c.IPKernelApp.log_level = 'ERROR'\n", encoding="utf-8")  # it warns of TCP without encryption
    app.connect("build-finished", lambda *_: environment.__exit__(None, None, None))
