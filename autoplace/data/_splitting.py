"""Stratified, seeded splitting that keeps groups together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from autoplace.data._errors import DataError

HELD_OUT_FRACTION = (
    0.2  # of the images at hand, for each of val and test: 60/20/20 of a flat folder
)


def carve(
    labels: Sequence[str],
    missing: Sequence[str],
    *,
    seed: int,
    groups: Sequence[str] | None = None,
) -> list[str]:
    """Name a split for every image: each split in `missing` gets a fifth, "train" the rest.

    The result depends on the order of the images, which is to be sorted by the caller, and the seed
    alone. Every class of three images or more reaches every split, unless groups stand against it.
    Raises DataError when there are too few groups.
    """
    if groups is None:
        return _carve_images(np.asarray(labels), missing, seed)
    return _carve_groups(np.asarray(labels), missing, seed, np.asarray(groups))


def _carve_images(labels: np.ndarray, missing: Sequence[str], seed: int) -> list[str]:
    # Not scikit-learn's train_test_split: it may leave a small class out of a split altogether,
    # and refuses when a split has fewer images than there are classes.
    rng = np.random.default_rng(seed)
    splits = np.full(len(labels), "train", dtype=object)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fifth = max(1, round(HELD_OUT_FRACTION * len(members)))
        size = min(fifth, (len(members) - 1) // len(missing))
        for part, split in enumerate(missing):
            splits[members[part * size : (part + 1) * size]] = split
    return list(splits)


def _carve_groups(
    labels: np.ndarray, missing: Sequence[str], seed: int, groups: np.ndarray
) -> list[str]:
    n_groups = len(np.unique(groups))
    if n_groups <= len(missing):
        raise DataError(
            f"{n_groups} groups are too few to set {' and '.join(missing)} aside from train; "
            "give a split column, or finer groups"
        )
    counts = np.unique(labels, return_counts=True)[1]
    # One fold for each missing split and at least one for train; not more than a class has images.
    n_folds = min(round(1 / HELD_OUT_FRACTION), n_groups, max(counts.min(), len(missing) + 1))
    if counts.max() < n_folds:
        raise DataError(
            f"no class of train has the {n_folds} images it takes to set "
            f"{' and '.join(missing)} aside; add images or give a split column"
        )
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    splits = np.full(len(labels), "train", dtype=object)
    with warnings.catch_warnings():
        # That a rare class cannot be in every fold is told in a note on the finished splits.
        warnings.filterwarnings("ignore", message="The least populated class")
        held_out = [index for _, index in folds.split(labels, labels, groups)]
    for split, index in zip(missing, held_out, strict=False):
        splits[index] = split
    return list(splits)
