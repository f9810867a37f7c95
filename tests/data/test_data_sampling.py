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


def test_rare_classes_are_drawn_as_often_as_the_sample_allows():
    rare = 3
    labels = np.repeat(np.arange(50), [500] + [rare] * 49)
    drawn = np.bincount(labels[stratified_sample(labels, 200, seed=0, at_least=4)], minlength=50)
    assert drawn[1:].tolist() == [rare] * 49
    few = np.bincount(labels[stratified_sample(labels, 60, seed=0, at_least=4)], minlength=50)
    assert few.min() == 1


def test_a_floor_that_is_met_anyway_changes_nothing():
    labels = np.random.default_rng(0).integers(10, size=800)
    plain = stratified_sample(labels, 256, seed=3)
    assert plain.tolist() == stratified_sample(labels, 256, seed=3, at_least=4).tolist()
