"""One body of tests, every predictor."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from predictors import (
    SCHEMA,
    Predictor,
    PredictorError,
    TrainingSet,
    create_predictor,
    list_predictors,
    register_predictor,
)

every_predictor = pytest.mark.parametrize("name", list_predictors())


def fit(name: str, data: TrainingSet) -> Predictor:
    return create_predictor(name).fit(data.X, data.y, data.groups)


@every_predictor
def test_predicts_one_finite_gain_per_row(name: str, data: TrainingSet) -> None:
    predicted = fit(name, data).predict(data.X)
    assert predicted.shape == (len(data),)
    assert np.isfinite(predicted).all()


@every_predictor
def test_no_rows_get_no_predictions(name: str, data: TrainingSet) -> None:
    assert fit(name, data).predict(data.X.iloc[:0]).shape == (0,)


@every_predictor
def test_predictions_are_in_units_of_the_metric(name: str, data: TrainingSet) -> None:
    predicted = fit(name, data).predict(data.X)
    assert abs(predicted.mean() - data.y.mean()) < data.y.std()
    assert np.ptp(predicted) < 3 * np.ptp(data.y)


@every_predictor
def test_predictions_scale_with_the_gains(name: str, data: TrainingSet) -> None:
    tenfold = create_predictor(name).fit(data.X, 10 * data.y, data.groups).predict(data.X)
    np.testing.assert_allclose(tenfold, 10 * fit(name, data).predict(data.X), rtol=1e-4, atol=1e-6)


@every_predictor
def test_fit_returns_self_and_is_deterministic(name: str, data: TrainingSet) -> None:
    predictor = create_predictor(name)
    assert predictor.fit(data.X, data.y, data.groups) is predictor
    np.testing.assert_array_equal(predictor.predict(data.X), fit(name, data).predict(data.X))


@every_predictor
def test_order_of_training_rows_does_not_matter(name: str, data: TrainingSet) -> None:
    order = np.random.default_rng(0).permutation(len(data))
    shuffled = create_predictor(name).fit(data.X.iloc[order], data.y[order], data.groups[order])
    np.testing.assert_array_equal(shuffled.predict(data.X), fit(name, data).predict(data.X))


@every_predictor
def test_order_of_rows_that_differ_in_features_alone_does_not_matter(
    name: str, data: TrainingSet
) -> None:
    alike = data.X.assign(placement=data.X["placement"].iloc[0], backbone="starter")
    groups, gains = np.full_like(data.groups, "one"), np.round(data.y, 2)
    order = np.random.default_rng(0).permutation(len(data))
    one = create_predictor(name).fit(alike, gains, groups)
    other = create_predictor(name).fit(alike.iloc[order], gains[order], groups[order])
    np.testing.assert_array_equal(one.predict(data.X), other.predict(data.X))


@every_predictor
def test_a_prediction_does_not_depend_on_the_rows_beside_it(name: str, data: TrainingSet) -> None:
    predictor = fit(name, data)
    order = np.random.default_rng(0).permutation(len(data))[:25]
    alone = np.concatenate([predictor.predict(data.X.iloc[[row]]) for row in order])
    np.testing.assert_allclose(alone, predictor.predict(data.X)[order], rtol=1e-12)


@every_predictor
def test_order_of_columns_does_not_matter(name: str, data: TrainingSet) -> None:
    predictor = fit(name, data)
    turned = data.X[data.X.columns[::-1]]
    np.testing.assert_array_equal(predictor.predict(turned), predictor.predict(data.X))


@every_predictor
def test_a_shift_of_a_whole_task_changes_no_order(name: str, data: TrainingSet) -> None:
    shift = np.where(data.groups == data.groups[0], 0.3, 0.0)
    shifted = create_predictor(name).fit(data.X, data.y + shift, data.groups)
    difference = shifted.predict(data.X) - fit(name, data).predict(data.X)
    np.testing.assert_allclose(difference, difference[0], atol=1e-6)


@every_predictor
def test_clone_has_the_settings_and_none_of_the_state(name: str, data: TrainingSet) -> None:
    twin = clone(fit(name, data))
    assert twin.get_params() == create_predictor(name).get_params()
    with pytest.raises(NotFittedError):
        twin.predict(data.X)


@every_predictor
def test_constructor_only_stores_its_arguments(name: str) -> None:
    predictor = create_predictor(name)
    arguments = set(inspect.signature(type(predictor)).parameters)
    assert set(vars(predictor)) == arguments == set(predictor.get_params())


@every_predictor
def test_copes_with_features_that_are_all_missing(name: str, data: TrainingSet) -> None:
    X = data.X.copy()
    X[["gradient_rank_percentile_mean", "frobenius_norm_percentile_mean", "snr_percentile_max"]] = (
        np.nan
    )
    assert np.isfinite(create_predictor(name).fit(X, data.y, data.groups).predict(X)).all()


@every_predictor
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda X: X.drop(columns="n_edges"), "missing: n_edges"),
        (lambda X: X.assign(test_metric=0.5), "unknown: test_metric"),
        (lambda X: X.assign(dim=X["dim"].astype(int)), "type.*dim"),
        (lambda X: X.to_numpy(), "DataFrame"),
    ],
    ids=["missing column", "unknown column", "other type", "no DataFrame"],
)
def test_refuses_another_schema(name: str, wrong, message: str, data: TrainingSet) -> None:
    with pytest.raises(PredictorError, match=message):
        create_predictor(name).fit(wrong(data.X), data.y, data.groups)
    with pytest.raises(PredictorError, match=message):
        fit(name, data).predict(wrong(data.X))


@every_predictor
def test_refuses_gains_it_cannot_learn_from(name: str, data: TrainingSet) -> None:
    for y, groups in [
        (data.y[:-1], data.groups),
        (data.y, data.groups[:-1]),
        (np.where(np.arange(len(data)) == 3, np.nan, data.y), data.groups),
        (data.y, np.where(np.arange(len(data)) == 3, None, data.groups)),
    ]:
        with pytest.raises(PredictorError):
            create_predictor(name).fit(data.X, y, groups)
    with pytest.raises(PredictorError):
        create_predictor(name).fit(data.X.iloc[:0], [], [])


@every_predictor
def test_copes_with_a_single_trial(name: str, data: TrainingSet) -> None:
    one = create_predictor(name).fit(data.X.iloc[:1], data.y[:1], data.groups[:1])
    np.testing.assert_allclose(one.predict(data.X), data.y[0], atol=1e-12)


def test_the_number_of_threads_changes_nothing(data: TrainingSet) -> None:
    one, two = (
        create_predictor("lightgbm", n_estimators=20, num_threads=threads)
        .fit(data.X, data.y, data.groups)
        .predict(data.X)
        for threads in (1, 2)
    )
    np.testing.assert_array_equal(two, one)


def test_without_the_probe_what_was_measured_changes_nothing(data: TrainingSet) -> None:
    measured = [name for name in SCHEMA.features if name not in SCHEMA.placement_features]
    blind = data.X.assign(**dict.fromkeys(measured, np.nan))
    with_probe, without = (
        create_predictor("lightgbm", use_probe=True),
        create_predictor("lightgbm", use_probe=False),
    )
    for predictor in (with_probe, without):
        predictor.fit(data.X, data.y, data.groups)
    np.testing.assert_array_equal(without.predict(blind), without.predict(data.X))
    assert (with_probe.predict(blind) != with_probe.predict(data.X)).any()


def test_every_task_weighs_the_same_however_many_rows_it_has(data: TrainingSet) -> None:
    first = data.groups == data.groups[0]
    rows = np.concatenate([np.arange(len(data)), *[np.flatnonzero(first)] * 20])
    crowded = create_predictor("ridge").fit(data.X.iloc[rows], data.y[rows], data.groups[rows])
    predicted = fit("ridge", data).predict(data.X)
    assert np.corrcoef(crowded.predict(data.X), predicted)[0, 1] > 0.98


def test_random_draws_differ_between_seeds_and_tasks(features: dict, data: TrainingSet) -> None:
    one, two = (
        create_predictor("random", random_state=seed).fit(data.X, data.y, data.groups)
        for seed in (1, 2)
    )
    X = features["probe0"]
    assert abs(np.corrcoef(one.predict(X), two.predict(X))[0, 1]) < 0.5
    elsewhere = X.assign(n_classes=X["n_classes"] + 1)
    assert abs(np.corrcoef(one.predict(X), one.predict(elsewhere))[0, 1]) < 0.5


def test_gradient_rank_breaks_ties_by_stable_rank(data: TrainingSet) -> None:
    X = data.X.iloc[:3].assign(gradient_rank_percentile_mean=[0.5, 0.5, 0.6])
    X["stable_rank_percentile_mean"] = [0.2, 0.9, 0.1]
    assert list(np.argsort(fit("gradient-rank", data).predict(X))) == [0, 1, 2]


def test_mean_table_remembers_what_a_placement_gave(data: TrainingSet) -> None:
    predictor = fit("mean-table", data)
    seen, elsewhere = data.X.iloc[[0]], data.X.iloc[[0]].assign(backbone="another")
    elsewhere["backbone"] = elsewhere["backbone"].astype(data.X["backbone"].dtype)
    typical = pd.Series(data.y).groupby(data.groups).mean().mean()
    assert predictor.predict(elsewhere)[0] == pytest.approx(typical)
    assert predictor.predict(seen)[0] != pytest.approx(typical)


def test_an_unknown_name_gets_the_near_one_suggested() -> None:
    with pytest.raises(PredictorError, match=r"did you mean 'lightgbm'.*known: gradient-norm, "):
        create_predictor("lightgmb")


def test_names_are_listed_by_wildcard_in_alphabetical_order() -> None:
    assert list_predictors() == sorted(list_predictors())
    assert list_predictors("gradient-*") == ["gradient-norm", "gradient-rank"]
    assert list_predictors("none-*") == []


def test_a_name_that_is_taken_is_an_error_and_the_old_predictor_stays() -> None:
    with pytest.raises(PredictorError, match="'ridge' is registered already"):
        register_predictor("ridge")(type(create_predictor("lightgbm")))
    assert type(create_predictor("ridge")).__name__ == "RidgePredictor"
