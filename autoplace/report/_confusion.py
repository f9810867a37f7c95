"""Figure of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

WRITTEN = 20  # with more classes, numbers in the cells would be too small to read
LONGEST = 24  # characters of a class name


def confusion_matrix(matrix: np.ndarray, classes: Sequence[str], top: int = 30) -> Figure:
    """Draw a confusion matrix, coloured by the share of each true class.

    Parameters
    ----------
    matrix : ndarray (classes, classes) of int
        Counts: true classes down, predicted classes across.
    classes : sequence of str
        Names of the classes.
    top : int, default=30
        Most classes to draw. If there are more, the pairs of classes that are confused most often
        are drawn, in the order of `classes`.

    Returns
    -------
    Figure
        A matplotlib figure; save it with `savefig`.

    Examples
    --------
    >>> import numpy as np
    >>> figure = confusion_matrix(np.array([[8, 2], [1, 9]]), ["cat", "dog"])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['cat', 'dog']
    """
    shown = _most_confused(matrix, top)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    counts, shares = (each[np.ix_(shown, shown)] for each in (matrix, shares))
    names = [_shortened(classes[index]) for index in shown]
    side = max(4.0, 2.4 + 0.3 * len(shown))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="predicted class", ylabel="true class", title=_title(matrix, len(shown)))
    for row, column in np.argwhere(counts) if len(shown) <= WRITTEN else ():
        axis.text(
            column, row, str(counts[row, column]), ha="center", va="center", fontsize=7,
            color="white" if shares[row, column] > 0.5 else "black",
        )  # fmt: skip
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class")
    return figure


def _most_confused(matrix: np.ndarray, top: int) -> np.ndarray:
    """Return the indices of at most `top` classes, in order: those of the most confused pairs."""
    if len(matrix) <= top:
        return np.arange(len(matrix))
    errors = np.triu(matrix + matrix.T, k=1)
    order = np.argsort(-errors, axis=None, kind="stable")
    pairs = np.column_stack(np.unravel_index(order, errors.shape))
    return np.sort(list(dict.fromkeys(pairs.ravel().tolist()))[:top])


def _title(matrix: np.ndarray, shown: int) -> str:
    if shown == len(matrix):
        return "Confusion matrix"
    return f"Confusion matrix: the {shown} most confused of {len(matrix)} classes"


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
