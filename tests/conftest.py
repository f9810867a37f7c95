"""Small real parts that several rooms' tests stand on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageDraw

from autoplace.backbones import ResidualChain, create_chain
from autoplace.data import create_transform, load_data
from autoplace.settings import InputSettings
from autoplace.tracking import Store
from autoplace.training import Task

COLOURS = {"blue": (40, 60, 220), "green": (30, 170, 60), "red": (210, 40, 40)}

# How long an example takes says nothing but how busy the machine is.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

# Workers of pytest-xdist have this set, and messages would be wrapped as in a terminal.
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny models run fastest so, and the same everywhere."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small_chain():
    """A backbone of one of timm's architectures with two narrow blocks and random weights."""

    @cache
    def build(name):
        torch.manual_seed(0)
        size = 64 if "patch16" in name else 56
        model = timm.create_model(name, depth=2, embed_dim=48, num_heads=3, img_size=size)
        for parameter in model.parameters():
            # Layer scales of 1e-5 and zero biases would hide a branch or a term left out.
            if parameter.ndim == 1:
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
        return ResidualChain(model, name=name)

    return build


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """60 PNGs of 32 px in three classes: bars of three tints on noise, hard enough to err on."""
    root = tmp_path_factory.mktemp("data") / "bars"
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(20):
            image = Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
            x, y = (int(v) for v in rng.integers(0, 22, 2))
            tint = tuple(int(np.clip(c + rng.normal(0, 60), 0, 255)) for c in colour)
            ImageDraw.Draw(image).rectangle((x, y, x + 8, y + 8), fill=tint)
            image.save(root / name / f"{number:02d}.png")
    return root


@pytest.fixture(scope="session")
def make_task(image_folder):
    """Tasks on a folder, `image_folder` by default, with the starter, for given input settings.

    `watch` is called with every image that is decoded.
    """

    def make(notify=lambda text: None, folder=image_folder, watch=lambda image: None, **inputs):
        chain = create_chain("starter")
        transform = create_transform(chain.data_config)

        def watched(image):
            watch(image)
            return transform.resize(image)

        data = load_data(str(folder), transform=replace(transform, resize=watched))
        return Task(
            chain,
            data,
            fingerprint="bars",
            metric="accuracy",
            device=torch.device("cpu"),
            seed=0,
            inputs=InputSettings(**inputs),
            notify=notify,
        )

    return make


@pytest.fixture(scope="session")
def task(make_task):
    """One shared task: its caches fill once."""
    return make_task()


@pytest.fixture(scope="session")
def first_use(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which a new process made the default store, and what that process said."""
    folder = tmp_path_factory.mktemp("first")
    code = (
        "from autoplace.tracking import Store, start_run; "
        "start_run(Store(), 'first', 'run').finish()"
    )
    unset = {"MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in unset},
        capture_output=True,
        text=True,
    )
    return folder, done


@pytest.fixture
def new_store(first_use, tmp_path):
    """Makes SQLite stores by name, each with its own artifacts; the tables are copied."""

    def make(name: str = "store") -> Store:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(first_use[0] / "autoplace-store" / "mlflow.db", folder)
        return Store(f"sqlite:///{folder}/mlflow.db")

    return make
