"""Build of the documentation: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

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
html_theme = "furo"
html_title = "radgen"
html_static_path = []


def _skip(_app: object, _what: str, name: str, _item: object, skip: bool, _options: object) -> bool:
    """Leave out what scikit-learn adds to every estimator for its own plumbing."""
    return skip or name.endswith("_request") or name == "get_metadata_routing"


def setup(app: Any) -> None:
    """Write the pages that are made from the code itself."""
    from make_pages import write_pages

    write_pages(Path(__file__).parent / "api")
    app.connect("autodoc-skip-member", _skip)
