"""Give each task one family, and data sets that share images the same family."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..vocabulary import FamilySource

SHARED_IMAGES = 3


def settle_families(log: pd.DataFrame) -> pd.DataFrame:
    """Give every task one family, and one family to tasks that share images.

    Parameters
    ----------
    log : DataFrame (rows, columns)
        Columns of `LOG_COLUMNS`; rows in order of time, the oldest first.

    Returns
    -------
    DataFrame (rows, columns)
        The log with `family` replaced where needed. Rows without task or family do not change.

    Notes
    -----
    The family of a task is that of its most recent row with a family given by the user. If there is
    no such row, the most recent row decides.

    Two families are then merged if two of their tasks have at least 3 sampled images in common, or
    the same sample. Unrelated sources may share a few images: a blank page, a black frame, a "no
    image" placeholder. A sample counts each distinct image once, so these are only one or two,
    while copies or parts of a data set have many images in common. Tasks without a sample (built-in
    tasks, and those recorded before samples were taken) are merged if their data sets have the same
    name, which does not depend on the backbone. A merged family has the name that a user gave last,
    or else the first name in alphabetical order.

    Settling families again does not change the result.

    Examples
    --------
    >>> import predictors
    >>> rows = [
    ...     {"task": "a", "family": "images", "family_source": "default"},
    ...     {"task": "a", "family": "leaves", "family_source": "given"},
    ...     {"task": "a", "family": "images", "family_source": "default"},
    ... ]
    >>> list(predictors.settle_families(predictors.log_table(rows))["family"])
    ['leaves', 'leaves', 'leaves']
    """
    known = _is_given(log["task"]) & _is_given(log["family"])
    rows = log.loc[known, ["task", "task_name", "family", "family_source", "image_digests"]]
    if rows.empty:
        return log
    rows = rows.reset_index(drop=True)
    given = rows[rows["family_source"] == FamilySource.GIVEN]
    decisive = pd.concat([rows, given]).groupby("task")["family"].last()
    names = _united(
        decisive, _digests_by_task(rows), rows.groupby("task")["task_name"].last(), given
    )
    return log.assign(family=log["family"].where(~known, log["task"].map(names)))


def _united(
    families: pd.Series[Any],
    digests: pd.Series[Any],
    data_sets: pd.Series[Any],
    given: pd.DataFrame,
) -> dict[str, str]:
    """Return the name of each task's merged family.

    families, digests, data_sets: family, set of digests and name of the data set of each task, in
    the same order; given: rows of families given by the user, oldest first.
    """
    same_family = _incidence(families.map(lambda family: {family}))
    unsampled = [
        {name} if not own and pd.notna(name) else set()
        for name, own in zip(data_sets.reindex(digests.index), digests, strict=True)
    ]
    same_name = _incidence(pd.Series(unsampled, index=digests.index))
    links = same_family @ same_family.T + _sharing(digests) + same_name @ same_name.T
    labels = connected_components(links, directed=False, return_labels=True)[1]
    # When each task's family was given, as a position in time; -1 for tasks without one.
    time = pd.Series(given.index, index=given["task"]).groupby(level=0).max()
    table = pd.DataFrame({"family": families, "label": labels})
    table["time"] = time.reindex(table.index).fillna(-1)
    first = table.sort_values(["time", "family"], ascending=[False, True]).groupby("label").first()
    return dict(zip(table.index, table["label"].map(first["family"]), strict=True))


def _digests_by_task(rows: pd.DataFrame) -> pd.Series[Any]:
    """Collect the image digests of each task, over all its rows; index: tasks, sorted."""
    texts = rows.groupby("task")["image_digests"].unique()
    return texts.map(lambda own: {word for text in own if pd.notna(text) for word in text.split()})


def _sharing(digests: pd.Series[Any]) -> sparse.csr_array:
    """Return which tasks share enough images, (tasks, tasks)."""
    incidence = _incidence(digests)
    common = (incidence @ incidence.T).tocoo()
    sizes = digests.map(len).to_numpy()
    larger = np.maximum(sizes[common.row], sizes[common.col])
    enough = (common.data >= SHARED_IMAGES) | (common.data == larger)
    data = enough.astype(np.int64)
    return sparse.csr_array((data, (common.row, common.col)), shape=common.shape)


def _incidence(sets: pd.Series[Any]) -> sparse.csr_array:
    """Return which task has which word, (tasks, words), from the set of words of each task."""
    rows = np.repeat(np.arange(len(sets)), sets.map(len).to_numpy(dtype=int))
    words = [word for held in sets for word in held]
    columns: npt.NDArray[np.int64] = pd.factorize(np.array(words, dtype=object))[0]
    shape = (len(sets), int(columns.max(initial=-1)) + 1)
    return sparse.csr_array((np.ones(len(words), dtype=np.int64), (rows, columns)), shape=shape)


def _is_given(values: pd.Series[Any]) -> pd.Series[bool]:
    return values.notna() & (values.astype(str).str.strip() != "")
