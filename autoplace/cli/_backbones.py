"""`autoplace backbones [PATTERN]`."""

from __future__ import annotations

from dataclasses import asdict

import click


@click.command()
@click.argument("pattern", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def backbones(pattern: str | None, as_json: bool) -> None:
    """List backbones with their nodes and edges; a PATTERN such as 'vit_small*' searches timm."""
    from autoplace.backbones import list_backbones
    from autoplace.cli._render import print_json, table

    found = list_backbones(pattern)
    if as_json:
        print_json([asdict(info) for info in found])
        return
    rows = [(i.name, i.n_nodes, i.n_edges, i.dim, i.input_size, i.source) for i in found]
    click.echo(table(("backbone", "nodes", "edges", "width", "pixels", "weights"), rows))
