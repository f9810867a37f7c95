"""`autoplace ui`."""

from __future__ import annotations

import click

from autoplace.cli._options import settings_options
from autoplace.settings import StoreSettings


@click.command(context_settings={"ignore_unknown_options": True})
@settings_options(StoreSettings)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ui(settings: StoreSettings, arguments: tuple[str, ...]) -> int:
    """Open the MLflow UI on the store; ARGUMENTS such as --port 5001 are passed on to MLflow."""
    from autoplace.tracking import Store, run_ui

    return run_ui(
        Store(settings.store), arguments, lambda note: click.echo(f"note: {note}", err=True)
    )
