"""Nearest neighbours: k is chosen on the given rows, and the votes become logits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from autoplace.training._knn import NEIGHBOURS, _shares, knn_logits


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return images[:900], labels[:900], images[900:], labels[900:]


def blobs(rows, spread, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    return np.eye(3)[labels] + rng.normal(0, spread, (rows, 3)), labels


def test_digits_are_classified_well_and_as_scikit_learn_does(digits):
    features, labels, queries, truth = digits
    logits, k = knn_logits(features, labels, queries, 10)
    assert logits.shape == (len(queries), 10)
    assert (logits.argmax(1) == truth).mean() > 0.94
    theirs = KNeighborsClassifier(k, metric="cosine").fit(features, labels).predict_proba(queries)
    votes = softmax(logits, axis=1) * (k + 1) - 0.1
    np.testing.assert_allclose(votes, theirs * k, atol=1e-4)


def test_k_is_the_best_when_each_row_is_left_out(digits):
    features, labels, queries, _ = digits
    features, labels = features[:150], labels[:150]
    correct = {}
    for k in NEIGHBOURS:
        guesses = [
            KNeighborsClassifier(k, metric="cosine")
            .fit(np.delete(features, row, 0), np.delete(labels, row))
            .predict(features[[row]])[0]
            for row in range(len(labels))
        ]
        correct[k] = (np.array(guesses) == labels).sum()
    # With an even k, scikit-learn gives ties to the lower class; they may move a row or two.
    chosen = knn_logits(features, labels, queries, 10)[1]
    assert correct[chosen] >= max(correct.values()) - 1


def test_noisier_rows_get_more_neighbours():
    chosen = [knn_logits(*blobs(300, spread), np.eye(3), 3)[1] for spread in (0.05, 1.0)]
    assert chosen[0] == 1
    assert chosen[1] >= 10


def test_logits_are_finite_log_probabilities_also_of_a_class_without_rows():
    features, labels = blobs(30, 0.3)
    logits, _ = knn_logits(features, labels, features, 5)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(np.exp(logits).sum(1), 1)
    assert set(logits.argmax(1)) <= {0, 1, 2}


def test_the_length_of_a_row_does_not_matter():
    features, labels = blobs(60, 0.3)
    longer = features * np.linspace(0.1, 10, 60)[:, None]
    expected, _ = knn_logits(features, labels, features[::-1], 3)
    np.testing.assert_allclose(knn_logits(longer, labels, features[::-1], 3)[0], expected)


def test_where_votes_are_equal_the_nearer_decide():
    nearest_first = np.array([[2, 1, 2, 1], [1, 2, 1, 2], [0, 1, 2, 1]])
    assert list(_shares(nearest_first, 3).argmax(1)) == [2, 1, 1]


@pytest.mark.parametrize("rows", [1, 2, 3, 6])
def test_few_rows_are_enough(rows):
    features, labels = blobs(rows, 0.01)
    logits, k = knn_logits(features, labels, features, 3)
    assert k <= rows
    assert logits.shape == (rows, 3)
