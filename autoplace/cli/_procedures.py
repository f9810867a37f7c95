"""`autoplace procedures [PATTERN]`."""

from __future__ import annotations

from dataclasses import asdict

import click

from autoplace.cli._options import json_option


@click.command()
@click.argument("pattern", default="*")
@json_option()
def procedures(pattern: str, as_json: bool) -> None:
    """List the procedures of 'autoplace refine' with their options and papers.

    PATTERN selects some of them, for example 's*'.
    """
    from autoplace.cli._render import print_json
    from autoplace.cli._terminal import wrapped
    from autoplace.errors import UserError
    from autoplace.procedures import describe_procedures

    found = describe_procedures(pattern)
    if not found:
        raise UserError(f"no procedure matches '{pattern}'; 'autoplace procedures' lists all")
    if as_json:
        print_json([asdict(info) for info in found])
        return
    for info in found:
        options = ", ".join(f"{name}={value}" for name, value in info.options.items())
        click.echo(wrapped(f"{info.name}: {info.does}"))
        click.echo(wrapped(f"  options: {options}"))
        click.echo(wrapped(f"  paper: {info.paper}"))
