"""`autoplace merge RUN RUN... --data DATA`."""

from __future__ import annotations

import click

from autoplace.cli._options import SectionedCommand, json_option, settings_options
from autoplace.settings import MergeSettings


@click.command(cls=SectionedCommand)
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option(
    "--data", required=True, help="Data to fine-tune on; 'autoplace --help' says what it can be."
)
@settings_options(MergeSettings)
@json_option()
def merge(runs: tuple[str, ...], data: str, settings: MergeSettings, as_json: bool) -> None:
    """Merge the adapters of several runs, fine-tune them on DATA and compare with other starts.

    RUN is a run id or a winner's folder. The winners must have the same backbone, and the same
    adapter kinds with the same options on the same edges. Only with --method transport may their
    ranks differ.

    The other starts are the adapters of each run, the other ways of merging, and new adapters.
    """
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress
    from autoplace.cli._render import print_json, render_merge

    with terminal_progress() as progress:
        result = agent.merge(runs, data, settings, progress)
    print_json(result.to_dict()) if as_json else click.echo(render_merge(result))
