"""`autoplace adapters [PATTERN]`."""

from __future__ import annotations

from dataclasses import asdict

import click

from autoplace.cli._options import json_option


@click.command()
@click.argument("pattern", default="*")
@json_option()
def adapters(pattern: str, as_json: bool) -> None:
    """List adapter kinds with their options; a PATTERN such as 'lo*' selects some of them."""
    from autoplace.adapters import describe_adapters
    from autoplace.cli._render import print_json
    from autoplace.cli._table import table
    from autoplace.errors import UserError

    found = describe_adapters(pattern)
    if not found:
        raise UserError(
            f"no adapter kind matches '{pattern}'; 'autoplace adapters' lists all of them"
        )
    if as_json:
        print_json([asdict(info) for info in found])
        return
    rows = [
        (
            info.name,
            ",".join(f"{name}={value}" for name, value in info.options.items()),
            ", ".join(f"{place} {count:,}" for place, count in info.parameters.items()),
            "all" if len(info.edge_kinds) == 4 else ", ".join(info.edge_kinds),
            "yes" if info.mergeable else "no",
            info.paper,
        )
        for info in found
    ]
    header = ("kind", "options", "parameters on an edge of ViT-B", "edges", "mergeable", "paper")
    click.echo(table(header, rows))
