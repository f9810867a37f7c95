"""Examples in docstrings run in an empty folder of their own, with the default store in it."""

from __future__ import annotations

import os

import pytest
from _pytest.doctest import DoctestItem


@pytest.fixture(autouse=True)
def empty_folder_for_examples(request, tmp_path_factory, monkeypatch):
    """Keep an example away from the user's own settings and store."""
    if isinstance(request.node, DoctestItem):
        for name in os.environ:
            if name.startswith(("AUTOPLACE_", "MLFLOW_TRACKING", "MLFLOW_EXPERIMENT")):
                monkeypatch.delenv(name)
        monkeypatch.chdir(tmp_path_factory.mktemp("example"))
