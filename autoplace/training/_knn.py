"""The baseline without any training: k nearest neighbours on frozen features."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from autoplace.training._deadline import Deadline, DeadlineReachedError

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]

NEIGHBOURS = (1, 3, 5, 10, 20)
TIMED_ROWS = 512  # of which the neighbours are found first, to know how long all take


def knn_logits(
    features: Floats,
    labels: Labels,
    queries: Floats,
    n_classes: int,
    deadline: Deadline | None = None,
) -> tuple[Floats, int]:
    """Classify rows by the classes of their nearest neighbours, by cosine distance.

    The number of neighbours k is the one of 1, 3, 5, 10 and 20 that classifies the given rows
    best when each is left out; the smallest of those that are equally good.

    Parameters
    ----------
    features : ndarray of shape (rows, features)
        Features of the images whose classes are known; at least one row.
    labels : ndarray of shape (rows,)
        Their classes, from 0 to n_classes - 1.
    queries : ndarray of shape (queries, features)
        Features of the images to classify.
    n_classes : int
        Number of classes.
    deadline : Deadline, optional
        By when it must be done.

    Returns
    -------
    logits : ndarray of shape (queries, n_classes)
        Logarithms of the shares of the k votes; one more vote is spread over all classes, so
        that no share is zero. Where classes have equally many votes, the nearer ones decide.
    k : int
        The chosen number of neighbours.

    Raises
    ------
    DeadlineReachedError
        It would take longer than the deadline allows.

    Notes
    -----
    The time to choose k grows with the square of the number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]])
    >>> labels = np.array([0, 0, 1, 1])
    >>> logits, k = knn_logits(features, labels, np.array([[0.2, 5.0]]), n_classes=2)
    >>> k, np.exp(logits).round(2)
    (1, array([[0.75, 0.25]]))
    """
    index = NearestNeighbors(metric="cosine", algorithm="brute").fit(features)
    if deadline is not None:
        started = time.perf_counter()
        timed = index.kneighbors(features[:TIMED_ROWS], n_neighbors=1, return_distance=False)
        per_row = (time.perf_counter() - started) / len(timed)
        if per_row * (len(features) + len(queries)) > deadline.left:
            raise DeadlineReachedError
    others = min(max(NEIGHBOURS), len(labels) - 1)
    k = 1
    if others:
        # Without queries, scikit-learn leaves each row out of its own neighbours.
        neighbours = labels[index.kneighbors(n_neighbors=others, return_distance=False)]
        possible = [k for k in NEIGHBOURS if k <= others]
        guesses = [_shares(neighbours[:, :k], n_classes).argmax(1) for k in possible]
        k = possible[int(np.argmax([(guess == labels).mean() for guess in guesses]))]
    nearest = labels[index.kneighbors(queries, n_neighbors=k, return_distance=False)]
    return np.log(_shares(nearest, n_classes)), k


def _shares(neighbours: Labels, n_classes: int) -> Floats:
    """Smoothed shares of the votes of neighbours (rows, k), nearest first: (rows, n_classes)."""
    k = neighbours.shape[1]
    votes = np.full((len(neighbours), n_classes), 1 / n_classes)
    for place in range(k):
        # The small excess of nearer neighbours only decides between equally many votes.
        votes[np.arange(len(votes)), neighbours[:, place]] += 1 + 1e-6 * (k - place)
    shares: Floats = votes / votes.sum(axis=1, keepdims=True)
    return shares
