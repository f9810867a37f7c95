"""Gives each example of this room an empty store in a directory of its own.

Making a store's tables takes seconds, so they are made once and copied.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autoplace.tracking import Store


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("examples") / "mlflow.db"
    _ = Store(f"sqlite:///{path}").client
    return path


@pytest.fixture(autouse=True)
def _directory_of_the_example(
    _empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "autoplace-store"
    folder.mkdir()
    shutil.copy(_empty_store, folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
