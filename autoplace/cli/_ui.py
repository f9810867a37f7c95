"""`autoplace ui`."""

from __future__ import annotations

import subprocess

import click

from autoplace.cli._options import settings_options
from autoplace.settings import StoreSettings


@click.command(context_settings={"ignore_unknown_options": True})
@settings_options(StoreSettings)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ui(settings: StoreSettings, arguments: tuple[str, ...]) -> int:
    """Open the MLflow UI on the right store; further ARGUMENTS (--port 5001) go to MLflow."""
    from autoplace.tracking import Store, TrackingError, open_ui_command

    store = Store(settings.store)
    store.check()
    if not store.exists:
        raise TrackingError(f"there is no MLflow store {store.address} yet; pick or collect first")
    return subprocess.run([*open_ui_command(store), *arguments]).returncode
