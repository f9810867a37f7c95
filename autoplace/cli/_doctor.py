"""`autoplace doctor`."""

from __future__ import annotations

import click

from autoplace.cli._options import settings_options
from autoplace.settings import StoreSettings


@click.command()
@settings_options(StoreSettings)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(settings: StoreSettings, as_json: bool) -> int:
    """Show versions, device and store, and whether they work."""
    from autoplace.agent import examine
    from autoplace.cli._render import print_json

    found = examine(settings)
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            shown = (
                ", ".join(f"{k} {v}" for k, v in value.items())
                if isinstance(value, dict)
                else value
            )
            click.echo(f"{name:10} {shown}")
    return 0 if not found["problems"] else 1
