"""Which rows of the training and validation images each trial reads."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from autoplace.data import sample_per_class
from autoplace.training._task import Task
from autoplace.training._trial import Images


@dataclass(frozen=True)
class SplitRows:
    """Rows of `task.data.fit` for training and for validation.

    Attributes
    ----------
    train, val : ndarray (rows,)
        Sorted and disjoint.

    Examples
    --------
    >>> len(SplitRows(np.arange(8), np.arange(8, 10)).val)
    2
    """

    train: np.ndarray
    val: np.ndarray


def count_folds(task: Task) -> int:
    """Return the number of folds of training and validation images: 1 if there can be no more.

    The validation images are the first fold, and the training images are divided into parts of
    about the same size. Where the user supplied the validation images there is one fold, because
    they may differ from the training images on purpose.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> count_folds(open_task("builtin:digits"))
    5
    """
    if not task.data.made_val:
        return 1
    n_train, n_val = len(task.rows("train")), len(task.rows("val"))
    folds = 1 + max(1, round(n_train / n_val))
    groups = task.data.groups
    if groups is not None:
        folds = min(folds, 1 + len(np.unique(groups[task.rows("train")])))
    return folds if folds > 2 else 1  # with one other part, nothing would be left to train on


def split_rows(task: Task, images: Images) -> SplitRows:
    """Return the rows that a trial trains on and those that it validates on.

    Parameters
    ----------
    task : Task
        Its images; groups stay together.
    images : Images
        The task's own split, a fold, all images, or a few of each class.

    Raises
    ------
    ValueError
        There is no such fold.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> task = open_task("builtin:digits")
    >>> rows = split_rows(task, Images("fold", 2))
    >>> len(rows.train), len(rows.val), len(split_rows(task, Images("all")).train)
    (800, 200, 1000)
    """
    if images.name == "all":
        return SplitRows(task.rows("fit"), np.empty(0, dtype=int))
    if images.name == "few":
        rows = task.rows("train")
        few = sample_per_class(task.labels[rows], images.per_class, task.seed + images.draw)
        return SplitRows(rows[few], task.rows("val"))
    if images.name == "split" or images.fold == 1:
        return SplitRows(task.rows("train"), task.rows("val"))
    folds = count_folds(task)
    if not 1 < images.fold <= folds:
        raise ValueError(f"{images} does not exist: there are {folds} folds")
    rows = task.rows("train")
    labels = task.labels[rows]
    groups = None if task.data.groups is None else task.data.groups[rows]
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(folds - 1, shuffle=True, random_state=task.seed)
    with warnings.catch_warnings():
        # A class with fewer images than folds is missing from some of them.
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = [part for _, part in splitter.split(labels, labels, groups)]
    val = np.sort(rows[parts[images.fold - 2]])
    return SplitRows(np.setdiff1d(task.rows("fit"), val), val)
