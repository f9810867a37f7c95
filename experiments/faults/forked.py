"""Commands of autoplace in processes that need not import its libraries.

Importing them takes longer than the small pick that the campaign interrupts. So a parent process
imports them once, and each command runs in a fork of it. A fork is a process like any other: it
gets real signals, and has its own files, locks and memory. What a process decides at its start, as
the order of sets does, is the same in all forks of one parent; two parents differ in it.

    python experiments/faults/forked.py < commands
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

# All that a pick imports, up to its end.
LIBRARIES = (
    "autoplace.agent", "autoplace.cli._pick", "autoplace.cli._progress", "autoplace.cli._resume",
    "predictors", "alembic.command", "lightgbm", "matplotlib.backends.backend_agg",
    "matplotlib.pyplot", "mlflow.pyfunc", "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store", "pyarrow.dataset", "sqlalchemy.dialects.sqlite",
)  # fmt: skip


class Parent:
    """A process with the libraries, which runs one command at a time.

    Parameters
    ----------
    environment : mapping of str to str
        The environment of the commands.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def start(self, arguments: Sequence[str], folder: Path, out: Path, err: Path) -> Command:
        """Start a command in a folder; what it prints goes to files."""
        assert self._process.stdin is not None
        command = [list(arguments), *map(str, (folder, out, err))]
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return Command(self, out, err)

    def read(self) -> int:
        """Return the next number that the process says: a process id, or how one ended."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Command:
    """A command that runs or has run, with the methods of `subprocess.Popen` that faults need."""

    def __init__(self, parent: Parent, out: Path, err: Path) -> None:
        self._parent, self._out, self._err = parent, out, err
        self.pid = parent.read()
        self.returncode: int | None = None
        self._waiter = threading.Thread(target=self._watch, daemon=True)
        self._waiter.start()

    def _watch(self) -> None:
        self.returncode = self._parent.read()

    def poll(self) -> int | None:
        """Return how the command ended, or None if it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the command has ended.

        Raises subprocess.TimeoutExpired if it takes longer.
        """
        self._waiter.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("autoplace", timeout or 0)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the command has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    @property
    def said(self) -> list[str]:
        """The lines of progress so far."""
        whole = self._err.read_text(errors="replace") if self._err.exists() else ""
        return whole.splitlines()

    @property
    def out(self) -> str:
        """The results so far."""
        return self._out.read_text()


def _run(arguments: list[str], folder: str, out: str, err: str) -> None:
    """Be the command line, in a fork, until it ends.

    Python does not take its modules apart afterwards, which takes it seconds.
    """
    from autoplace.cli import main

    os.chdir(folder)
    for name, number in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["autoplace", *arguments]
    try:
        main(arguments)
    except SystemExit as end:
        threading._shutdown()  # type: ignore[attr-defined]  # as Python does then
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


def _prepare() -> None:
    """Import the libraries, and have them find the fonts and packages of the machine."""
    for name in LIBRARIES:
        import_module(name)
    from matplotlib.figure import Figure
    from mlflow.utils.requirements_utils import _init_modules_to_packages_map

    figure = Figure()
    figure.subplots().set_title("words")
    figure.savefig(os.devnull, format="png")
    _init_modules_to_packages_map()
    gc.freeze()


def serve() -> None:
    """Run each command that is asked for on stdin in a fork."""
    _prepare()
    if threading.active_count() > 1:
        raise RuntimeError("a library has started threads, which a fork would not have")
    for line in iter(sys.stdin.readline, ""):
        pid = os.fork()
        if pid == 0:
            return _run(*json.loads(line))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    os._exit(0)


if __name__ == "__main__":
    serve()
