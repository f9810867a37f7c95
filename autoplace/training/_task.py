"""Task: everything that trials on the same data and backbone share."""

from __future__ import annotations

from functools import cached_property

import torch

from autoplace.backbones import ResidualChain
from autoplace.data import TaskData
from autoplace.model import LinearHead, fit_head
from autoplace.training._cache import ActivationCache


class Task:
    """A backbone on a data set: the chain on its device, activation caches, the first head.

    Parameters
    ----------
    fingerprint
        Names the task: data, split, label space, backbone and input size.
    cache_gb
        Memory for cached activations, in GiB; shared by the splits in proportion to their size.
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
        cache_gb: float,
    ) -> None:
        self.chain = chain.to(device)
        self.data = data
        self.fingerprint = fingerprint
        self.metric = metric
        self.device = device
        self.seed = seed
        splits = {"train": data.train, "val": data.val, "test": data.test}
        images = sum(len(split) for split in splits.values())
        self._caches = {
            name: ActivationCache(chain, split, device, cache_gb * 2**30 * len(split) / images)
            for name, split in splits.items()
        }

    def cache(self, split: str) -> ActivationCache:
        """Activations of `train`, `val` or `test`."""
        return self._caches[split]

    @cached_property
    def first_head(self) -> LinearHead:
        """The cross-validated logistic head on frozen training features, where trials start."""
        train = self.cache("train")
        features = train.features.double().cpu().numpy()
        return fit_head(features, train.labels, len(self.data.classes), self.seed)
