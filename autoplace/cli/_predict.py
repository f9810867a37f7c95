"""`autoplace predict RUN IMAGES...`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from autoplace.cli._exit_codes import ExitCode
from autoplace.cli._options import json_option, settings_options
from autoplace.settings import StoreSettings

if TYPE_CHECKING:
    from autoplace.agent import Prediction


@click.command()
@click.argument("run")
@click.argument("images", nargs=-1, required=True)
@settings_options(StoreSettings)
@click.option(
    "--checkpoint", default=None, help="Path of the backbone's weights, if they have moved."
)
@click.option("--out", default=None, help="Write the rows to this .csv, .parquet or .jsonl file.")
@click.option("--probabilities", is_flag=True, help="Also give the probability of every class.")
@json_option("One JSON line per image.")
def predict(
    run: str,
    images: tuple[str, ...],
    settings: StoreSettings,
    checkpoint: str | None,
    out: str | None,
    probabilities: bool,
    as_json: bool,
) -> int:
    """Classify IMAGES with the winner of RUN, a run id or a winner's folder.

    IMAGES are files, folders, patterns such as 'photos/*.jpg', or - for a list of them on stdin,
    one a line. Each image that cannot be read has a line on stderr, and the exit code is then 1.
    """
    from autoplace import agent
    from autoplace.cli._progress import LineProgress
    from autoplace.cli._render import print_json
    from autoplace.errors import UserError

    if out is not None:
        agent.check_out(out)
    given = [*images]
    if "-" in given:
        listed = agent.read_path_list(sys.stdin.buffer.read())
        if not listed:
            raise UserError("the list on stdin is empty; write one path on each line")
        place = given.index("-")
        given[place : place + 1] = listed
    rows: list[Prediction] = []
    bad: list[str] = []

    def report(path: str, reason: str) -> None:
        bad.append(path)
        click.echo(f"Error: {path}: {reason}", err=True)

    try:
        for found in agent.predict(
            run,
            given,
            store=settings.store,
            checkpoint=checkpoint,
            probabilities=probabilities,
            on_error=report,
            progress=LineProgress(),
        ):
            rows.append(found)
            if as_json:
                print_json(found.to_dict())
    except BaseException as error:  # what has been computed is kept
        if out is not None and rows:
            agent.write_predictions(rows, out)
            error.add_note(f"{len(rows)} rows are kept in {out}")
        raise
    if out is not None and rows:
        try:
            agent.write_predictions(rows, out)
        except OSError as error:
            _show(rows, as_json)
            error.add_note("the rows are on stdout")
            raise
        click.echo(f"{len(rows)} rows in {out}", err=as_json)
    elif rows:
        _show(rows, as_json)
    if bad:
        click.echo(f"{len(bad)} of {len(rows) + len(bad)} could not be classified", err=True)
    return ExitCode.FAILED if bad else ExitCode.DONE


def _show(rows: list[Prediction], as_json: bool) -> None:
    """Print a table for people; with `--json`, the lines have been printed already."""
    from autoplace.cli._table import table

    if as_json:
        return
    classes = list(rows[0].probabilities)
    cells = [
        (row.path, row.predicted, row.probability, *row.probabilities.values()) for row in rows
    ]
    click.echo(table(("image", "class", "probability", *classes), cells))
