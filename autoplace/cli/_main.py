"""The command line: parse, call, render."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any, TextIO

import click

from autoplace.cli._exit_codes import ExitCode
from autoplace.cli._signals import ending_signals
from autoplace.cli._terminal import Context, wrapped
from autoplace.errors import UserError
from autoplace.tracking import WriteError
from predictors import PredictorError

COMMANDS = {
    "pick": "Find, fine-tune and compare the best adapter placement for DATA.",
    "probe": "Score every edge on DATA with one pass, without training.",
    "collect": "Fine-tune placements on each DATA; 'retrain' learns from the results.",
    "resume": "Continue a pick or a collection that was interrupted.",
    "refine": "Train the winner of a pick again, without and with a procedure, and compare.",
    "retrain": "Train the next predictor on the records; promote it if it is better.",
    "sync": "Send MLflow what it missed of runs that lost it or were killed.",
    "logs": "Import, export, check or describe placement logs.",
    "merge": "Merge the adapters of several runs and fine-tune them on a few images.",
    "predict": "Classify images with the winner of a pick.",
    "adapters": "List adapter kinds with options, parameters and papers.",
    "procedures": "List the procedures of 'refine' with options and papers.",
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


class _Interrupted(BaseException):
    """Stands for a KeyboardInterrupt, of which click would print its own account."""


class LazyGroup(click.Group):
    """Imports a command's module only when that command runs, so that help is quick."""

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"autoplace.cli._{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        command.context_class = Context
        if not any(option.name == "verbose" for option in command.params):
            command.params.append(verbose_option(expose_value=False))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _Interrupted from error

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
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names of files that are not text
    with ending_signals():
        code = _run(arguments, verbose)
    _let_go(sys.stdout, sys.stderr)
    sys.exit(code)


def _run(arguments: list[str], verbose: bool) -> int:
    try:
        code: Any = autoplace.main(arguments, prog_name="autoplace", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return ExitCode.BAD_INPUT
    except click.ClickException as error:
        return _end(error, error.format_message(), verbose)
    except (_Interrupted, KeyboardInterrupt) as error:
        return _end(error, "; ".join(["interrupted", *_notes(error.__cause__ or error)]), verbose)
    except BrokenPipeError:  # whoever read the results has seen enough, as `head` does
        return ExitCode.FAILED
    except (WriteError, OSError) as error:
        kept = _notes(error) or ["what was recorded before is kept"]
        return _end(error, "; ".join([_failed_write(error), *kept]), verbose)
    except (UserError, PredictorError) as error:
        return _end(error, str(error), verbose)
    return code if isinstance(code, int) else ExitCode.DONE


def _end(error: BaseException, message: str, verbose: bool) -> int:
    """Print one message about an error; the exit code."""
    interrupted = isinstance(error, _Interrupted | KeyboardInterrupt)
    with suppress(OSError):  # the terminal may be gone
        if verbose and not interrupted:
            traceback.print_exception(error)
        text = message if interrupted else f"Error: {message}"
        if interrupted and sys.stderr.isatty():
            click.echo(err=True)  # ends the line on which the terminal shows ^C
        click.echo(wrapped(text, sys.stderr), err=True)
    if interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if isinstance(error, WriteError | OSError) else ExitCode.BAD_INPUT


def _notes(error: BaseException) -> list[str]:
    """What the steps of a command have added to an error: what is kept of its work."""
    return list(getattr(error, "__notes__", []))


def _failed_write(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or (str(error).splitlines() or [repr(error)])[0]
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason += "; free some space"
    elif error.errno == errno.EFBIG:
        reason += "; raise the limit on the size of files ('ulimit -f')"
    return f"cannot read or write {error.filename or 'a file or the output'}: {reason}"


def _let_go(*streams: TextIO | None) -> None:
    """Forget output that cannot be written; Python would complain about it at the very end."""
    for stream in streams:
        if stream is None:  # closed by the caller
            continue
        try:
            stream.flush()
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
