"""Evaluation leaves whole families out and never reads test."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors import (
    Predictor,
    PredictorError,
    build_training_set,
    create_predictor,
    evaluate,
    list_predictors,
    regret,
    score_tasks,
    spearman,
)

TEST_COLUMNS = ["test_metric", "test_accuracy", "head_only_test_metric", "head_only_test_accuracy"]


class SpyPredictor(Predictor):
    """Records the tasks it was fitted on."""

    seen: list[set[str]] = []  # noqa: RUF012 (shared by the clones on purpose)

    def _fit(self, X, scores, groups) -> None:
        self.seen.append(set(groups))

    def _predict(self, X):
        return np.zeros(len(X))


def test_no_task_of_the_family_left_out_is_fitted_on(data) -> None:
    SpyPredictor.seen.clear()
    table = evaluate({"spy": SpyPredictor()}, data)
    family_of = dict(zip(data.groups, data.families, strict=True))
    assert [{family_of[task] for task in seen} for seen in SpyPredictor.seen] == [
        {"family1", "family2"},
        {"family0", "family2"},
        {"family0", "family1"},
    ]
    assert set(table["task"]) == set(data.groups)


def test_the_table_is_tidy(data) -> None:
    predictors = {name: create_predictor(name) for name in list_predictors()}
    table = evaluate(predictors, data)
    assert list(table.columns) == [
        "predictor", "family", "task", "placements", "spearman", "regret@1", "regret@5",
    ]  # fmt: skip
    assert len(table) == len(predictors) * 6
    assert (table["regret@5"] <= table["regret@1"] + 1e-12).all()


def test_lightgbm_finds_the_rule_behind_unseen_families_and_chance_does_not(data) -> None:
    lightgbm = create_predictor("lightgbm", use_probe=True)  # the rule is about what was measured
    table = evaluate({"lightgbm": lightgbm, "random": create_predictor("random")}, data)
    mean = table.groupby("predictor")[["spearman", "regret@5"]].mean()
    assert mean.loc["lightgbm", "spearman"] > 0.6
    assert abs(mean.loc["random", "spearman"]) < 0.3
    assert mean.loc["lightgbm", "regret@5"] < mean.loc["random", "regret@5"]


@pytest.mark.parametrize("name", list_predictors())
def test_changing_every_test_column_changes_no_fitted_predictor(
    name: str, make_log, features, data
) -> None:
    log = make_log()
    log[TEST_COLUMNS] = np.random.default_rng(1).random((len(log), len(TEST_COLUMNS)))
    changed = build_training_set(log, features)
    pd.testing.assert_frame_equal(changed.X, data.X)
    predictions = [
        create_predictor(name).fit(each.X, each.y, each.groups).predict(data.X)
        for each in (data, changed)
    ]
    np.testing.assert_array_equal(*predictions)


def test_one_family_is_not_enough(data) -> None:
    with pytest.raises(PredictorError, match="two are needed"):
        evaluate({"ridge": create_predictor("ridge")}, data.select(data.families == "family0"))


def test_a_fitted_predictor_can_be_scored_as_it_is(data) -> None:
    predictor = create_predictor("mean-table").fit(data.X, data.y, data.groups)
    table = score_tasks(predictor, data)
    assert (table["spearman"] > 0.99).all()
    assert (table["regret@1"] == 0).all()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=7),
    st.integers(1, 8),
)
def test_regret_is_the_mean_over_all_ways_to_break_ties(pairs, k: int) -> None:
    gains, scores = (list(column) for column in zip(*pairs, strict=True))
    kept = min(k, len(gains))
    threshold = sorted(scores)[-kept]
    choices = [
        max(gains[i] for i in chosen)
        for chosen in itertools.combinations(range(len(gains)), kept)
        if sum(scores[i] > threshold for i in chosen) == sum(s > threshold for s in scores)
        and all(scores[i] >= threshold for i in chosen)
    ]
    assert regret(gains, scores, k) == pytest.approx(max(gains) - np.mean(choices), abs=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20, unique=True))
def test_perfect_order_has_no_regret_and_full_correlation(gains) -> None:
    assert regret(gains, gains, 1) == 0
    assert spearman(gains, [3 * g for g in gains]) == pytest.approx(1)
    assert spearman(gains, [-g for g in gains]) == pytest.approx(-1)


def test_a_constant_prediction_has_no_correlation() -> None:
    assert math.isnan(spearman([1.0, 2.0, 3.0], [0.5, 0.5, 0.5]))


def test_repeated_trials_of_a_placement_are_averaged(make_log, features, data) -> None:
    log = make_log()
    again = log.iloc[[0]].assign(trial_id="again", seed=1, val_metric=log["val_metric"][0] + 0.02)
    repeated = build_training_set(pd.concat([log, again], ignore_index=True), features)
    assert len(repeated) == len(data)
    assert np.abs(repeated.y - data.y).max() == pytest.approx(0.01)
    assert sorted(repeated.counts) == [1] * (len(data) - 1) + [2]


def test_a_constant_input_gives_no_warning(recwarn) -> None:
    assert math.isnan(spearman([1.0, 1.0], [0.5, 0.7])) and math.isnan(spearman([1.0], [0.5]))
    assert not recwarn.list


def test_gains_under_other_epochs_metrics_or_augmentation_are_another_comparison(
    make_log, features
) -> None:
    log = make_log()
    log.loc[log.index[:10], "epochs"] = 8
    log.loc[log.index[10:20], "metric"] = "macro-f1"
    log.loc[log.index[20:30], "augment"] = "crop"
    groups = set(build_training_set(log, features).groups)
    others = {
        "task0:accuracy:8:found-rate",
        "task0:macro-f1:4:found-rate",
        "task0:accuracy:4:crop:found-rate",
    }
    assert others | {"task0:accuracy:4:found-rate"} <= groups


def test_gains_under_another_protocol_rate_or_optimiser_are_another_comparison_of_the_task(
    make_log, features
) -> None:
    log = make_log()
    log.loc[log.index[:10], "protocol"] = "table-rate"
    log.loc[log.index[10:30], "protocol"] = "given-rate"
    log.loc[log.index[20:30], "learning_rate"] = 0.03
    log.loc[log.index[30:35], "optimiser"] = "adamw beta2=0.95"
    data = build_training_set(log, features)
    first = data.select(data.families == "family0")
    protocols = {
        "task0:accuracy:4": "table-rate",
        "task0:accuracy:4:given-rate=0.001": "given-rate",
        "task0:accuracy:4:given-rate=0.03": "given-rate",
        "task0:accuracy:4:adamw beta2=0.95:found-rate": "found-rate",
        "task0:accuracy:4:found-rate": "found-rate",
        "task1:accuracy:4:found-rate": "found-rate",
    }
    assert dict(zip(first.groups, first.protocols, strict=True)) == protocols
    scores = score_tasks(create_predictor("target-depth").fit(data.X, data.y, data.groups), first)
    counts = dict(zip(protocols, (10, 10, 10, 5, 5, 40), strict=True))
    assert dict(zip(scores["task"], scores["placements"], strict=True)) == counts


def test_only_finished_trials_with_adapters_are_learnt_from(make_log, features, data) -> None:
    log = make_log()
    log.loc[0, ["placement", "n_edges"]] = ["head-only", 0]
    log.loc[1:2, ["val_metric", "test_metric"]] = None
    log.loc[1, ["status", "failure_reason"]] = ["failed", "loss is not finite"]
    log.loc[2, "status"] = "interrupted"
    log.loc[3, "status"] = "pruned"
    log.loc[3, ["val_metric", "test_metric"]] = None
    assert len(build_training_set(log, features)) == len(data) - 4


def test_a_trial_without_features_is_an_error_not_silence(make_log, features) -> None:
    rest = {key: X for key, X in features.items() if key != "probe3"}
    with pytest.raises(PredictorError, match=r"no features for 40 of 240 placements.*probe3"):
        build_training_set(make_log(), rest)


def test_an_empty_log_is_an_error(make_log, features) -> None:
    with pytest.raises(PredictorError, match="no finished trial"):
        build_training_set(make_log().iloc[:0], features)
