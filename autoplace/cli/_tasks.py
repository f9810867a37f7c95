"""`autoplace tasks [PATTERN]`."""

from __future__ import annotations

import click

from autoplace.cli._options import json_option


@click.command()
@click.argument("pattern", required=False)
@json_option()
def tasks(pattern: str | None, as_json: bool) -> None:
    """List the built-in tasks; a PATTERN such as 'fonts-*' selects by name or family."""
    from autoplace.cli._render import print_json
    from autoplace.cli._table import table
    from autoplace.cli._terminal import wrapped
    from autoplace.data import SIZES, DataError, list_tasks

    found = list_tasks(pattern)
    if not found:
        raise DataError(f"no built-in task matches '{pattern}'; 'autoplace tasks' lists all")
    if as_json:
        print_json([task.describe() for task in found])
        return
    rows = [
        (
            task.name,
            task.family,
            task.group,
            len(task.classes),
            task.asks,
            task.source,
            task.licence,
        )
        for task in found
    ]
    click.echo(table(("task", "family", "group", "classes", "asks", "source", "licence"), rows))
    click.echo(
        wrapped(
            f"{SIZES['train']} training, {SIZES['val']} validation and {SIZES['test']} test images "
            "(digits: 797 test images); use builtin:TASK as DATA"
        )
    )
