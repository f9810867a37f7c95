"""Read the test split once, after the choice, for the winner and the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from autoplace.agent.steps._contest import Contest
from autoplace.agent.steps._pick_result import Tested
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._refit import WINNER
from autoplace.model import AdaptedModel
from autoplace.training import (
    Interval,
    Outcome,
    Task,
    knn_logits,
    metric_value,
    paired_difference,
    predict_split,
    score,
    trained_model,
)

KNN = "k-nearest neighbours"


@dataclass(frozen=True)
class TestReport:
    """Test results of the winner and the baselines.

    Attributes
    ----------
    tested : dict of str to Tested
        By role: `winner`, `head-only`, `every-block`, `lora` and so on.
    differences : dict of str to Interval
        Winner minus each baseline.
    model : AdaptedModel
        The winner of the first seed.
    logits : ndarray (rows, classes)
        Logits of that model on the readable test images.
    labels : ndarray (rows,)
        True classes of these images.
    """

    tested: dict[str, Tested]
    differences: dict[str, Interval]
    model: AdaptedModel
    logits: np.ndarray
    labels: np.ndarray


def test_winner(task: Task, contest: Contest, progress: Progress) -> TestReport:
    """Predict the test split once per seed of the winner and of each baseline.

    Parameters
    ----------
    task : Task
        Data and backbone.
    contest : Contest
        The trained models, by role. If they have seen the validation images, so do the nearest
        neighbours.
    progress : Progress
        Notified of the stage.
    """
    progress.stage("Testing, once", len(contest.trained) + 1)
    logits, tested = {}, {}
    labels = np.empty(0, dtype=int)
    for role, outcomes in contest.trained.items():
        logits[role], labels = _predict(task, outcomes)
        seeds = tuple(outcome.trial.seed for outcome in outcomes)
        values = tuple(metric_value(task.metric, labels, each) for each in logits[role])
        tested[role] = Tested(str(outcomes[0].placement), seeds, values)
        progress.advance(f"{role}: {task.metric} {tested[role].mean:.4f}")
    neighbours, k = _nearest(task, contest.refitted)
    logits[KNN] = neighbours[None]
    tested[KNN] = Tested(f"k={k}", (), (metric_value(task.metric, labels, neighbours),))
    progress.advance(f"{KNN}: {task.metric} {tested[KNN].mean:.4f}")
    differences = {
        role: paired_difference(task.metric, labels, logits[WINNER], theirs)
        for role, theirs in logits.items()
        if role != WINNER
    }
    model = trained_model(task, contest.trained[WINNER][0])
    assert isinstance(model, AdaptedModel), "only placements can win"
    return TestReport(tested, differences, model.eval(), logits[WINNER][0], labels)


def with_test_scores(task: Task, outcome: Outcome) -> Outcome:
    """Add the test scores of a finished trial, for evaluation only, never for choosing."""
    if not outcome.is_done:
        return outcome
    return replace(outcome, test=score(*predict_split(task, trained_model(task, outcome), "test")))


def _predict(task: Task, outcomes: Sequence[Outcome]) -> tuple[np.ndarray, np.ndarray]:
    """Logits (seeds, rows, classes) of each outcome's model, and labels (rows,)."""
    logits, labels = [], np.empty(0, dtype=int)
    for outcome in outcomes:
        predicted, labels = predict_split(task, trained_model(task, outcome), "test")
        logits.append(predicted)
    return np.stack(logits), labels


def _nearest(task: Task, on_all: bool) -> tuple[np.ndarray, int]:
    """Logits (rows, classes) of the nearest neighbours on frozen features, and their number."""
    known, labels = task.cache("fit").features(task.rows("fit" if on_all else "train"))
    queries, _ = task.cache("test").features(np.arange(len(task.cache("test"))))
    return knn_logits(known.numpy(), labels, queries.numpy(), len(task.data.classes))
