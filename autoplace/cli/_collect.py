"""`autoplace collect DATA...`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from autoplace.cli._options import SectionedCommand, json_option, settings_options
from autoplace.settings import CollectSettings


@click.command(cls=SectionedCommand)
@click.argument("data", nargs=-1, required=True)
@settings_options(CollectSettings)
@json_option("One JSON line per finished trial.")
def collect(data: tuple[str, ...], settings: CollectSettings, as_json: bool) -> None:
    """Fine-tune placements on each DATA; 'retrain' learns from the results."""
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress

    with terminal_progress() as progress:
        counts = count_rows(agent.collect(data, settings, progress), as_json)
    show_counts(counts, as_json)


def count_rows(rows: Iterable[dict[str, Any]], as_json: bool) -> dict[str, int]:
    """Print rows as they come, if JSON is asked for; return how many there are by status."""
    from autoplace.cli._render import print_json

    counts: dict[str, int] = {}
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
        if as_json:
            print_json(row)
    return counts


def show_counts(counts: dict[str, int], as_json: bool) -> None:
    """Print how many trials there are, unless the rows were printed."""
    if not as_json:
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        click.echo(f"{summary}; 'autoplace retrain' learns from them")
