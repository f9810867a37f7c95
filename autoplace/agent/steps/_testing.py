"""Read the test split once, after the choice, for the winner and the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from autoplace.agent.steps._contest import Contest
from autoplace.agent.steps._pick_result import Tested
from autoplace.agent.steps._progress import Progress
from autoplace.model import AdaptedModel
from autoplace.training import (
    Interval,
    Outcome,
    Task,
    metric_value,
    paired_difference,
    predict_split,
    score,
    trained_model,
)

WINNER = "winner"


@dataclass(frozen=True)
class TestReport:
    """Test results of the winner and the baselines.

    Attributes
    ----------
    tested : dict of str to Tested
        By role: `winner`, `head-only`, `every-block`.
    differences : dict of str to Interval
        Winner minus each baseline.
    model : AdaptedModel
        The winner of the first seed, which validation chose.
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


@dataclass(frozen=True)
class _Predicted:
    """Predictions of one placement: the model of the first seed, and the logits of all seeds."""

    model: AdaptedModel
    logits: np.ndarray  # (seeds, rows, classes)
    labels: np.ndarray


def test_winner(task: Task, contest: Contest, progress: Progress) -> TestReport:
    """Predict the test split once per seed of the winner and of each baseline."""
    progress.stage("Testing, once")
    placements = {WINNER: contest.winner.placement}
    finished = [outcome for outcome in contest.outcomes if outcome.is_done]
    for outcome in finished:
        if outcome.trial.role.is_baseline and outcome is not contest.winner:
            placements[str(outcome.trial.role)] = outcome.placement
    predicted, tested = {}, {}
    for role, placement in placements.items():
        outcomes = [outcome for outcome in finished if outcome.placement == placement]
        found = predicted[role] = _predict(task, outcomes)
        values = [metric_value(task.metric, found.labels, logits) for logits in found.logits]
        seeds = [outcome.trial.seed for outcome in outcomes]
        tested[role] = Tested(placement, tuple(seeds), tuple(values))
    winner = predicted.pop(WINNER)
    differences = {
        role: paired_difference(task.metric, winner.labels, winner.logits, found.logits)
        for role, found in predicted.items()
    }
    return TestReport(tested, differences, winner.model, winner.logits[0], winner.labels)


def with_test_scores(task: Task, outcome: Outcome) -> Outcome:
    """Add the test scores of a finished trial, for evaluation only, never for choosing."""
    if not outcome.is_done:
        return outcome
    return replace(outcome, test=score(*predict_split(task, trained_model(task, outcome), "test")))


def _predict(task: Task, outcomes: Sequence[Outcome]) -> _Predicted:
    models = [trained_model(task, outcomes[0])]
    first, labels = predict_split(task, models[0], "test")
    logits = [first]
    for outcome in outcomes[1:]:
        logits.append(predict_split(task, trained_model(task, outcome), "test")[0])
    return _Predicted(models[0], np.stack(logits), labels)
