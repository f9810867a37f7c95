"""`autoplace.pick`: find, fine-tune, compare and record the best placement."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autoplace._api._options import options
from autoplace.settings import PickSettings, create_settings

if TYPE_CHECKING:
    from autoplace.agent import PickResult

_PICK = PickSettings()


def pick(
    data: str | Path,
    *,
    backbone: str = _PICK.backbone,
    checkpoint: str | None = _PICK.checkpoint,
    metric: str = _PICK.metric,
    max_bad: float = _PICK.max_bad,
    path_column: str | None = _PICK.path_column,
    label_column: str | None = _PICK.label_column,
    split_column: str | None = _PICK.split_column,
    max_pixels: int = _PICK.max_pixels,
    family: str | None = _PICK.family,
    seed: int = _PICK.seed,
    device: str = _PICK.device,
    probe_images: int | None = _PICK.probe_images,
    probe_batch: int = _PICK.probe_batch,
    probe_micro_batches: int = _PICK.probe_micro_batches,
    sketch: int = _PICK.sketch,
    edges: int | None = _PICK.edges,
    rank: int = _PICK.rank,
    max_params: int | None = _PICK.max_params,
    adapter: str = _PICK.adapter,
    augment: str = _PICK.augment,
    random_erasing: float = _PICK.random_erasing,
    views: int = _PICK.views,
    precision: str = _PICK.precision,
    cache_gb: float = _PICK.cache_gb,
    cache_dir: str | None = _PICK.cache_dir,
    cache_precision: str = _PICK.cache_precision,
    epochs: int = _PICK.epochs,
    batch_size: int = _PICK.batch_size,
    lr: float | None = _PICK.lr,
    weight_decay: float = _PICK.weight_decay,
    class_weights: str = _PICK.class_weights,
    patience: int | None = _PICK.patience,
    parallel_placements: str = _PICK.parallel_placements,
    executor: str = _PICK.executor,
    ray_address: str | None = _PICK.ray_address,
    workers: int | None = _PICK.workers,
    worker_cpus: int | None = _PICK.worker_cpus,
    worker_gpus: float | None = _PICK.worker_gpus,
    predictor: str | None = _PICK.predictor,
    store: str | None = _PICK.store,
    field_size: int = _PICK.field_size,
    top_k: int = _PICK.top_k,
    folds: int | None = _PICK.folds,
    seeds: int = _PICK.seeds,
    refit: bool = _PICK.refit,
    merge: bool = _PICK.merge,
    baselines: str = _PICK.baselines,
    budget: str | None = _PICK.budget,
) -> PickResult:
    """Find, fine-tune, compare and record the best adapter placement for a data set.

    Parameters
    ----------
    data : path or str
        An image folder, a CSV or Parquet table, or `builtin:NAME`.
    **options
        As the flags of `autoplace pick`; `autoplace.settings.PickSettings` describes each.

    Returns
    -------
    PickResult
        Ranking, winner, and test figures with intervals.

    Raises
    ------
    UserError
        What the caller can fix; nothing has been written then.
    predictors.PredictorError
        A predictor that cannot be used.
    autoplace.agent.NothingFinishedError
        No trial finished.

    Examples
    --------
    >>> import autoplace
    >>> result = autoplace.pick(
    ...     "builtin:digits", field_size=2, top_k=1, seeds=1, epochs=1, batch_size=200,
    ...     probe_images=32, max_params=400, lr=0.003
    ... )
    >>> sorted(result.rates)  # so small a budget has no room for LoRA in every block
    ['arc', 'bottleneck', 'head-only']
    >>> model = autoplace.load(result.run_id)
    >>> len(model.classes)
    10
    """
    given = options(locals())
    from autoplace import agent

    return agent.pick(str(data), create_settings(PickSettings, given))
