"""Task: everything that trials on the same data and backbone share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from autoplace.backbones import ResidualChain
from autoplace.data import Augmentation, ImageSplit, TaskData, stratified_sample
from autoplace.model import LinearHead, fit_head
from autoplace.settings import InputSettings
from autoplace.training._cache import ActivationCache
from autoplace.training._deadline import Deadline
from autoplace.training._precision import DTYPES, resolve_precision
from autoplace.training._spill import Spill

READ_FIRST = 1024  # images of a split that are decoded before anything is trained


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
    """A backbone on a data set: the chain on its device, activation caches, the first head.

    Parameters
    ----------
    chain : ResidualChain
        The backbone; moved to the device.
    data : TaskData
        Three splits.
    fingerprint : str
        Names the task: data, split, label space, backbone and input size. It is the column `task`
        of the placement log.
    metric : str
        What validation chooses by.
    device : torch.device
        Where trials run.
    seed : int
        Of the first head and of samples.
    inputs : InputSettings
        What trials read. The splits share the memory for cached activations in proportion to
        their size.
    notify : callable
        Called with sentences that the user should know.

    Attributes
    ----------
    precision, cache_precision : str
        What trials compute in (`bf16` only where the device supports it), and what activations are
        cached in.
    augmentation : Augmentation or None
        Of training images.

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
    ) -> None:
        self.chain = chain.to(device)
        self.data = data
        self.fingerprint = fingerprint
        self.metric = metric
        self.device = device
        self.seed = seed
        self.precision = resolve_precision(inputs.precision, device, notify)
        self.cache_precision = inputs.cache_precision
        self.augmentation = (
            None if inputs.augment == "none" else Augmentation(inputs.augment, inputs.views, seed)
        )
        splits = {"train": data.train, "val": data.val, "test": data.test}
        images = sum(len(split) for split in splits.values())
        spill = Spill(inputs.cache_dir, notify)
        self._caches = {
            name: ActivationCache(
                chain,
                split,
                device,
                limit=inputs.cache_gb * 2**30 * len(split) / images,
                spill=spill,
                dtype=DTYPES[self.cache_precision],
                precision=self.precision,
                augmentation=self.augmentation if name == "train" else None,
            )
            for name, split in splits.items()
        }

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

    def cache(self, split: str) -> ActivationCache:
        """Activations of `train`, `val` or `test`."""
        return self._caches[split]

    def read(self, deadline: Deadline | None = None) -> None:
        """Decode up to 1,024 images of each split, so that much of what is wrong shows early.

        Their features are kept; the first head is fitted on those of the training images. Nothing
        of test is scored here.

        Raises
        ------
        DataError
            Too many unreadable images.
        DeadlineReachedError
            The time budget is used up.
        """
        for split in self.data.splits:
            self.cache(split.name).features(self._first_rows(split), deadline)

    @cached_property
    def first_head(self) -> LinearHead:
        """The cross-validated logistic head on frozen training features, where trials start."""
        features, labels = self.cache("train").features(self._first_rows(self.data.train))
        return fit_head(features.double().numpy(), labels, len(self.data.classes), self.seed)

    def _first_rows(self, split: ImageSplit) -> np.ndarray:
        return np.sort(stratified_sample(split.labels, READ_FIRST, self.seed))
