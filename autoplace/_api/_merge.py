"""`autoplace.merge`: merge the adapters of several runs, and fine-tune them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoplace._api._options import options
from autoplace.settings import MergeSettings, create_settings

if TYPE_CHECKING:
    from autoplace.agent import MergeResult

_MERGE = MergeSettings()


def merge(
    runs: Sequence[str | Path],
    data: str | Path,
    *,
    metric: str = _MERGE.metric,
    max_bad: float = _MERGE.max_bad,
    path_column: str | None = _MERGE.path_column,
    label_column: str | None = _MERGE.label_column,
    split_column: str | None = _MERGE.split_column,
    max_pixels: int = _MERGE.max_pixels,
    family: str | None = _MERGE.family,
    seed: int = _MERGE.seed,
    device: str = _MERGE.device,
    augment: str = _MERGE.augment,
    random_erasing: float = _MERGE.random_erasing,
    views: int = _MERGE.views,
    precision: str = _MERGE.precision,
    cache_gb: float = _MERGE.cache_gb,
    cache_dir: str | None = _MERGE.cache_dir,
    cache_precision: str = _MERGE.cache_precision,
    epochs: int = _MERGE.epochs,
    batch_size: int = _MERGE.batch_size,
    lr: float | None = _MERGE.lr,
    weight_decay: float = _MERGE.weight_decay,
    class_weights: str = _MERGE.class_weights,
    patience: int | None = _MERGE.patience,
    parallel_placements: str = _MERGE.parallel_placements,
    executor: str = _MERGE.executor,
    ray_address: str | None = _MERGE.ray_address,
    workers: int | None = _MERGE.workers,
    worker_cpus: int | None = _MERGE.worker_cpus,
    worker_gpus: float | None = _MERGE.worker_gpus,
    store: str | None = _MERGE.store,
    checkpoint: str | None = _MERGE.checkpoint,
    shots: int = _MERGE.shots,
    method: str = _MERGE.method,
    cost: str = _MERGE.cost,
    solver: str = _MERGE.solver,
    seeds: int = _MERGE.seeds,
) -> MergeResult:
    """Merge the adapters of several runs, fine-tune them on a data set and compare the starts.

    The hidden units of each adapter are matched with those of the first run by optimal transport
    and then averaged, in the style of MerA (arXiv 2308.15982). The merged adapters start a run on
    a few images of each class, with a new head. The adapters of each run, their plain average and
    sum, and new adapters start runs with the same images and epochs, each at its own learning rate.

    Parameters
    ----------
    runs : sequence of str or path
        Two or more MLflow run ids, or winners' folders, of one placement and backbone. Ranks may
        differ; the first run gives them.
    data : path or str
        An image folder, a CSV or Parquet table, or `builtin:NAME`.
    **options
        As the flags of `autoplace merge`; `autoplace.settings.MergeSettings` describes each.

    Returns
    -------
    MergeResult
        Figures of every start on validation and test, and the folder of the merged model.

    Raises
    ------
    UserError
        What the caller can fix, such as runs that cannot be merged.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.merge(["no-such-run", "nor-this"], "builtin:digits")
    Traceback (most recent call last):
    autoplace.tracking...TrackingError: no run 'no-such-run' ...
    """
    given = options(locals())
    from autoplace import agent

    return agent.merge(runs, str(data), create_settings(MergeSettings, given))
