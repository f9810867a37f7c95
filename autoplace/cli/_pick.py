"""`autoplace pick DATA`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autoplace.cli._exit_codes import ExitCode
from autoplace.cli._options import SectionedCommand, json_option, settings_options
from autoplace.settings import PickSettings

if TYPE_CHECKING:
    from autoplace.agent import NothingFinishedError, PickResult


@click.command(cls=SectionedCommand)
@click.argument("data")
@settings_options(PickSettings)
@click.option("--dry-run", is_flag=True, help="Show what would be done and how long it would take.")
@json_option()
def pick(data: str, settings: PickSettings, dry_run: bool, as_json: bool) -> int:
    """Find, fine-tune and compare the best adapter placement for DATA.

    'autoplace --help' says what DATA can be.
    """
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress
    from autoplace.cli._render import print_json, render_dry_run

    with terminal_progress() as progress:
        if dry_run:
            estimate = agent.dry_run(data, settings, progress)
        else:
            try:
                result = agent.pick(data, settings, progress)
            except agent.NothingFinishedError as error:
                return say_nothing_finished(error)
    if dry_run:
        print_json(estimate.to_dict()) if as_json else click.echo(render_dry_run(estimate))
        return ExitCode.DONE
    return show_pick(result, as_json)


def show_pick(result: PickResult, as_json: bool) -> ExitCode:
    """Print the result of a pick and return the exit code."""
    from autoplace.cli._render import print_json, render_pick

    print_json(result.to_dict()) if as_json else click.echo(render_pick(result))
    return ExitCode.DEADLINE if result.deadline_reached else ExitCode.DONE


def say_nothing_finished(error: NothingFinishedError) -> ExitCode:
    """Print why a pick has no result and return the exit code, which no pick with one has."""
    click.echo(f"Error: {error}", err=True)
    return ExitCode.FAILED
