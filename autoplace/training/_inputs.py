"""What a trial reads each step: cached activations of a split, or its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from autoplace.data import ImageSplit
from autoplace.model import AdaptedModel


class Inputs(Protocol):
    """Rows of a split, ready for a model."""

    labels: Tensor
    """(rows,), on the device."""

    def logits(self, model: AdaptedModel, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (batch, classes) and labels (batch,) of the rows asked for."""


class CachedInputs:
    """Frozen activations at a model's frozen nodes; only the suffix runs.

    frozen: node -> (rows, tokens, dim); labels: (rows,).
    """

    def __init__(self, frozen: Mapping[int, Tensor], labels: Tensor) -> None:
        self.frozen = frozen
        self.labels = labels

    def logits(self, model: AdaptedModel, rows: Tensor) -> tuple[Tensor, Tensor]:
        known = {node: values[rows] for node, values in self.frozen.items()}
        return model.forward_suffix(known), self.labels[rows]


class ImageInputs:
    """Images decoded anew each step, for when the activations do not fit in memory.

    rows: (rows,) indices into the split of its readable images.
    """

    def __init__(self, split: ImageSplit, rows: np.ndarray, device: torch.device) -> None:
        self._split = split
        self._rows = rows
        self.labels = torch.from_numpy(split.labels[rows]).to(device)

    def logits(self, model: AdaptedModel, rows: Tensor) -> tuple[Tensor, Tensor]:
        batch = self._split.load(self._rows[rows.cpu().numpy()])
        return model(batch.images.to(self.labels.device)), batch.labels.to(self.labels.device)
