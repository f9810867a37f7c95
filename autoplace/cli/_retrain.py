"""`autoplace retrain`."""

from __future__ import annotations

import click

from autoplace.cli._options import json_option, settings_options
from autoplace.settings import StoreSettings


@click.command()
@settings_options(StoreSettings)
@json_option()
def retrain(settings: StoreSettings, as_json: bool) -> None:
    """Train the next predictor on the records; promote it if it is better."""
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress
    from autoplace.cli._render import print_json, render_retrain

    with terminal_progress() as progress:
        result = agent.retrain(settings, progress)
    print_json(result.to_dict()) if as_json else click.echo(render_retrain(result))
