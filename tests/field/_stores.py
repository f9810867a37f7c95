"""Stores as people have them: in odd folders, moved, copied, old, new, damaged, read-only."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoplace.cli import main

# Folder names that a URI or a shell would read as something else.
NAMES = (
    "plain",
    "two words",
    "a%20b",
    "100%",
    "issue #12",
    "what?now",
    "q?uri=true",
    "Zoë Müller",
    "Zoe\u0308",
    "日本語",
    "a&b=c;d",
    "it's [1] (copy)",
    'say "hi"',
    "back\\slash",
    "me@home:8080",
    "file:",
    "tab\there",
    "new\nline",
    "~",
    "🙂",
)


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def run_here(*arguments: object, cwd: Path, **environment: str) -> Done:
    """Run a command line in this process, away from the user's own settings."""
    out, err = StringIO(), StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        for name, value in clean_environment(**environment).items():
            patch.setenv(name, value)
        for name in set(os.environ) - set(clean_environment(**environment)):
            patch.delenv(name)
        patch.chdir(cwd)
        main([str(argument) for argument in arguments])
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without the user's own settings."""
    ours = ("AUTOPLACE_", "MLFLOW_TRACKING", "MLFLOW_EXPERIMENT", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"OMP_NUM_THREADS": "1"} | extra


def start(*arguments: object, cwd: Path, **extra: object) -> subprocess.Popen[str]:
    """Start a command line in a process of its own."""
    environment = clean_environment(PYTHONPATH=str(Path(__file__).parents[2]), PYTHONUNBUFFERED="1")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | extra
    return subprocess.Popen(
        [sys.executable, "-m", "autoplace", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        text=True,
        **pipes,
    )


def make_images(folder: Path, per_class: int = 6) -> Path:
    """Two classes of noise, one of them dark."""
    rng = np.random.default_rng(0)
    for label, high in (("dark", 90), ("light", 255)):
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = rng.integers(0, high, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def change(path: Path, *statements: str) -> None:
    """Change a store's tables behind MLflow's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, also for root; skip the test where that is not allowed."""
    undo: Callable[[], object]
    if os.geteuid() == 0:
        mount = shutil.which("mount")
        made = mount and not subprocess.call([mount, "--bind", folder, folder], stderr=-3)
        if not made or subprocess.call([mount, "-o", "remount,ro,bind", folder], stderr=-3):
            pytest.skip("read-only mounts are not allowed here")

        def undo() -> object:
            return subprocess.check_call(["umount", "-l", folder])  # files are still open
    else:
        folder.chmod(0o555)

        def undo() -> object:
            return folder.chmod(0o755)

    try:
        yield
    finally:
        undo()
