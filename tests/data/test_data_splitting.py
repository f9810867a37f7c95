"""Properties of every split that is carved from train."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoplace.data import DataError
from autoplace.data._splitting import HELD_OUT_FRACTION, carve

labels = st.dictionaries(
    st.sampled_from("abcdefgh"), st.integers(min_value=1, max_value=40), min_size=2
).map(lambda counts: sorted(label for label, n in counts.items() for _ in range(n)))
missing = st.sampled_from([("val",), ("test",), ("val", "test")])
seeds = st.integers(min_value=0, max_value=2**32 - 1)


@given(labels, missing, seeds)
def test_every_image_gets_one_split_and_the_same_for_the_same_seed(labels, missing, seed):
    splits = carve(labels, missing, seed=seed)
    assert len(splits) == len(labels)
    assert set(splits) <= {"train", *missing}
    assert splits == carve(labels, missing, seed=seed)


@given(labels, missing, seeds)
def test_every_class_is_divided_in_the_same_proportion(labels, missing, seed):
    counts = Counter(zip(labels, carve(labels, missing, seed=seed), strict=True))
    for label, n_images in Counter(labels).items():
        assert counts[label, "train"] >= 1
        for split in missing:
            assert counts[label, split] <= max(1, HELD_OUT_FRACTION * n_images + 0.5)
            if n_images > len(missing):
                assert counts[label, split] >= max(1, HELD_OUT_FRACTION * n_images - 0.5)


@settings(deadline=None, max_examples=60)
@given(labels, missing, seeds, st.data())
def test_no_group_is_divided(labels, missing, seed, data):
    names = st.lists(st.sampled_from("pqrstuvwxyz"), min_size=len(labels), max_size=len(labels))
    groups = data.draw(names)
    try:
        splits = carve(labels, missing, seed=seed, groups=groups)
    except DataError:
        assert len(set(groups)) <= len(missing) or max(Counter(labels).values()) < 3
        return
    splits_of = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        splits_of[group].add(split)
    assert all(len(found) == 1 for found in splits_of.values())
    assert splits == carve(labels, missing, seed=seed, groups=groups)


def test_train_without_enough_images_for_the_groups():
    with pytest.raises(DataError, match="no class in train has the 3 images"):
        carve(list("aabb"), ("val", "test"), seed=0, groups=list("pqrs"))
