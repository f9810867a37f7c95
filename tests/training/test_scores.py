"""Metrics, the report per class and the confusion matrix are scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    classification_report,
    f1_score,
    log_loss,
)

from autoplace.training import (
    class_report,
    confusion,
    metric_by_image,
    metric_value,
    score,
)
from predictors.vocabulary import METRICS

CLASSES = 6


def argmax_of(metric):
    return lambda labels, logits: metric(labels, logits.argmax(1))


THEIRS = {
    "accuracy": argmax_of(accuracy_score),
    "balanced-accuracy": argmax_of(balanced_accuracy_score),
    "macro-f1": argmax_of(lambda labels, guesses: f1_score(labels, guesses, average="macro")),
    "log-loss": lambda labels, logits: (
        -log_loss(labels, softmax(logits, axis=1), labels=range(CLASSES))
    ),
}
# Of six classes some are held by no row, predicted for none, or neither.
ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30)


def logits_of(guesses: np.ndarray, seed: int = 0) -> np.ndarray:
    """Random logits (rows, CLASSES) whose largest is that of the guess."""
    logits = np.random.default_rng(seed).normal(size=(len(guesses), CLASSES))
    logits[np.arange(len(guesses)), guesses] += 10.0
    return logits


def test_every_metric_is_compared_with_scikit_learn():
    assert set(THEIRS) == set(METRICS)


@pytest.mark.parametrize("metric", THEIRS)
@given(rows=ROWS)
def test_every_metric_is_the_number_scikit_learn_gives(metric, rows):
    labels, guesses = np.array(rows).T
    logits = logits_of(guesses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted but have no row
        expected = THEIRS[metric](labels, logits)
    assert metric_value(metric, labels, logits) == pytest.approx(expected)
    assert score(logits, labels).of(metric) == metric_value(metric, labels, logits)


@pytest.mark.parametrize("metric", METRICS)
def test_right_answers_have_the_higher_score_by_every_metric(metric):
    labels = np.arange(CLASSES)
    right, wrong = logits_of(labels), logits_of((labels + 1) % CLASSES)
    assert metric_value(metric, labels, right) > metric_value(metric, labels, wrong)


def test_metrics_are_those_of_their_names():
    labels, logits = np.array([0, 0, 0, 1]), np.zeros((4, 2))
    assert metric_value("accuracy", labels, logits) == 0.75
    assert metric_value("balanced-accuracy", labels, logits) == 0.5
    assert metric_value("macro-f1", labels, logits) == pytest.approx(3 / 7)
    assert metric_value("log-loss", labels, logits) == pytest.approx(-np.log(2))


def test_an_unknown_metric_is_an_error():
    with pytest.raises(ValueError, match="unknown metric 'auc'"):
        metric_value("auc", np.array([0, 1]), np.eye(2))


@pytest.mark.parametrize("metric", METRICS)
@given(rows=ROWS)
def test_the_mean_of_a_metric_by_image_is_its_value(metric, rows):
    labels, guesses = np.array(rows).T
    logits = logits_of(guesses)
    found = metric_by_image(metric, labels, logits)
    assert found.shape == labels.shape
    assert found.mean() == pytest.approx(metric_value(metric, labels, logits))


@pytest.mark.parametrize("metric", METRICS)
def test_the_spread_over_images_gives_the_standard_error_of_a_difference(metric):
    rng = np.random.default_rng(0)
    labels = rng.choice(CLASSES, 500, p=[0.5, 0.25, 0.1, 0.06, 0.05, 0.04])
    own, other = (
        logits_of(np.where(rng.random(500) < right, labels, rng.integers(0, CLASSES, 500)), seed)
        for seed, right in enumerate((0.7, 0.75))
    )
    paired = metric_by_image(metric, labels, own) - metric_by_image(metric, labels, other)
    drawn = [rng.integers(0, 500, 500) for _ in range(1000)]
    differences = [
        metric_value(metric, labels[k], own[k]) - metric_value(metric, labels[k], other[k])
        for k in drawn
    ]
    assert paired.std() / np.sqrt(500) == pytest.approx(np.std(differences), rel=0.1)


@given(rows=ROWS)
def test_the_report_per_class_is_the_one_scikit_learn_gives(rows):
    labels, guesses = np.array(rows).T
    names = [f"class {k}" for k in range(CLASSES)]
    report = class_report(labels, logits_of(guesses), names)
    theirs = classification_report(
        labels, guesses, labels=range(CLASSES), target_names=names, output_dict=True,
        zero_division=0.0,
    )  # fmt: skip
    assert report.index.tolist() == names
    for name in names:
        expected = [theirs[name][key] for key in ("precision", "recall", "f1-score", "support")]
        assert report.loc[name].tolist() == pytest.approx(expected)


@given(rows=ROWS)
def test_the_confusion_matrix_has_true_classes_down_and_predicted_classes_across(rows):
    labels, guesses = np.array(rows).T
    expected = np.zeros((CLASSES, CLASSES), dtype=int)
    np.add.at(expected, (labels, guesses), 1)
    np.testing.assert_array_equal(confusion(labels, logits_of(guesses), CLASSES), expected)
