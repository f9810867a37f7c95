"""The MLflow UI on a store: how it is started, and ended with all of its processes."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import psutil

from autoplace.tracking._error import TrackingError
from autoplace.tracking.store._store import Store

_GRACE = 0.7  # seconds that the server has to end by itself


def open_ui_command(store: Store) -> list[str]:
    """Command line that shows the store's runs in MLflow's own UI, on this machine only.

    A server has its UI already: the command then opens its address in a browser.

    Parameters
    ----------
    store : Store
        The store to show.

    Returns
    -------
    list of str
        The program and its arguments; MLflow's own options may follow.

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> open_ui_command(Store("sqlite:////runs/mlflow.db"))[1:4]
    ['-m', 'mlflow', 'server']
    >>> open_ui_command(Store("http://localhost:5000"))[1:]
    ['-m', 'webbrowser', 'http://localhost:5000']
    """
    if store.artifact_root is None:
        return [sys.executable, "-m", "webbrowser", store.uri]
    return [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        store.uri,
        "--default-artifact-root",
        store.artifact_root,
        "--host",
        "127.0.0.1",
        "--workers",
        "1",
    ]


def run_ui(
    store: Store, arguments: Sequence[str] = (), notify: Callable[[str], None] = lambda text: None
) -> int:
    """Check the store and show it in MLflow's UI until that ends or the caller is interrupted.

    Parameters
    ----------
    store : Store
        The store to show, which must exist.
    arguments : sequence of str, optional
        MLflow's own options, such as `--port 5001`.
    notify : callable, optional
        Called with what the user should know about the store.

    Returns
    -------
    int
        The exit code of MLflow.

    Raises
    ------
    TrackingError
        There is no store yet, it cannot be used, or another program uses the port.

    Examples
    --------
    >>> import socket
    >>> from autoplace.tracking import Store
    >>> store = Store()
    >>> with socket.create_server(("127.0.0.1", 0)) as other:
    ...     run_ui(store, ["--port", str(other.getsockname()[1])])
    Traceback (most recent call last):
    autoplace.tracking._error.TrackingError: port ... of 127.0.0.1 is in use; ...
    """
    if not store.exists:
        raise TrackingError(
            f"there is no MLflow store at {store.address} yet; "
            "run 'autoplace pick' or 'autoplace collect' first"
        )
    if store.artifact_root is not None:
        _check_port(arguments)
    for note in store.check():
        notify(note)
    store.adopt_moved()
    server = subprocess.Popen(
        [*open_ui_command(store), *arguments],
        # The jobs that MLflow could run for its users would be a dozen processes.
        env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | os.environ,
        # So that Ctrl-C reaches this process only, which ends all others.
        start_new_session=True,
    )
    try:
        return server.wait()
    finally:
        _end(server)


def _check_port(arguments: Sequence[str]) -> None:
    """Raise TrackingError if the port is taken; MLflow would find out late."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-p", "--port", default=os.environ.get("MLFLOW_PORT", "5000"))
    parser.add_argument("--host", default="127.0.0.1")
    given, _ = parser.parse_known_args(arguments)
    if not given.port.isdecimal() or not 0 < int(given.port) < 65536:
        raise TrackingError(f"--port is {given.port}; it must be a number from 1 to 65535")
    port = int(given.port)
    family = socket.AF_INET6 if ":" in given.host else socket.AF_INET
    try:
        socket.create_server((given.host, port), family=family).close()
    except OSError as error:
        if isinstance(error, socket.gaierror):
            raise TrackingError(f"--host is {given.host}, which is no address: {error}") from error
        reason = error.strerror if isinstance(error, PermissionError) else "is in use"
        raise TrackingError(
            f"port {port} of {given.host} {reason}; choose another, e.g. "
            f"'autoplace ui --port {port + 1 if port < 65535 else 5000}'"
        ) from error


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a server and all processes that it has started, within two seconds."""
    try:
        processes = [psutil.Process(server.pid)]
        processes += processes[0].children(recursive=True)
    except psutil.NoSuchProcess:
        return
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=_GRACE)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    server.wait()
