"""
Settings of Sphinx for the documentation site; script/docs builds it.

The pages are the Markdown files of this repository, where they are: links between them lead to
the same place on the site, on GitHub and in a checkout.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
# Not installed: the reference is made from the checkout.
sys.path.insert(0, str(ROOT / "src"))

import backpack  # noqa: E402 - found by the line above

_CLASS = re.compile(r"(?<!`)`([A-Z]\w*[a-z]\w*(?:\.\w+)?)`(?!`)")

NAVIGATION = {
    "Guides": ["docs/web", "docs/rtsp", "docs/kvs", "docs/outputs", "docs/porting"],
    "In operation": ["docs/operations", "SECURITY", "docs/benchmark"],
    "Examples": ["examples/people/README", "examples/kvs_docker/README"],
    "Reference": [
        "docs/reference/index",
        "docs/reference/spyglass",
        "docs/reference/rtsp",
        "docs/reference/web",
        "docs/reference/kvs",
        "docs/reference/push",
        "docs/reference/redaction",
        "docs/reference/stats",
        "docs/reference/errors",
    ],
    "Development": ["ARCHITECTURE", "docs/modules", "CONTRIBUTING", "CHANGELOG"],
}
"""Pages by the heading that they stand under in the navigation; README is the first of all."""

project = "SpyGlass"
author = "the SpyGlass contributors"
version = release = backpack.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
_pages = [page for pages in NAVIGATION.values() for page in pages]
include_patterns = [f"{page}.md" for page in (root_doc, *_pages)]
# Sphinx looks through the whole root for what it includes.
exclude_patterns = [".*", "build", "dist", "src", "tests"]

# As GitHub makes them.
myst_heading_anchors = 3

# Single backquotes in docstrings: a link where the reference has the name, else code.
default_role = "py:obj"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# What the public names are made of imports numpy and the standard library, and no GStreamer
# (tests/test_imports.py). numpy is not needed to read docstrings.
autodoc_mock_imports = ["numpy"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
add_module_names = False
# USE_LAST_VALUE, and not the number behind it.
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"SpyGlass {version}"
html_show_copyright = False
html_copy_source = False
html_domain_indices = False
html_extra_path = ["site"]


def _add_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    """Add the tables of contents to README, which shows none on GitHub."""
    if page == root_doc:
        for caption, pages in NAVIGATION.items():
            lines = "\n".join(pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"


def _link_classes(
    _app: Sphinx, _what: str, _name: str, _thing: object, _options: object, lines: list[str]
) -> None:
    """Link classes that docstrings name, whichever module of the reference they are in."""
    lines[:] = [_CLASS.sub(r"`.\1`", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Connect what is written above."""
    app.connect("source-read", _add_navigation)
    app.connect("autodoc-process-docstring", _link_classes)
