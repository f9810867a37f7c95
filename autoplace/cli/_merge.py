"""`autoplace merge RUN RUN... --data DATA`."""

from __future__ import annotations

import click

from autoplace.cli._options import json_option, settings_options
from autoplace.settings import MergeSettings


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--data", required=True, help="The images to fine-tune on.")
@settings_options(MergeSettings)
@json_option()
def merge(runs: tuple[str, ...], data: str, settings: MergeSettings, as_json: bool) -> None:
    """Merge the adapters of several runs, and fine-tune them on DATA.

    RUN is a run id or a winner's folder. The winners must have the same placement and backbone.
    """
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress
    from autoplace.cli._render import print_json, render_merge

    with terminal_progress() as progress:
        result = agent.merge(runs, data, settings, progress)
    print_json(result.to_dict()) if as_json else click.echo(render_merge(result))
