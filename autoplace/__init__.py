"""autoplace decides where in a frozen pre-trained vision backbone to put adapters.

    import autoplace

    result = autoplace.pick("builtin:digits")
    model = autoplace.load(result.run_id)

The commands do the same: `autoplace pick builtin:digits`. Nothing heavy is imported before one of
these functions is called.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoplace.agent import PickResult, ProbeResult
    from autoplace.model import AdaptedModel

__all__ = ["load", "pick", "probe"]


def pick(data: str, **options: Any) -> PickResult:
    """Find, fine-tune and record the best adapter placement for a data set.

    data: an image folder, a CSV or Parquet manifest, or `builtin:NAME`; options: the fields of
    `autoplace.settings.PickSettings`, as the command's flags. Raises UserError for what the
    caller can mend.
    """
    from autoplace.agent import pick as run
    from autoplace.settings import PickSettings, create_settings

    return run(data, create_settings(PickSettings, options))


def probe(data: str, **options: Any) -> ProbeResult:
    """Score all n² edges of a backbone on a data set with one pass over some images.

    options: the fields of `autoplace.settings.ProbeCommandSettings`, as the command's flags.
    Raises UserError for what the caller can mend.
    """
    from autoplace.agent import probe as run
    from autoplace.settings import ProbeCommandSettings, create_settings

    return run(data, create_settings(ProbeCommandSettings, options))


def load(
    run: str | Path, *, store: str | None = None, checkpoint: str | Path | None = None
) -> AdaptedModel:
    """The winner of a pick as an `nn.Module` with its `transform` and `classes`.

    run: an MLflow run id or a winner's folder; store: tracking URI, default as for the commands;
    checkpoint: where the backbone's weights are now, if they have moved. Raises UserError for an
    unknown run, an incomplete folder or other backbone weights.
    """
    from autoplace.agent import load as load_winner

    return load_winner(run, store=store, checkpoint=checkpoint)


class _Package(ModuleType):
    """Keeps `autoplace.probe` the function when the room of that name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "probe" or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
