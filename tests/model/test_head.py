"""Heads from very little data."""

from __future__ import annotations

import numpy as np
import pytest

from autoplace.model import fit_head


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 1, 1], [0, 1, 2], [0, 1, 2, 3, 4]])
def test_a_head_is_fitted_however_few_the_rows(labels):
    labels = np.array(labels)
    features = np.random.default_rng(0).normal(size=(len(labels), 6))
    head = fit_head(features, labels, 5, seed=0)
    assert head.logits(features).shape == (len(labels), 5)
    assert np.isfinite(head.logits(features)).all()


def test_a_class_without_rows_is_never_the_guess():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    features = rng.normal(size=(40, 4)) + labels[:, None]
    guesses = fit_head(features, labels, 3, seed=0).logits(features).argmax(1)
    assert set(guesses) <= {0, 1}
    assert (guesses == labels).mean() > 0.7
