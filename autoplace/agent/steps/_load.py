"""Load the winner of a pick."""

from __future__ import annotations

from pathlib import Path

from autoplace.data import create_transform
from autoplace.model import AdaptedModel, load_adapted
from autoplace.tracking import Store, fetch_winner, find_run


def load(
    run: str | Path, *, store: str | None = None, checkpoint: str | Path | None = None
) -> AdaptedModel:
    """Load the winner of a pick, in evaluation mode on the CPU.

    See `autoplace.load`.
    """
    folder = Path(run) if Path(run).is_dir() else fetch_winner(find_run(Store(store), str(run)))
    model = load_adapted(folder, checkpoint)
    model.transform = create_transform(model.chain.data_config)
    return model
