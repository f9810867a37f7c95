"""One store in which two tasks were collected and one pick was made, all by the command line."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import predictors
from autoplace.agent import training_set
from autoplace.cli import main
from autoplace.tracking import Store, fetch_probe, read_rows

# Small enough for seconds; the same for all, so that all trials are of one comparison.
SMALL = ("--probe-images", "24", "--batch-size", "16")
PANEL = ("0>5+7>3@bottleneck:r=8", "20>22@linear:r=4", "4>4+9>10+18>2@bottleneck:r=2;T=3")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON documents on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def cli() -> Callable[..., Done]:
    """Runs a command line in this process, away from the user's own settings."""

    def run(*arguments: object, cwd: Path, **environment: str) -> Done:
        out, err = StringIO(), StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            warnings.catch_warnings(),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            for name in os.environ:
                if name.startswith(("AUTOPLACE_", "MLFLOW_TRACKING", "MLFLOW_EXPERIMENT")):
                    patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.chdir(cwd)
            main([str(argument) for argument in arguments])
        return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def home(first_use, tmp_path_factory) -> Path:
    """A working directory whose default store has its tables already."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "autoplace-store").mkdir()
    shutil.copy(first_use[0] / "autoplace-store" / "mlflow.db", folder / "autoplace-store")
    return folder


@pytest.fixture(scope="session")
def store(home) -> Store:
    return Store(f"sqlite:///{home}/autoplace-store/mlflow.db")


@pytest.fixture(scope="session")
def collected(cli, home, image_folder) -> tuple[Done, Done]:
    """A task of sampled placements, and a task of another family and split with a panel's."""
    panel = home / "panel.txt"
    panel.write_text("# three kinds of edges\n" + "\n".join(PANEL) + "\n")
    # A high rate, so that some placements differ from others on a dozen validation images.
    common = ("collect", image_folder, *SMALL, "--epochs", 1, "--lr", 0.02, "--json")
    sampled = cli(*common, "--placements", 4, "--family", "bars", cwd=home)
    given = cli(*common, "--placements-file", panel, "--family", "beams", "--seed", 1, cwd=home)
    return sampled, given


@pytest.fixture(scope="session")
def predictor(collected, store, tmp_path_factory) -> Path:
    """A predictor of what was collected: real, and no better than seven rows allow."""
    records = predictors.log_table(read_rows(store))
    done = records[records["status"] == "done"].reset_index(drop=True)
    data = training_set(done, partial(fetch_probe, store))
    fitted = predictors.create_predictor("lightgbm", min_data_in_leaf=1)
    fitted.fit(data.X, data.y, data.groups)
    return predictors.save_predictor(
        fitted, tmp_path_factory.mktemp("p") / "new", "# small\n", data
    )


@pytest.fixture(scope="session")
def picked(cli, home, predictor, image_folder) -> Done:
    """The main job: options from a file, from the environment and from flags."""
    (home / "config.yaml").write_text("top-k: 2\nepochs: 9\nweight_decay: 0.001\nbudget: 1h\n")
    return cli(
        "pick", image_folder, *SMALL, "-c", "config.yaml", "--epochs", 2, "--field-size", 5,
        "--seeds", 2, "--predictor", predictor, "--json", cwd=home,
        AUTOPLACE_EPOCHS="7", AUTOPLACE_WEIGHT_DECAY="0.01",
    )  # fmt: skip
