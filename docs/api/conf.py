"""Sphinx reads this: the API reference, made from the docstrings of all public names."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import autoplace  # noqa: E402

project = "autoplace"
author = "The autoplace developers"
copyright = author
release = version = autoplace.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
autosummary_generate = False  # a page per room, written below, rather than one per name
autodoc_default_options = {"members": True}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False
nitpicky = False
html_theme = "alabaster"
html_show_sourcelink = False
exclude_patterns = ["generated/rooms.rst"]
