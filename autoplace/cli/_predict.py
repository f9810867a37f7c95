"""`autoplace predict RUN IMAGES...`."""

from __future__ import annotations

from dataclasses import asdict

import click

from autoplace.cli._options import json_option, settings_options
from autoplace.settings import StoreSettings


@click.command()
@click.argument("run")
@click.argument("images", nargs=-1, required=True)
@settings_options(StoreSettings)
@click.option(
    "--checkpoint", default=None, help="Path of the backbone's weights, if they have moved."
)
@json_option("One JSON line per image.")
def predict(
    run: str,
    images: tuple[str, ...],
    settings: StoreSettings,
    checkpoint: str | None,
    as_json: bool,
) -> None:
    """Classify IMAGES with the winner of RUN, a run id or a winner's folder."""
    from autoplace import agent
    from autoplace.cli._render import print_json, table

    found = agent.predict(run, images, store=settings.store, checkpoint=checkpoint)
    rows = []
    for each in found:
        if as_json:
            print_json(asdict(each))
        rows.append((each.path, each.predicted, each.probability))
    if not as_json:
        click.echo(table(("image", "class", "probability"), rows))
