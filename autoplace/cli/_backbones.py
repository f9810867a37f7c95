"""`autoplace backbones [PATTERN]`."""

from __future__ import annotations

from dataclasses import asdict

import click

from autoplace.cli._options import json_option


@click.command()
@click.argument("pattern", required=False)
@json_option()
def backbones(pattern: str | None, as_json: bool) -> None:
    """List backbones with their nodes and edges; a PATTERN such as 'vit_small*' searches timm."""
    from autoplace.backbones import BackboneError, list_backbones
    from autoplace.cli._render import print_json
    from autoplace.cli._table import table

    found = list_backbones(pattern)
    if not found:
        raise BackboneError(f"no backbone matches '{pattern}'; use a pattern such as 'vit_small*'")
    if as_json:
        print_json([asdict(info) | {"n_edges": info.n_edges} for info in found])
        return
    rows = [
        (i.name, i.n_nodes, i.n_edges, i.dim, "x".join(map(str, i.input_size[1:])), i.source)
        for i in found
    ]
    click.echo(table(("backbone", "nodes", "edges", "width", "pixels", "weights"), rows))
