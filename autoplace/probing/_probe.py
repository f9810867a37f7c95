"""The probe: one pass over some training images scores every edge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.data import DataError, ImageSplit, stratified_sample
from autoplace.model import LinearHead, fit_head, frozen_features
from autoplace.probing._measurement import Measurement
from autoplace.probing._micro_batches import deal
from autoplace.probing._tables import ProbeTables, edge_table
from autoplace.settings import ProbeSettings


def run_probe(
    chain: ResidualChain,
    split: ImageSplit,
    n_classes: int,
    settings: ProbeSettings,
    seed: int = 0,
) -> ProbeTables:
    """Score all n² edges with one forward and backward pass, and part of a forward pass for heads.

    Raises DataError where no head can be fitted, for too few images can be read.
    """
    measurement = Measurement(chain, settings.sketch, seed)
    measure_held_out(measurement, split, n_classes, settings, seed)
    task = {
        "n_nodes": chain.n_nodes,
        "dim": chain.dim,
        "tokens": measurement.nodes.tokens,
        "n_classes": n_classes,
        "n_train": len(split),
        "n_probe": measurement.loss.n_rows,
        "head_accuracy": measurement.loss.accuracy,
        "head_loss": measurement.loss.value,
        "chance": float(np.bincount(split.labels).max() / len(split)),
    }
    edges = edge_table(
        measurement.gradients, measurement.loss.n_rows, measurement.sketch, chain.dim, seed
    )
    return ProbeTables(edges, measurement.nodes.table(seed), pd.DataFrame([task]))


def measure_held_out(
    measurement: Measurement,
    split: ImageSplit,
    n_classes: int,
    settings: ProbeSettings,
    seed: int,
) -> None:
    """Measure a sample of the split's images under cross-fitted logistic heads.

    The heads are fitted on one fold of the images, gradients taken on the other: the first fold
    runs forward for its features alone; the second, under the head of the first, yields its own
    features on the way; then the first runs under the head of the second. So no image is judged by
    a head that has seen it, and no graph outlives its `probe_batch` images.

    Raises DataError where no image of a fold can be read.
    """
    rows = stratified_sample(split.labels, settings.probe_images, seed)
    first, second = deal(split.labels[rows], settings.probe_micro_batches, seed)
    chain = measurement.chain
    like = next(chain.parameters())
    # Only these images are needed twice; the others are decoded when their turn comes.
    kept = [list(split.batches(settings.probe_batch, rows[part])) for part in first]
    seen = [
        (frozen_features(chain, chain.embed(batch.images.to(like))), batch.labels)
        for batches in kept
        for batch in batches
    ]
    upcoming = (split.batches(settings.probe_batch, rows[part]) for part in second)
    for fold in (upcoming, kept):
        head = _fit_head(seen, split, n_classes, seed)
        seen = [measurement.add(micro_batch, head) for micro_batch in fold]


def _fit_head(
    seen: Sequence[tuple[Tensor, Tensor]], split: ImageSplit, n_classes: int, seed: int
) -> LinearHead:
    features, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
    if not len(labels):
        raise DataError(
            f"none of the images of {split.name} that were sampled for the probe can be read; "
            "mend or replace them"
        )
    return fit_head(features.double().cpu().numpy(), labels.numpy(), n_classes, seed)
