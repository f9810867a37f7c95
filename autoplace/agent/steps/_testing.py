"""Read the test split once, after the choice, for the winner and the baselines."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from autoplace.agent.steps._contest import Contest
from autoplace.agent.steps._pick_result import Tested
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._refit import WINNER
from autoplace.execution import map_side_by_side
from autoplace.model import AdaptedModel
from autoplace.training import (
    Deadline,
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


def test_winner(task: Task, contest: Contest, deadline: Deadline, progress: Progress) -> TestReport:
    """Predict the test split once per seed of the winner and of each baseline.

    The first seed of each is always tested; further seeds, and nearest neighbours, only while the
    time lasts.

    Parameters
    ----------
    task : Task
        Data and backbone.
    contest : Contest
        The trained models, by role. If they have seen the validation images, so do the nearest
        neighbours.
    deadline : Deadline
        When the time budget is used up.
    progress : Progress
        Notified of each result.
    """
    n_seeds = len(contest.trained[WINNER])
    progress.stage("Testing", n_seeds + 1)
    by_role: dict[str, list[np.ndarray]] = {role: [] for role in contest.trained}
    labels = np.empty(0, dtype=int)
    seconds = 0.0
    for number in range(n_seeds):
        if number and deadline.left < seconds:
            progress.note(f"the time budget allows {number} of {n_seeds} seeds to be tested")
            break
        started = time.perf_counter()
        outcomes = [found[number] for found in contest.trained.values()]
        predictions = map_side_by_side(
            lambda outcome: predict_split(task, trained_model(task, outcome), "test"),
            outcomes,
            task.device,
        )
        for found, (predicted, _) in zip(by_role.values(), predictions, strict=True):
            found.append(predicted)
        labels = predictions[0][1]
        seconds = time.perf_counter() - started
        progress.advance(f"seed {number + 1} of {n_seeds}")
    logits = {role: np.stack(found) for role, found in by_role.items()}
    tested = {
        role: Tested(
            str(contest.trained[role][0].placement),
            tuple(o.trial.seed for o in contest.trained[role][: len(found)]),
            tuple(metric_value(task.metric, labels, each) for each in found),
        )
        for role, found in logits.items()
    }
    if deadline.left > seconds:
        neighbours, k = _nearest(task, contest.refitted)
        logits[KNN] = neighbours[None]
        tested[KNN] = Tested(f"k={k}", (), (metric_value(task.metric, labels, neighbours),))
    else:
        progress.note(f"the time budget ran out before {KNN} could be compared")
    progress.advance()
    differences = {
        role: paired_difference(task.metric, labels, logits[WINNER], theirs)
        for role, theirs in logits.items()
        if role != WINNER
    }
    model = trained_model(task, contest.trained[WINNER][0])
    assert isinstance(model, AdaptedModel), "only placements can win"
    return TestReport(tested, differences, model.eval(), logits[WINNER][0], labels)


def evaluated(task: Task, outcome: Outcome) -> Outcome:
    """Add the scores of a finished trial on test and, where there is one, the measurement split.

    Those on test are for evaluation only; nothing is chosen by them and no predictor reads them.
    """
    if not outcome.is_done:
        return outcome
    model = trained_model(task, outcome)
    tested = replace(outcome, test=score(*predict_split(task, model, "test")))
    extra = task.data.measurement
    if extra is None:
        return tested
    return replace(tested, measured=score(*predict_split(task, model, extra.name)))


def _nearest(task: Task, on_all: bool) -> tuple[np.ndarray, int]:
    """Logits (rows, classes) of the nearest neighbours on frozen features, and their number."""
    known, labels = task.cache("fit").features(task.rows("fit" if on_all else "train"))
    queries, _ = task.cache("test").features(np.arange(len(task.cache("test"))))
    return knn_logits(known.numpy(), labels, queries.numpy(), len(task.data.classes))
