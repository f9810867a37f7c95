"""`autoplace.probe`: score every edge, without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autoplace._api._options import options
from autoplace.settings import ProbeCommandSettings, create_settings

if TYPE_CHECKING:
    from autoplace.agent import ProbeResult

_PROBE = ProbeCommandSettings()


def probe(
    data: str | Path,
    *,
    backbone: str = _PROBE.backbone,
    checkpoint: str | None = _PROBE.checkpoint,
    metric: str = _PROBE.metric,
    max_bad: float = _PROBE.max_bad,
    path_column: str | None = _PROBE.path_column,
    label_column: str | None = _PROBE.label_column,
    split_column: str | None = _PROBE.split_column,
    max_pixels: int = _PROBE.max_pixels,
    family: str | None = _PROBE.family,
    seed: int = _PROBE.seed,
    device: str = _PROBE.device,
    probe_images: int | None = _PROBE.probe_images,
    probe_batch: int = _PROBE.probe_batch,
    probe_micro_batches: int = _PROBE.probe_micro_batches,
    sketch: int = _PROBE.sketch,
    edges: int | None = _PROBE.edges,
    rank: int = _PROBE.rank,
    max_params: int | None = _PROBE.max_params,
    adapter: str = _PROBE.adapter,
    predictor: str | None = _PROBE.predictor,
    store: str | None = _PROBE.store,
) -> ProbeResult:
    """Score all n² edges of a backbone on a data set, without training or recording anything.

    Parameters
    ----------
    data : path or str
        An image folder, a CSV or Parquet table, or `builtin:NAME`.
    **options
        As the flags of `autoplace probe`; `autoplace.settings.ProbeCommandSettings` describes each.

    Returns
    -------
    ProbeResult
        Tables of edges, nodes, task and sites, with the gain predicted for each edge.

    Raises
    ------
    UserError
        What the caller can fix.
    predictors.PredictorError
        A predictor that cannot be used.

    Examples
    --------
    >>> import autoplace
    >>> result = autoplace.probe("builtin:digits", probe_images=32)
    >>> result.edges.shape[0], "gradient_rank" in result.edges
    (625, True)
    """
    given = options(locals())
    from autoplace import agent

    return agent.probe(str(data), create_settings(ProbeCommandSettings, given))
