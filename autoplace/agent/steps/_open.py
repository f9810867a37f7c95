"""Open a task from DATA and settings, and say what was understood."""

from __future__ import annotations

import numpy as np

from autoplace.agent.steps._progress import Progress
from autoplace.backbones import ResidualChain
from autoplace.data import TaskData
from autoplace.settings import InputSettings, TaskSettings
from autoplace.tracking import Store
from autoplace.training import Task, TaskSource, resolve_device

NAMED = 12  # classes that are named at the start; a dry run lists all
IMBALANCED = 4  # times as many images in one class as in another


def open_task(
    source: str,
    settings: TaskSettings | None = None,
    inputs: InputSettings | None = None,
    progress: Progress | None = None,
    *,
    chain: ResidualChain | None = None,
    measure: bool = False,
    store: Store | None = None,
) -> Task:
    """Load a backbone and the list of a data set's images, and say what was understood.

    Parameters
    ----------
    source : str
        An image folder, a manifest, or `builtin:NAME`.
    settings : TaskSettings, optional
        Backbone, metric and seed; default: the defaults of the commands.
    inputs : InputSettings, optional
        What trials read, and where it is cached.
    progress : Progress, optional
        Receives notes on what was understood: classes with their counts, what was ignored, metric
        and store.
    chain : ResidualChain, optional
        The backbone named in the settings, if it is already loaded for another task.
    measure : bool, default=False
        Whether a built-in task gets its measurement split; for collecting the placement log.
    store : Store, optional
        Where results will be recorded: it is named in a note, and its experiment must not have been
        deleted.

    Returns
    -------
    Task
        Its fingerprint covers data, split, label space, backbone and input size.

    Raises
    ------
    UserError
        The backbone, data set or device cannot be used.

    Examples
    --------
    >>> task = open_task("builtin:digits")
    >>> task.summary.backbone, task.summary.nodes, task.summary.classes
    ('starter', 25, 10)
    """
    settings = settings or TaskSettings()
    progress = progress or Progress()
    resolve_device(settings.device)  # refused before the data is read
    opened = TaskSource(source, settings, inputs or InputSettings(), measure)
    chain = chain or opened.load_chain()
    data = opened.load_data(chain)
    weights = [f"checkpoint: {note}" for note in chain.notes]
    metric = f"metric: {settings.metric}, on validation images"
    for note in [*_counts(data), *data.notes, *_imbalance(data), *weights, metric]:
        progress.note(note)
    if store is not None:
        progress.note(f"store: {store.address}")
        store.require_experiment(store.experiment_name(data.name))
    return opened.open(chain, data, progress.note)


def _counts(data: TaskData) -> list[str]:
    """Name the classes with their images in each split."""
    classes = list(data.class_counts().items())
    listed = ", ".join(
        f"{label} {'/'.join(map(str, counts.values()))}" for label, counts in classes[:NAMED]
    )
    more = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
    images = ", ".join(f"{len(split)} {split.name}" for split in data.splits)
    return [f"{len(classes)} classes, {images} images: {listed}{more} (train/val/test)"]


def _imbalance(data: TaskData) -> list[str]:
    """Say that some classes have many more training images than others."""
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] < IMBALANCED * counts[least]:
        return []
    return [
        f"classes are imbalanced: {counts[most]} training images of '{data.classes[most]}', "
        f"{counts[least]} of '{data.classes[least]}'; consider --metric balanced-accuracy and "
        "--class-weights balanced"
    ]
