"""Training sets are united trial by trial: nothing is lost, nothing counts twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors import TrainingSet, build_training_set


def one_row(data: TrainingSet, gains: dict[str, float]) -> TrainingSet:
    """The first row of `data` with these trials."""
    first = data.select(np.arange(len(data)) == 0)
    held = np.empty(1, dtype=object)
    held[0] = gains
    return TrainingSet(first.X, held, first.groups, first.families)


@given(st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=4))
def test_a_union_averages_every_trial_once_however_often_it_is_read(data, trials) -> None:
    parts = [one_row(data, {str(trial): trial / 7 for trial in each}) for each in trials]
    union = parts[0]
    for part in [*parts, *parts]:
        union = union.union(part)
    every = set().union(*trials)
    assert len(union) == 1
    assert union.counts.tolist() == [len(every)]
    assert union.y[0] == pytest.approx(np.mean([trial / 7 for trial in every]))


def test_a_corrected_outcome_replaces_the_old_one(data) -> None:
    union = one_row(data, {"a": 0.1, "b": 0.2}).union(one_row(data, {"a": 0.4}))
    assert union.y.tolist() == pytest.approx([0.3]) and union.counts.tolist() == [2]


def test_gains_are_those_of_the_measurement_split_where_a_trial_was_measured(
    make_log, features, data
) -> None:
    log = make_log()
    log.loc[::2, "measured_metric"] = log["val_metric"] + 0.01
    log.loc[::2, "head_only_measured_metric"] = log["head_only_val_metric"] - 0.02
    log.loc[1, "measured_metric"] = 0.9  # without that of head-only
    measured = build_training_set(log, features)
    differences = dict(zip(measured._keys(), measured.y - data.y, strict=True))
    keys = zip(log["task"] + ":accuracy:4:found-rate", log["placement"], strict=True)
    expected = {key: 0.03 * (number % 2 == 0) for number, key in enumerate(keys)}
    assert differences == pytest.approx(expected)


def test_trials_at_rates_from_a_table_teach_nothing_once_there_are_fair_ones(
    make_log, features, data
) -> None:
    log = make_log().assign(trial_id=lambda log: "old-" + log["trial_id"], protocol="table-rate")
    old = build_training_set(log, features)
    assert old.fair() is old and data.fair().groups.tolist() == data.groups.tolist()
    both = old.union(data)
    assert len(both) == 2 * len(data)
    fair = both.fair()
    assert sorted(fair._keys()) == sorted(data._keys()) and set(fair.protocols) == {"found-rate"}
    one_family = old.union(data.select(data.families == data.families[0]))
    assert one_family.fair() is one_family


def test_a_mean_of_unknown_trials_counts_once_and_gives_way_to_known_ones(data) -> None:
    first = data.select(np.arange(len(data)) == 0)
    old = TrainingSet.of_gains(first.X, np.array([0.1]), first.groups, first.families)
    assert old.union(old).counts.tolist() == [1]
    union = old.union(one_row(data, {"a": 0.2, "b": 0.3}))
    assert union.y.tolist() == pytest.approx([0.25]) and union.counts.tolist() == [2]
    assert union.union(old).counts.tolist() == [2]


def test_retraining_on_the_same_records_again_changes_nothing(make_log, features, data) -> None:
    log = make_log()
    more = log.iloc[:40].assign(
        trial_id=lambda log: "more-" + log["trial_id"], seed=1, val_metric=log["val_metric"] + 0.02
    )
    store = build_training_set(pd.concat([log, more], ignore_index=True), features)
    retrained = data.union(store)
    assert retrained.counts.sum() == len(log) + 40
    assert np.abs(retrained.y - data.y).max() == pytest.approx(0.01)
    again = TrainingSet.from_frame(retrained.to_frame()).union(store)
    pd.testing.assert_frame_equal(again.to_frame(), retrained.to_frame())


def test_rows_that_only_one_side_has_are_all_there(data) -> None:
    even = np.arange(len(data)) % 2 == 0
    half, rest = data.select(even), data.select(~even)
    assert len(half.union(data)) == len(data.union(data)) == len(half.union(rest)) == len(data)
    assert half.union(rest).y.sum() == pytest.approx(data.y.sum())
    assert half.union(half.select(np.zeros(len(half), dtype=bool))).y.tolist() == half.y.tolist()


def test_a_task_has_the_family_that_the_newer_set_says(data) -> None:
    task = data.groups == data.groups[0]
    newer = data.select(task & (np.cumsum(task) <= 3))
    longer = np.array([f"{group}:crop" for group in newer.groups], dtype=object)
    renamed = TrainingSet(newer.X, newer.gains, longer, np.full(len(newer), "mine", dtype=object))
    union = data.union(renamed)
    assert len(union) == len(data) + 3
    assert set(union.families[: len(data)][task]) == {"mine"} == set(union.families[len(data) :])
    assert (union.families[: len(data)][~task] == data.families[~task]).all()


def test_the_mean_does_not_depend_on_the_order_of_trials(data) -> None:
    gains = {str(number): float(gain) for number, gain in enumerate(data.y[:40])}
    turned = dict(reversed(list(gains.items())))
    assert one_row(data, gains).y[0] == one_row(data, turned).y[0]
