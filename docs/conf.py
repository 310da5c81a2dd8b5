"""Build of the documentation: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from radgen import __version__

project = "radgen"
author = "The radgen developers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
autosummary_generate = False
autodoc_typehints = "none"
autodoc_member_order = "alphabetical"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "code"
suppress_warnings = ["ref.ref", "docutils"]
# References of docstrings are plain sentences, not numbered citations.
html_theme = "furo"
html_title = "radgen"
html_static_path = []


def setup(app: object) -> None:
    """Write the pages that are made from the code itself."""
    from make_pages import write_pages

    write_pages(Path(__file__).parent / "api")
