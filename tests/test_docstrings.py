"""Every public name has a docstring with an example; `make test` runs the examples as doctests."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest

import autoplace
import predictors


def packages() -> Iterator[str]:
    """Every package of the project: `autoplace`, `autoplace.adapters`, ..., `predictors.log`."""
    for top in (autoplace, predictors):
        yield top.__name__
        for found in pkgutil.walk_packages(top.__path__, f"{top.__name__}."):
            if found.ispkg:
                yield found.name


def public() -> dict[str, object]:
    """The classes and functions that packages export, each once, by the place of its definition.

    Constants, such as tuples and type aliases, have no docstring of their own.
    """
    found: dict[str, object] = {}
    for package in map(importlib.import_module, packages()):
        for name in package.__all__:
            thing = getattr(package, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return found


PUBLIC = public()


def has_example(thing: object) -> bool:
    """Whether its docstring, not an inherited one, has an example or names what has one."""
    text = thing.__doc__ or ""
    if named := re.search(r"^See `autoplace\.(\w+)`\.$", inspect.cleandoc(text), re.M):
        text = getattr(autoplace, named[1]).__doc__ or ""
    return ">>> " in text


def test_the_packages_export_many_names():
    assert len(PUBLIC) > 100


@pytest.mark.parametrize("package", list(packages()))
def test_a_package_says_what_it_exports(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("name", list(PUBLIC))
def test_a_public_name_has_an_example(name):
    assert has_example(PUBLIC[name]), f"{name} has no '>>>' example in its docstring"


def test_a_docstring_without_an_example_is_found():
    def described():
        """Have no example."""

    class Derived(importlib.import_module("autoplace.placement").Placement):
        pass

    assert not has_example(described)
    assert not has_example(Derived)
