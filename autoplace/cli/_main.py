"""The command line: parse, call, render."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from importlib import import_module
from typing import Any

import click

from autoplace.cli._exit_codes import ExitCode
from autoplace.errors import UserError
from predictors import PredictorError

COMMANDS = {
    "pick": "Find, fine-tune and compare the best adapter placement for DATA.",
    "probe": "Score every edge on DATA with one pass, without training.",
    "collect": "Fine-tune placements on each DATA; 'retrain' learns from the results.",
    "refine": "Train the winner of a pick again, without and with a procedure, and compare.",
    "retrain": "Train the next predictor on the records; promote it if it is better.",
    "logs": "Import, export, check or describe placement logs.",
    "merge": "Merge the adapters of several runs and fine-tune them on a few images.",
    "predict": "Classify images with the winner of a pick.",
    "adapters": "List adapter kinds with options, parameters and papers.",
    "backbones": "List backbones with their nodes and edges.",
    "tasks": "List the built-in tasks with source, licence, family and group.",
    "ui": "Open the MLflow UI on the store.",
    "doctor": "Show versions, device and store, and check that they work.",
}


def verbose_option(**extra: Any) -> click.Option:
    """`-v`, accepted before and after the command's name; `main` looks for it."""
    return click.Option(
        ["-v", "--verbose"], is_flag=True, help="Show tracebacks and warnings.", **extra
    )


class LazyGroup(click.Group):
    """Imports a command's module only when that command runs, so that help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"autoplace.cli._{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        if not any(option.name == "verbose" for option in command.params):
            command.params.append(verbose_option(expose_value=False))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    params=[verbose_option(expose_value=False)],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="autoplace")
def autoplace() -> None:
    """Decide where in a frozen vision backbone to put adapters.

    DATA is an image folder, a CSV or Parquet table, or builtin:NAME. Results go to stdout,
    progress to stderr. Exit codes: 0 done, 1 failed, 2 bad input, 3 --budget ran out.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Parameters
    ----------
    arguments : list of str, optional
        Default: the arguments of the process.

    Examples
    --------
    >>> main(["tasks", "digits", "--json"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    verbose = "-v" in arguments or "--verbose" in arguments
    if not verbose:
        # Users cannot act on warnings about odd image files or deprecations in libraries.
        warnings.filterwarnings("ignore")
    # Read when torch is imported: threads that wait for others sleep instead of spinning, which
    # would take the cores from whatever else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(_run(arguments, verbose))


def _run(arguments: list[str], verbose: bool) -> int:
    try:
        code: Any = autoplace.main(arguments, prog_name="autoplace", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return ExitCode.BAD_INPUT
    except click.ClickException as error:
        return _refuse(error, error.format_message(), verbose)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; finished trials are recorded", err=True)
        return ExitCode.INTERRUPTED
    except (UserError, PredictorError) as error:
        return _refuse(error, str(error), verbose)
    return code if isinstance(code, int) else ExitCode.DONE


def _refuse(error: Exception, message: str, verbose: bool) -> int:
    if verbose:
        traceback.print_exception(error)
    click.echo(f"Error: {message}", err=True)
    return ExitCode.BAD_INPUT
