"""Sphinx's settings for the API reference, made from the docstrings of all public names.

Before each build, a page is written to `generated/` for every package, from its `__all__`, so that
a new public name needs no entry here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

import autoplace  # noqa: E402
import predictors  # noqa: E402

project = "autoplace"
author = "The autoplace developers"
release = version = autoplace.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc"]
default_role = "literal"  # single backticks are code
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
numpydoc_show_class_members = False
html_theme = "alabaster"
html_title = f"autoplace {release}"
html_show_sourcelink = False
html_show_copyright = False

# Public modules that are no packages.
MODULES = ("autoplace.errors", "autoplace.settings", "predictors.vocabulary")
# What scikit-learn adds to every estimator, in a docstring that refers to its own pages.
ADDED = ("set_fit_request", "set_score_request")
MEMBERS = "   :members:\n   :exclude-members: {}\n\n"


def packages() -> Iterator[str]:
    """Every package; the two front doors last, so that names belong to rooms."""
    for top in (autoplace, predictors):
        for found in pkgutil.walk_packages(top.__path__, f"{top.__name__}."):
            if found.ispkg:
                yield found.name
    yield from ("autoplace", "predictors")


def directive(path: str, thing: object) -> str:
    """The autodoc directive of a public name."""
    if inspect.isclass(thing):
        kind = "exception" if issubclass(thing, BaseException) else "class"
        # Fields of a data class stand in its docstring.
        fields = [name for name in getattr(thing, "__annotations__", {}) if name in vars(thing)]
        return f".. auto{kind}:: {path}\n" + MEMBERS.format(", ".join([*fields, *ADDED]))
    if inspect.isroutine(thing):
        return f".. autofunction:: {path}\n\n"
    return f".. py:data:: {path}\n\n   {type(thing).__name__}\n\n"


def write_pages(folder: Path) -> None:
    """Write a page for every package and public module."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    owners: dict[int, str] = {}
    for package in (*MODULES, *packages()):
        module = importlib.import_module(package)
        names = getattr(module, "__all__", None)
        page = [f"{package}\n{'=' * len(package)}\n\n.. automodule:: {package}\n"]
        if names is None:
            page = [*page, "   :members:\n"]
            names = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == package]
            owners |= {id(getattr(module, name)): f"{package}.{name}" for name in names}
            names = []
        else:
            page = [*page, "   :no-members:\n"]
        page.append("\n")
        for name in names:
            thing, path = getattr(module, name), f"{package}.{name}"
            owner = owners.setdefault(id(thing), path)
            page.append(
                directive(path, thing) if owner == path else f"- `{name}`: :py:obj:`{owner}`\n\n"
            )
        (folder / f"{package}.rst").write_text("".join(page), encoding="utf-8")


write_pages(HERE / "generated")
