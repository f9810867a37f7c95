"""Samples keep classes in proportion and repeat with their seed."""

from __future__ import annotations

import numpy as np

from autoplace.data import stratified_sample


def test_a_sample_is_stratified_and_seeded():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    rows = stratified_sample(labels, 100, seed=0)
    assert len(set(rows.tolist())) == 100
    assert np.abs(np.bincount(labels[rows]) - [60, 30, 10]).max() <= 1
    assert np.array_equal(rows, stratified_sample(labels, 100, seed=0))
    assert not np.array_equal(rows, stratified_sample(labels, 100, seed=1))
    assert sorted(stratified_sample(labels, 5000, seed=0)) == list(range(1000))
