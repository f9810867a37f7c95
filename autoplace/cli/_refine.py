"""`autoplace refine RUN PROCEDURE`."""

from __future__ import annotations

import click

from autoplace.cli._options import json_option, settings_options
from autoplace.settings import RefineSettings


@click.command()
@click.argument("run")
@click.argument("procedure")
@settings_options(RefineSettings)
@json_option()
def refine(run: str, procedure: str, settings: RefineSettings, as_json: bool) -> None:
    """Train the winner of RUN again, without and with PROCEDURE, and compare the two.

    RUN is the run id of a pick. PROCEDURE is a name with options, for example
    prune:score=snip,sparsity=0.8 or drop:blocks=5 or drop:robust or share:rate=0.5 or switch;
    'autoplace procedures' lists all of them with their options.

    'prune' sets a share of the adapter weights to zero before training. 'drop' trains without the
    adapters of the first blocks, or of a random number of them at each step. 'share' replaces the
    least important adapters by others. 'switch' learns which edges need an adapter.
    """
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress
    from autoplace.cli._render import print_json, render_refine

    with terminal_progress() as progress:
        result = agent.refine(run, procedure, settings, progress)
    print_json(result.to_dict()) if as_json else click.echo(render_refine(result))
