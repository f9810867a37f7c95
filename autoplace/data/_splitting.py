"""Stratified, seeded splits that keep groups together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from autoplace.data._errors import DataError

# Share of the images for each of val and test: a folder without splits is divided 60/20/20.
HELD_OUT_FRACTION = 0.2


def carve(
    labels: Sequence[str],
    missing: Sequence[str],
    *,
    seed: int,
    groups: Sequence[str] | None = None,
) -> list[str]:
    """Choose a split for every image: a fifth for each missing split, the rest for "train".

    The result depends only on the seed and on the order of the images, which the caller sorts.
    Every class with three or more images is in every split, unless groups prevent it.

    Parameters
    ----------
    labels : sequence of str
        Class of each image.
    missing : sequence of str
        Splits to set aside: "val", "test" or both.
    seed : int
        Seed of the choice.
    groups : sequence of str or None, default=None
        Group of each image; images of one group get the same split.

    Returns
    -------
    list of str
        Split of each image.

    Raises
    ------
    DataError
        If there are too few groups, or no class has enough images to divide them.
    """
    if groups is None:
        return _carve_images(np.asarray(labels), missing, seed)
    return _carve_groups(np.asarray(labels), missing, seed, np.asarray(groups))


def _carve_images(labels: np.ndarray, missing: Sequence[str], seed: int) -> list[str]:
    # Not scikit-learn's train_test_split: it may leave a small class out of a split, and fails when
    # a split has fewer images than there are classes.
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
            f"{n_groups} groups are too few to take {' and '.join(missing)} from train; "
            "add a split column or make groups smaller"
        )
    counts = np.unique(labels, return_counts=True)[1]
    # One fold for each missing split and at least one for train, but no more than the smallest
    # class has images.
    n_folds = min(round(1 / HELD_OUT_FRACTION), n_groups, max(counts.min(), len(missing) + 1))
    if counts.max() < n_folds:
        raise DataError(
            f"no class in train has the {n_folds} images needed to take "
            f"{' and '.join(missing)} from it; add images or a split column"
        )
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    splits = np.full(len(labels), "train", dtype=object)
    with warnings.catch_warnings():
        # A later note says which classes are not in all splits.
        warnings.filterwarnings("ignore", message="The least populated class")
        held_out = [index for _, index in folds.split(labels, labels, groups)]
    for split, index in zip(missing, held_out, strict=False):
        splits[index] = split
    return list(splits)
