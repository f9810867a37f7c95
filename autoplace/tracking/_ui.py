"""How to open the MLflow UI on a store."""

from __future__ import annotations

import sys

from autoplace.tracking._store import Store


def open_ui_command(store: Store, port: int = 5000) -> list[str]:
    """Command line (argv) that shows the store's runs: MLflow's own UI, on this machine only.

    A store that is a server has its UI already, so the command opens that address in a browser.
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
        "--port",
        str(port),
        "--workers",
        "1",
    ]
