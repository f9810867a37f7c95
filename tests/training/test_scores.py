"""Metrics from counts per class are scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from autoplace.training import metric_value

THEIRS = {
    "accuracy": accuracy_score,
    "balanced-accuracy": balanced_accuracy_score,
    "macro-f1": lambda labels, guesses: f1_score(labels, guesses, average="macro"),
}
# Of six classes some are held by no row, guessed for none, or neither.
ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30)


@pytest.mark.parametrize("metric", THEIRS)
@given(rows=ROWS)
def test_every_metric_is_the_number_scikit_learn_gives(metric, rows):
    labels, guesses = np.array(rows).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are guessed but not held
        expected = THEIRS[metric](labels, guesses)
    assert metric_value(metric, labels, guesses) == pytest.approx(expected)


def test_an_unknown_metric_is_an_error():
    with pytest.raises(ValueError, match="unknown metric 'auc'"):
        metric_value("auc", np.array([0, 1]), np.array([0, 1]))
