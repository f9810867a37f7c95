"""How to open the MLflow UI on a store."""

from __future__ import annotations

import sys

from autoplace.tracking.store._store import Store


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
