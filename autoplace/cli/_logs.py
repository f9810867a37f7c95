"""`autoplace logs import|export|validate|stats`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from autoplace.cli._options import json_option, settings_options
from autoplace.settings import StoreSettings

if TYPE_CHECKING:
    from autoplace.agent import Transfer


@click.group()
def logs() -> None:
    """Import, export, check or describe placement logs."""


@logs.command("import")
@click.argument("log")
@settings_options(StoreSettings)
@json_option()
def import_(log: str, settings: StoreSettings, as_json: bool) -> None:
    """Import the trials of LOG, a folder that export wrote, into the store to learn from."""
    from autoplace.agent import import_log

    done = import_log(log, settings)
    summary = f"{done.rows} new trials in {done.place}"
    if done.rows:
        summary += "; 'autoplace retrain' learns from them"
    _print_transfer(done, summary, as_json)


@logs.command()
@click.argument("out")
@settings_options(StoreSettings)
@click.option("--tasks", default="*", show_default=True, help="Wildcard pattern of task names.")
@json_option()
def export(out: str, settings: StoreSettings, tasks: str, as_json: bool) -> None:
    """Write the store's trials and probes to OUT, a new folder, as Parquet with a card."""
    from autoplace.agent import export_log

    done = export_log(out, settings, tasks=tasks)
    _print_transfer(done, f"{done.rows} trials written to {done.place}", as_json)


@logs.command()
@click.argument("log", required=False)
@json_option()
def validate(log: str | None, as_json: bool) -> None:
    """Check LOG, a folder or a Parquet file of trials; default: the shipped log."""
    from autoplace.cli._render import print_json
    from predictors import read_log, shipped_log

    found = read_log(log or shipped_log())
    if as_json:
        print_json(
            {
                "rows": len(found.trials),
                "probes": len(found.probes),
                "set_aside": found.set_aside.to_dict(orient="records"),
            }
        )
        return
    click.echo(f"{len(found.trials)} valid rows, {len(found.probes)} probes")
    _print_set_aside(found.reasons())


@logs.command()
@click.argument("log", required=False)
@json_option()
def stats(log: str | None, as_json: bool) -> None:
    """Describe LOG, per backbone and task; default: the shipped log."""
    from autoplace.cli._render import print_json
    from autoplace.cli._table import table
    from predictors import log_stats, read_log, shipped_log

    found = log_stats(read_log(log or shipped_log()))
    if as_json:
        print_json(found.to_dict(orient="records"))
        return
    click.echo(table(list(found.columns), found.to_numpy().tolist()))
    click.echo(
        f"{found['trials'].sum()} finished trials, {found['task_name'].nunique()} data sets from "
        f"{found['family'].nunique()} families, {found['backbone'].nunique()} backbones"
    )


def _print_transfer(done: Transfer, summary: str, as_json: bool) -> None:
    from autoplace.cli._render import print_json

    if as_json:
        print_json(asdict(done))
        return
    click.echo(summary)
    _print_set_aside(done.set_aside)


def _print_set_aside(reasons: Mapping[str, int]) -> None:
    for reason, count in reasons.items():
        click.echo(f"set aside: {count} row{'s'[: count > 1]}, {reason}")
