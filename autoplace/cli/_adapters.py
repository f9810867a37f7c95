"""`autoplace adapters [PATTERN]`."""

from __future__ import annotations

from dataclasses import asdict

import click

from autoplace.cli._options import json_option


@click.command()
@click.argument("pattern", default="*")
@json_option()
def adapters(pattern: str, as_json: bool) -> None:
    """List adapter kinds with their options, parameters, edges and papers.

    PATTERN selects some of them, for example 'lo*'.
    """
    from autoplace.adapters import describe_adapters
    from autoplace.cli._render import print_json
    from autoplace.cli._table import table
    from autoplace.cli._terminal import wrapped
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
    header = ("kind", "options", "parameters per edge", "edges", "mergeable", "paper")
    click.echo(table(header, rows))
    notes = (
        "\nParameters: in ViT-B/16 with these options, by the sub-layer that the edge spans.\n"
        "Edges: the kinds of edges that the adapter can be on.\n"
        "Mergeable: 'autoplace pick --merge' can fold the trained adapter into the backbone."
    )
    click.echo(wrapped(notes))
