"""`autoplace doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from autoplace.cli._exit_codes import ExitCode
from autoplace.cli._options import json_option, settings_options
from autoplace.settings import StoreSettings


@click.command()
@settings_options(StoreSettings)
@json_option()
def doctor(settings: StoreSettings, as_json: bool) -> int:
    """Show versions, device and store, and check that they work."""
    from autoplace.agent import examine
    from autoplace.cli._render import print_json
    from autoplace.cli._terminal import wrapped

    found = examine(settings)
    if as_json:
        print_json(asdict(found))
    else:
        for name, value in asdict(found).items():
            shown = (
                ", ".join(f"{k} {v}" for k, v in value.items())
                if isinstance(value, dict)
                else value
            )
            click.echo(wrapped(f"{name:10} {shown}"))
    return ExitCode.FAILED if found.problems else ExitCode.DONE
