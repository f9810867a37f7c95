"""Each example in a docstring runs in a folder of its own, with an empty default store in it."""

from __future__ import annotations

import os
import shutil

import pytest
from _pytest.doctest import DoctestItem


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """The file of a store without runs; its tables take seconds to make, so they are copied."""
    from autoplace.tracking import Store

    path = tmp_path_factory.mktemp("examples") / "mlflow.db"
    _ = Store(f"sqlite:///{path}").client
    return path


@pytest.fixture(autouse=True)
def folder_of_the_example(request, tmp_path_factory, monkeypatch):
    """Keep an example away from the user's own settings and store."""
    if not isinstance(request.node, DoctestItem):
        return
    for name in list(os.environ):
        if name.startswith(("AUTOPLACE_", "MLFLOW_TRACKING", "MLFLOW_EXPERIMENT")):
            monkeypatch.delenv(name)
    folder = tmp_path_factory.mktemp("example")
    (folder / "autoplace-store").mkdir()
    shutil.copy(request.getfixturevalue("empty_store"), folder / "autoplace-store")
    monkeypatch.chdir(folder)
