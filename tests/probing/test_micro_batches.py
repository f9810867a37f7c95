"""Images of the probe are divided so that its heads see every class."""

from __future__ import annotations

import numpy as np
import pytest

from autoplace.probing import deal


@pytest.mark.parametrize("count", [2, 3, 8, 16])
@pytest.mark.parametrize("per_class", [3, 4])
def test_every_class_of_some_images_is_in_both_folds(count, per_class):
    labels = np.concatenate([np.repeat(np.arange(200), per_class), np.zeros(40, dtype=int)])
    for seed in range(3):
        folds = [np.concatenate(fold) for fold in deal(labels, count, seed)]
        assert sorted(np.concatenate(folds).tolist()) == list(range(len(labels)))
        assert all(set(labels[fold]) == set(range(200)) for fold in folds)
