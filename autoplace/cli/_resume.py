"""`autoplace resume RUN`."""

from __future__ import annotations

import click

from autoplace.cli._collect import count_rows, show_counts
from autoplace.cli._exit_codes import ExitCode
from autoplace.cli._options import json_option, settings_options
from autoplace.cli._pick import say_nothing_finished, show_pick
from autoplace.settings import ResumeSettings


@click.command()
@click.argument("run")
@settings_options(ResumeSettings)
@json_option("Print JSON, in the form of the command that is continued.")
def resume(run: str, settings: ResumeSettings, as_json: bool) -> int:
    """Continue a pick or a collection that was interrupted.

    RUN is its run id. It continues in the same run, with the options that it was started with.
    """
    from autoplace import agent
    from autoplace.cli._progress import terminal_progress

    with terminal_progress() as progress:
        try:
            done = agent.resume(run, settings, progress)
        except agent.NothingFinishedError as error:
            return say_nothing_finished(error)
        counts = {} if isinstance(done, agent.PickResult) else count_rows(done, as_json)
    if isinstance(done, agent.PickResult):
        return show_pick(done, as_json)
    show_counts(counts, as_json)
    return ExitCode.DONE
