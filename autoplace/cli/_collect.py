"""`autoplace collect DATA...`."""

from __future__ import annotations

import click

from autoplace.cli._options import json_option, settings_options
from autoplace.settings import CollectSettings


@click.command()
@click.argument("data", nargs=-1, required=True)
@settings_options(CollectSettings)
@json_option("One JSON line per finished trial.")
def collect(data: tuple[str, ...], settings: CollectSettings, as_json: bool) -> None:
    """Fine-tune placements on each DATA; 'retrain' learns from the results."""
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress
    from autoplace.cli._render import print_json

    counts: dict[str, int] = {}
    with terminal_progress() as progress:
        for row in agent.collect(data, settings, progress):
            counts[row["status"]] = counts.get(row["status"], 0) + 1
            if as_json:
                print_json(row)
    if not as_json:
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        click.echo(f"{summary}; 'autoplace retrain' learns from them")
