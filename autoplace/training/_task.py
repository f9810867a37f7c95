"""Task: everything that trials on the same data and backbone share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch

from autoplace.backbones import ResidualChain
from autoplace.data import Augmentation, TaskData, stratified_sample
from autoplace.model import LinearHead, fit_head
from autoplace.settings import InputSettings
from autoplace.training._cache import ActivationCache
from autoplace.training._deadline import Deadline
from autoplace.training._memory import CacheMemory
from autoplace.training._precision import DTYPES, resolve_precision
from autoplace.training._spill import Spill

if TYPE_CHECKING:
    from autoplace.training._task_source import TaskSource

READ_FIRST = 1024  # images of a split that are decoded before anything is trained
# The first head is fitted on so many images, or on more where there are many classes: a head that
# has seen only a few images of each class, or none of some, is a poor start for trials.
HEAD_IMAGES, HEAD_IMAGES_PER_CLASS = 1024, 16
AT_LEAST = 4  # of each class, as far as it has so many: enough for 3-fold cross-validation


@dataclass(frozen=True)
class TaskSummary:
    """What a result says of its task.

    Attributes
    ----------
    name, fingerprint, family : str
        Of the data set; of the task; the source of the data.
    backbone : str
        Its name.
    nodes, classes : int
        Nodes of the backbone, classes of the data set.
    train, val, test : int
        Images of each split.

    Examples
    --------
    >>> TaskSummary("digits", "0a1b", "digits", "starter", 25, 10, 800, 200, 797).nodes
    25
    """

    name: str
    fingerprint: str
    family: str
    backbone: str
    nodes: int
    classes: int
    train: int
    val: int
    test: int


class Task:
    """A backbone on a data set: the chain on its device, activation caches, first heads.

    Parameters
    ----------
    chain : ResidualChain
        The backbone; moved to the device.
    data : TaskData
        Three splits, and a measurement split for collecting the placement log.
    fingerprint : str
        Names the task: data, split, label space, backbone and input size. It is the column `task`
        of the placement log.
    metric : str
        What validation chooses by.
    device : torch.device
        Where trials run.
    seed : int
        Of first heads and of samples.
    inputs : InputSettings
        What trials read. The splits share the memory for cached activations.
    notify : callable
        Called with sentences that the user should know.
    source : TaskSource, optional
        From what the task was opened, so that worker processes can open the same one.

    Attributes
    ----------
    precision, cache_precision : str
        What trials compute in, where the device supports it, and what activations that are trained
        on or validated with are cached in; those of test are cached in float32.
    augmentation : Augmentation or None
        Of images that are trained on.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> task = open_task("builtin:digits")
    >>> task.summary.train, task.chain.n_nodes
    (800, 25)
    """

    def __init__(
        self,
        chain: ResidualChain,
        data: TaskData,
        *,
        fingerprint: str,
        metric: str,
        device: torch.device,
        seed: int,
        inputs: InputSettings,
        notify: Callable[[str], None],
        source: TaskSource | None = None,
    ) -> None:
        self.source = source
        self.chain = chain.to(device)
        self.data = data
        self.fingerprint = fingerprint
        self.metric = metric
        self.device = device
        self.seed = seed
        self.precision = resolve_precision(inputs.precision, device, notify)
        self.cache_precision = inputs.cache_precision
        plain = inputs.augment == "none" and not inputs.random_erasing
        self.augmentation = (
            None
            if plain
            else Augmentation(
                inputs.augment, inputs.views, seed, inputs.random_erasing, chain.data_config
            )
        )
        self._lock = Lock()
        self._heads: dict[str, LinearHead] = {}
        splits = {"fit": data.fit, "test": data.test}
        if data.measurement is not None:
            splits[data.measurement.name] = data.measurement
        memory = CacheMemory(inputs.cache_gb * 2**30, Spill(inputs.cache_dir, notify))

        def cache(split: str, dtype: str, precision: str, name: str) -> ActivationCache:
            return ActivationCache(
                chain,
                splits[split],
                device,
                memory=memory,
                dtype=DTYPES[dtype],
                precision=precision,
                augmentation=self.augmentation if split == "fit" else None,
                name=name,
            )

        # Test results must be those of the saved model, whose activations are not rounded.
        self._caches = {name: cache(name, "float32", "float32", name) for name in splits}
        self._float32 = self._caches["fit"]
        if self.cache_precision != "float32" or self.precision == "bf16":
            self._caches["fit"] = cache("fit", self.cache_precision, self.precision, "fit, rounded")

    @property
    def summary(self) -> TaskSummary:
        """What a result says of this task."""
        return TaskSummary(
            name=self.data.name,
            fingerprint=self.fingerprint,
            family=self.data.family,
            backbone=self.chain.name,
            nodes=self.chain.n_nodes,
            classes=len(self.data.classes),
            train=len(self.data.train),
            val=len(self.data.val),
            test=len(self.data.test),
        )

    def cache(self, split: str, *, float32: bool = False) -> ActivationCache:
        """Activations of `fit` (the images of train, then those of val), `test`, `measurement`.

        With `float32` they are not rounded, whatever the precision of the task.
        """
        return self._float32 if float32 and split == "fit" else self._caches[split]

    def rows(self, split: str) -> np.ndarray:
        """Return the rows of `train`, `val` or `fit` in the cache `fit`, or of another in its own.

        Examples
        --------
        >>> from autoplace.agent import open_task
        >>> task = open_task("builtin:digits")
        >>> task.rows("train")[[0, -1]], task.rows("val")[[0, -1]]
        (array([  0, 799]), array([800, 999]))
        """
        n_train, n_fit = len(self.data.train), len(self.data.fit)
        within_fit = {"train": (0, n_train), "val": (n_train, n_fit), "fit": (0, n_fit)}
        return np.arange(*within_fit.get(split) or (0, len(self.cache(split))))

    def located(self, split: str) -> tuple[ActivationCache, np.ndarray]:
        """Return the cache that holds a split, and its rows there."""
        return self._caches.get(split, self._caches["fit"]), self.rows(split)

    def readable(self, split: str) -> np.ndarray:
        """Return those rows of a split that were not found unreadable so far."""
        cache, rows = self.located(split)
        return rows[np.isin(rows, cache.readable)]

    @property
    def labels(self) -> np.ndarray:
        """Classes (rows,) of the images of `fit`."""
        return self.data.fit.labels

    def read(self, deadline: Deadline | None = None) -> None:
        """Decode some images of each split, so that much of what is wrong shows early.

        Of train they are the images that the first head is fitted on, of val and test up to 1,024.
        Their features are kept. Nothing of test is scored here.

        Raises
        ------
        DataError
            Too many unreadable images.
        DeadlineReachedError
            The time budget is used up.
        """
        for split in ("train", "val", "test"):
            cache, rows = self.located(split)
            count = self._head_images if split == "train" else READ_FIRST
            cache.features(self._sample(cache.labels, rows, count), deadline)

    def first_head(self, rows: np.ndarray, deadline: Deadline | None = None) -> LinearHead:
        """Fit the head that trials on some images start from; each is fitted once and kept.

        It is a cross-validated logistic head on frozen features of a stratified sample of the rows:
        1,024 images, or 16 per class if that is more.

        Parameters
        ----------
        rows : ndarray (rows,)
            Rows of `fit` that are trained on; the head sees no others.
        deadline : Deadline, optional
            Checked while images are read.

        Examples
        --------
        >>> from autoplace.agent import open_task
        >>> task = open_task("builtin:digits")
        >>> task.first_head(task.rows("train")).weight.shape
        (10, 96)
        """
        rows = np.unique(rows)
        key = hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()
        with self._lock:
            if key not in self._heads:
                features, labels = self.cache("fit").features(self.head_rows(rows), deadline)
                if deadline is not None:
                    deadline.check()  # a fit takes seconds
                n_classes = len(self.data.classes)
                self._heads[key] = fit_head(features.double().numpy(), labels, n_classes, self.seed)
            return self._heads[key]

    def head_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the stratified sample of rows of `fit` that a head is fitted on, sorted."""
        return self._sample(self.labels, rows, self._head_images)

    @property
    def _head_images(self) -> int:
        return max(HEAD_IMAGES, HEAD_IMAGES_PER_CLASS * len(self.data.classes))

    def _sample(self, labels: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
        drawn = stratified_sample(labels[rows], count, self.seed, at_least=AT_LEAST)
        sample: np.ndarray = rows[np.sort(drawn)]
        return sample
