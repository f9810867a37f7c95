"""The functions of the front door: the commands, with the options as keyword arguments.

The defaults are those of `autoplace.settings`, where the help of every option stands. Nothing heavy
is imported before one of these functions is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoplace.settings import (
    CollectSettings,
    PickSettings,
    ProbeCommandSettings,
    StoreSettings,
    create_settings,
)

if TYPE_CHECKING:
    import pandas as pd

    from autoplace.agent import PickResult, ProbeResult, RetrainResult
    from autoplace.model import AdaptedModel

_PICK = PickSettings()
_PROBE = ProbeCommandSettings()
_COLLECT = CollectSettings()


def pick(
    data: str | Path,
    *,
    backbone: str = _PICK.backbone,
    checkpoint: str | None = _PICK.checkpoint,
    metric: str = _PICK.metric,
    max_bad: float = _PICK.max_bad,
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
    predictor: str | None = _PICK.predictor,
    store: str | None = _PICK.store,
    top_k: int = _PICK.top_k,
    budget: str | None = _PICK.budget,
) -> PickResult:
    """Find, fine-tune, compare and record the best adapter placement for a data set.

    Parameters
    ----------
    data : path or str
        An image folder, a CSV or Parquet manifest, or `builtin:NAME`.
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
    ...     "builtin:digits", top_k=1, epochs=1, batch_size=200, probe_images=32, max_params=400
    ... )
    >>> sorted(result.tested)  # so small a budget has no room for an adapter in every block
    ['head-only', 'winner']
    >>> model = autoplace.load(result.run_id)
    >>> len(model.classes)
    10
    """
    options = _options(locals())
    from autoplace import agent

    return agent.pick(str(data), create_settings(PickSettings, options))


def probe(
    data: str | Path,
    *,
    backbone: str = _PROBE.backbone,
    checkpoint: str | None = _PROBE.checkpoint,
    metric: str = _PROBE.metric,
    max_bad: float = _PROBE.max_bad,
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
        An image folder, a CSV or Parquet manifest, or `builtin:NAME`.
    **options
        As the flags of `autoplace probe`; `autoplace.settings.ProbeCommandSettings` describes each.

    Returns
    -------
    ProbeResult
        Tables of edges, nodes and task, with the gain predicted for each edge.

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
    options = _options(locals())
    from autoplace import agent

    return agent.probe(str(data), create_settings(ProbeCommandSettings, options))


def collect(
    data: str | Path | Sequence[str | Path],
    *,
    backbone: str = _COLLECT.backbone,
    checkpoint: str | None = _COLLECT.checkpoint,
    metric: str = _COLLECT.metric,
    max_bad: float = _COLLECT.max_bad,
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
    store: str | None = _COLLECT.store,
    placements: int = _COLLECT.placements,
    placements_file: str | None = _COLLECT.placements_file,
    parallel_placements: str = _COLLECT.parallel_placements,
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
    ...     "builtin:digits", placements=1, epochs=1, batch_size=200, probe_images=32
    ... )
    >>> log[["placement", "status"]].to_numpy()[0].tolist()
    ['head-only', 'done']
    """
    options = _options(locals())
    from autoplace import agent
    from predictors import log_table

    sources = [data] if isinstance(data, str | Path) else data
    settings = create_settings(CollectSettings, options)
    return log_table(agent.collect([str(source) for source in sources], settings))


def retrain(*, store: str | None = None) -> RetrainResult:
    """Train the next predictor on all records of a store; promote it if it is better.

    Parameters
    ----------
    store : str, optional
        MLflow tracking URI; default: as for the commands.

    Returns
    -------
    RetrainResult
        What was learnt from, and how present predictor and challenger compare.

    Raises
    ------
    UserError
        The records hold nothing new.
    predictors.PredictorError
        Too few families to judge by.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.retrain()
    Traceback (most recent call last):
    autoplace.errors.UserError: ...
    """
    from autoplace import agent

    return agent.retrain(StoreSettings(store=store))


def predict(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    store: str | None = None,
    checkpoint: str | Path | None = None,
) -> pd.DataFrame:
    """Classify image files with the winner of a pick.

    Parameters
    ----------
    run : str or path
        An MLflow run id, or a winner's folder.
    images : path or sequence of paths
        Image files.
    store : str, optional
        MLflow tracking URI; default: as for the commands.
    checkpoint : path, optional
        Where the backbone's weights are now, if they have moved.

    Returns
    -------
    DataFrame (images, 3)
        `path`, `predicted` class and its `probability`.

    Raises
    ------
    UserError
        An unknown run, or an image that cannot be read.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.predict("no-such-run", "photo.jpg")
    Traceback (most recent call last):
    autoplace.tracking...TrackingError: no run 'no-such-run' ...
    """
    import pandas as pd

    from autoplace import agent

    files = [images] if isinstance(images, str | Path) else images
    found = [vars(each) for each in agent.predict(run, files, store=store, checkpoint=checkpoint)]
    return pd.DataFrame(found, columns=["path", "predicted", "probability"])


def load(
    run: str | Path, *, store: str | None = None, checkpoint: str | Path | None = None
) -> AdaptedModel:
    """Load the winner of a pick as an `nn.Module`, in evaluation mode on the CPU.

    Its `transform` turns an RGB PIL image into a tensor (3, height, width); its `classes` name the
    logits.

    Parameters
    ----------
    run : str or path
        An MLflow run id, or a winner's folder.
    store : str, optional
        MLflow tracking URI; default: as for the commands.
    checkpoint : path, optional
        Where the backbone's weights are now, if they have moved.

    Returns
    -------
    AdaptedModel
        Backbone, adapters and head.

    Raises
    ------
    UserError
        An unknown run, an incomplete folder, or other backbone weights.

    Examples
    --------
    >>> import autoplace
    >>> autoplace.load("no-such-run")
    Traceback (most recent call last):
    autoplace.tracking...TrackingError: no run 'no-such-run' ...
    """
    from autoplace import agent

    return agent.load(run, store=store, checkpoint=checkpoint)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options among a function's `locals()`, which it must take before all else."""
    return {name: value for name, value in given.items() if name != "data"}
