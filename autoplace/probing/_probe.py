"""Running the probe: one pass over some training images scores every edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from autoplace.backbones import ResidualChain
from autoplace.data import Batch, DataError, ImageSplit, stratified_sample
from autoplace.model import LinearHead, fit_head, frozen_features
from autoplace.probing._measurement import Measurement
from autoplace.probing._micro_batches import deal
from autoplace.probing._tables import ProbeTables, edge_table
from autoplace.settings import PROBE_IMAGES_PER_CLASS, ProbeSettings


def run_probe(
    chain: ResidualChain,
    split: ImageSplit,
    n_classes: int,
    settings: ProbeSettings,
    seed: int = 0,
    check: Callable[[], None] = lambda: None,
) -> ProbeTables:
    """Score all n² edges of a backbone, and the maps inside its sub-layers, on training images.

    This takes one forward and one backward pass, and a second forward pass over the images of
    one fold for fitting heads.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    split : ImageSplit
        Training images.
    n_classes : int
        Number of classes.
    settings : ProbeSettings
        Number of images, batch size, micro-batches and sketch.
    seed : int, default=0
        Seed of the sample, the micro-batches, the heads' folds and the sketch.

    check : callable, optional
        Called before each micro-batch; what it raises ends the probe, e.g. when time is up.

    Returns
    -------
    ProbeTables
        Tables of edges, nodes, task and sites.

    Raises
    ------
    DataError
        If too few images can be read to fit a head.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.data import create_transform, load_data
    >>> from autoplace.settings import ProbeSettings
    >>> chain = create_chain("fashion-vit8")
    >>> digits = load_data("builtin:digits", transform=create_transform(chain.data_config))
    >>> settings = ProbeSettings(probe_images=8, probe_micro_batches=2, sketch=16)
    >>> tables = run_probe(chain, digits.train, n_classes=10, settings=settings)
    >>> len(tables.edges), len(tables.nodes), len(tables.task), len(tables.sites)
    (289, 17, 1, 64)
    """
    measurement = Measurement(chain, settings.sketch, seed)
    measure_held_out(measurement, split, n_classes, settings, seed, check)
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
    return ProbeTables(
        edges,
        measurement.nodes.table(seed),
        pd.DataFrame([task]),
        measurement.sites.table(measurement.loss.n_rows),
    )


def measure_held_out(
    measurement: Measurement,
    split: ImageSplit,
    n_classes: int,
    settings: ProbeSettings,
    seed: int,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Measure a sample of images with cross-fitted logistic heads.

    A head is fitted on one fold of the images and gradients are computed on the other. First the
    features of the first fold are computed and a head is fitted on them. The second fold is
    measured with that head, which also gives its features. Then the first fold is measured with
    a head fitted on the second. So no image is scored with a head that was fitted on it, and an
    autograd graph never covers more than `probe_batch` images.

    Parameters
    ----------
    measurement : Measurement
        Receives the results.
    split : ImageSplit
        Images to sample from.
    n_classes : int
        Number of classes.
    settings : ProbeSettings
        Number of images, batch size and micro-batches.
    seed : int
        Seed of the sample, the micro-batches and the heads' folds.
    check : callable, optional
        Called before each batch and each fit.

    Raises
    ------
    DataError
        If no image of a fold can be read.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.data import create_transform, load_data
    >>> from autoplace.settings import ProbeSettings
    >>> chain = create_chain("fashion-vit8")
    >>> digits = load_data("builtin:digits", transform=create_transform(chain.data_config))
    >>> settings = ProbeSettings(probe_images=8, probe_micro_batches=2)
    >>> measurement = Measurement(chain, width=16, seed=0)
    >>> measure_held_out(measurement, digits.train, 10, settings, seed=0)
    >>> measurement.loss.n_rows
    8
    """
    count = settings.images_for(n_classes)
    rows = stratified_sample(split.labels, count, seed, at_least=PROBE_IMAGES_PER_CLASS)
    first, second = deal(split.labels[rows], settings.probe_micro_batches, seed)
    chain = measurement.chain
    like = next(chain.parameters())
    # Only these images are needed twice; the others are decoded when they are used.
    kept: list[list[Batch]] = []
    fitted_on = []
    for part in first:
        kept.append(list(split.batches(settings.probe_batch, rows[part])))
        for batch in kept[-1]:
            check()
            features = frozen_features(chain, chain.embed(batch.images.to(like)))
            fitted_on.append((features, batch.labels))
    upcoming = (split.batches(settings.probe_batch, rows[part]) for part in second)
    for fold in (upcoming, kept):
        check()
        head = _fit_head(fitted_on, split, n_classes, seed)
        fitted_on = []
        for micro_batch in fold:
            check()
            fitted_on.append(measurement.add(micro_batch, head))


def _fit_head(
    fitted_on: Sequence[tuple[Tensor, Tensor]], split: ImageSplit, n_classes: int, seed: int
) -> LinearHead:
    features, labels = (torch.cat(parts) for parts in zip(*fitted_on, strict=True))
    if not len(labels):
        raise DataError(
            f"none of the images of {split.name} that were sampled for the probe can be read; "
            "repair or replace them"
        )
    return fit_head(features.double().cpu().numpy(), labels.numpy(), n_classes, seed)
