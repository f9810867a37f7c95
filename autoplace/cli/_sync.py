"""`autoplace sync`."""

from __future__ import annotations

import click

from autoplace.cli._options import json_option, settings_options
from autoplace.settings import StoreSettings


@click.command()
@settings_options(StoreSettings)
@json_option()
def sync(settings: StoreSettings, as_json: bool) -> None:
    """Send MLflow the records that it lacks, of runs that lost it or were killed; none twice."""
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress
    from autoplace.cli._render import print_json, render_sync

    with terminal_progress() as progress:
        result = agent.sync(settings, progress)
    print_json(result.to_dict()) if as_json else click.echo(render_sync(result))
