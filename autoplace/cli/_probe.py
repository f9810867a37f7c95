"""`autoplace probe DATA`."""

from __future__ import annotations

from pathlib import Path

import click

from autoplace.cli._options import SectionedCommand, json_option, settings_options
from autoplace.settings import ProbeCommandSettings


@click.command(cls=SectionedCommand)
@click.argument("data")
@settings_options(ProbeCommandSettings)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("autoplace-probe"),
    show_default=True,
    help="Folder for the four tables and the heat maps.",
)
@json_option()
def probe(data: str, settings: ProbeCommandSettings, out: Path, as_json: bool) -> None:
    """Score every edge on DATA with one pass, without training."""
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress
    from autoplace.cli._render import print_json, render_probe

    with terminal_progress() as progress:
        result = agent.probe(data, settings, progress)
        folder = result.write(out)
    print_json(result.to_dict()) if as_json else click.echo(render_probe(result, folder))
