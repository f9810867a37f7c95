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
    fingerprint
        Names the task: data, split, label space, backbone and input size.
    inputs
        What trials read. The memory for cached activations is shared by the splits in proportion
        to their size.
    notify
        Is told what the user should know of how that is done.

    Attributes
    ----------
    precision, cache_precision
        What trials compute in: `float32`, or `bf16` where that was asked for and the device can;
        and what activations are kept in.
    augmentation
        Of training images; None for none.
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

        Their features are kept: a head starts from those of the training images. Of test, nothing
        is scored here. Raises DataError for too many bad images, and DeadlineReachedError.
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
