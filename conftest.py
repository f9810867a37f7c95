"""What doctests of the packages stand on: a folder of their own, no options from outside."""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture(autouse=True)
def doctest_surroundings(request: pytest.FixtureRequest) -> None:
    """Give every doctest an empty current directory and no variables that change defaults."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    patch = request.getfixturevalue("monkeypatch")
    patch.chdir(request.getfixturevalue("tmp_path"))
    for name in list(os.environ):
        if name.startswith(("AUTOPLACE_", "MLFLOW_")):
            patch.delenv(name)
    torch.set_num_threads(1)
