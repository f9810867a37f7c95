"""`autoplace.collect`: fine-tune placements to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoplace._api._options import options
from autoplace.settings import CollectSettings, create_settings

if TYPE_CHECKING:
    import pandas as pd

_COLLECT = CollectSettings()


def collect(
    data: str | Path | Sequence[str | Path],
    *,
    backbone: str = _COLLECT.backbone,
    checkpoint: str | None = _COLLECT.checkpoint,
    metric: str = _COLLECT.metric,
    max_bad: float = _COLLECT.max_bad,
    path_column: str | None = _COLLECT.path_column,
    label_column: str | None = _COLLECT.label_column,
    split_column: str | None = _COLLECT.split_column,
    max_pixels: int = _COLLECT.max_pixels,
    family: str | None = _COLLECT.family,
    seed: int = _COLLECT.seed,
    device: str = _COLLECT.device,
    probe_images: int | None = _COLLECT.probe_images,
    probe_batch: int = _COLLECT.probe_batch,
    probe_micro_batches: int = _COLLECT.probe_micro_batches,
    sketch: int = _COLLECT.sketch,
    edges: int | None = _COLLECT.edges,
    rank: int = _COLLECT.rank,
    max_params: int | None = _COLLECT.max_params,
    adapter: str = _COLLECT.adapter,
    augment: str = _COLLECT.augment,
    random_erasing: float = _COLLECT.random_erasing,
    views: int = _COLLECT.views,
    precision: str = _COLLECT.precision,
    cache_gb: float = _COLLECT.cache_gb,
    cache_dir: str | None = _COLLECT.cache_dir,
    cache_precision: str = _COLLECT.cache_precision,
    epochs: int = _COLLECT.epochs,
    batch_size: int = _COLLECT.batch_size,
    lr: float | None = _COLLECT.lr,
    weight_decay: float = _COLLECT.weight_decay,
    class_weights: str = _COLLECT.class_weights,
    patience: int | None = _COLLECT.patience,
    parallel_placements: str = _COLLECT.parallel_placements,
    executor: str = _COLLECT.executor,
    ray_address: str | None = _COLLECT.ray_address,
    workers: int | None = _COLLECT.workers,
    worker_cpus: int | None = _COLLECT.worker_cpus,
    worker_gpus: float | None = _COLLECT.worker_gpus,
    store: str | None = _COLLECT.store,
    placements: int = _COLLECT.placements,
    placements_file: str | None = _COLLECT.placements_file,
) -> pd.DataFrame:
    """Fine-tune sampled or given placements on data sets, and record the results to learn from.

    Parameters
    ----------
    data : path, str or sequence of them
        Image folders, manifests, or `builtin:NAME`.
    **options
        As the flags of `autoplace collect`; `autoplace.settings.CollectSettings` describes each.

    Returns
    -------
    DataFrame (trials, columns)
        Rows of the placement log, head-only first.

    Raises
    ------
    UserError
        What the caller can fix.

    Examples
    --------
    >>> import autoplace
    >>> log = autoplace.collect(
    ...     "builtin:digits", placements=1, epochs=1, batch_size=200, probe_images=32, lr=0.003
    ... )
    >>> log[["placement", "status"]].to_numpy()[0].tolist()
    ['head-only', 'done']
    """
    given = options(locals())
    from autoplace import agent
    from predictors import log_table

    sources = [data] if isinstance(data, str | Path) else data
    settings = create_settings(CollectSettings, given)
    return log_table(agent.collect([str(source) for source in sources], settings))
