"""Read the test split once, after the choice, for the winner and the baselines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from autoplace.agent.steps._contest import Contest
from autoplace.agent.steps._pick_result import Tested
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._refit import WINNER, collapsed_roles, lowered_rates
from autoplace.execution import map_side_by_side
from autoplace.model import AdaptedModel
from autoplace.training import (
    Deadline,
    DeadlineReachedError,
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
        The winner of the first seed, or of the training that replaced it.
    logits : ndarray (rows, classes)
        Logits of that model on the readable test images; of no image if the time ran out before.
    labels : ndarray (rows,)
        True classes of these images.
    """

    tested: dict[str, Tested]
    differences: dict[str, Interval]
    model: AdaptedModel
    logits: np.ndarray
    labels: np.ndarray

    @property
    def is_complete(self) -> bool:
        """Whether the winner was tested."""
        return bool(len(self.labels))


def test_winner(task: Task, contest: Contest, deadline: Deadline, progress: Progress) -> TestReport:
    """Predict the test split once per seed of the winner and of each baseline.

    The first seed of each is tested as long as the time budget lasts, the winner before all others;
    further seeds, and nearest neighbours, only if that leaves time to save the winner.

    Parameters
    ----------
    task : Task
        Data and backbone.
    contest : Contest
        The trained models, by role. If they have seen the validation images, so do the nearest
        neighbours.
    deadline : Deadline
        When the time budget is used up, but for what is held back.
    progress : Progress
        Notified of each result.
    """
    trained = contest.trained
    n_seeds = len(trained[WINNER])
    progress.stage("Testing", n_seeds + 1)
    started = time.perf_counter()
    # With little time left, nothing runs beside the winner.
    alone = [WINNER] if deadline.passed else []
    together = [role for role in trained if role not in alone]
    by_role: dict[str, list[np.ndarray]] = {}
    labels = np.empty(0, dtype=int)
    for roles in (alone, together):
        for role, found in _predict(task, {r: trained[r][0] for r in roles}, deadline.whole):
            by_role[role], labels = [found[0]], found[1]
    by_role = {role: by_role[role] for role in trained if role in by_role}
    model = trained_model(task, trained[WINNER][0])
    assert isinstance(model, AdaptedModel), "only placements can win"
    if WINNER not in by_role:
        progress.note("the time budget ran out before the winner could be tested")
        logits, labels = np.empty((0, len(task.data.classes))), np.empty(0, dtype=int)
        return TestReport({}, {}, model.eval(), logits, labels)
    missing = [role for role in trained if role not in by_role]
    if missing:
        progress.note(f"the time budget ran out before {', '.join(missing)} could be tested")
    seconds = time.perf_counter() - started
    progress.advance(f"seed 1 of {n_seeds}")
    for number in range(1, n_seeds):
        if deadline.left < seconds:
            further = {}
        else:
            outcomes = {role: trained[role][number] for role in by_role}
            further = dict(_predict(task, outcomes, deadline))
        if len(further) < len(by_role):
            progress.note(f"the time budget allows {number} of {n_seeds} seeds to be tested")
            break
        for role, found in further.items():
            by_role[role].append(found[0])
        progress.advance(f"seed {number + 1} of {n_seeds}")
    logits_of = {role: np.stack(found) for role, found in by_role.items()}
    tested = {
        role: _tested(contest, role, task.metric, labels, found)
        for role, found in logits_of.items()
    }
    try:
        deadline.check()
        neighbours, k = _nearest(task, contest.refitted, deadline)
    except DeadlineReachedError:
        progress.note(f"the time budget ran out before {KNN} could be compared")
    else:
        logits_of[KNN] = neighbours[None]
        tested[KNN] = Tested(f"k={k}", (), (metric_value(task.metric, labels, neighbours),))
    progress.advance(KNN)
    differences = {
        role: paired_difference(task.metric, labels, logits_of[WINNER], theirs)
        for role, theirs in logits_of.items()
        if role != WINNER
    }
    return TestReport(tested, differences, model.eval(), logits_of[WINNER][0], labels)


def _tested(
    contest: Contest, role: str, metric: str, labels: np.ndarray, logits: np.ndarray
) -> Tested:
    """Score a role's logits (seeds, rows, classes), and say how its trainings went."""
    trained = contest.trained[role][: len(logits)]
    collapsed = [
        role in collapsed_roles({each: done[number] for each, done in contest.trained.items()})
        for number in range(len(trained))
    ]
    return Tested(
        what=str(trained[0].placement),
        seeds=tuple(outcome.trial.seed for outcome in trained),
        values=tuple(metric_value(metric, labels, each) for each in logits),
        lowered=lowered_rates(trained, contest.sides[role].learning_rate),
        collapsed=tuple(o.trial.seed for o, did in zip(trained, collapsed, strict=True) if did),
    )


def _predict(
    task: Task, outcomes: Mapping[str, Outcome], deadline: Deadline
) -> list[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Logits and labels of the test split by role, of those that are done in time."""

    def predict(outcome: Outcome) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            deadline.check()
            return predict_split(task, trained_model(task, outcome), "test", deadline)
        except DeadlineReachedError:
            return None

    found = map_side_by_side(predict, list(outcomes.values()), task.device)
    return [(role, each) for role, each in zip(outcomes, found, strict=True) if each is not None]


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


def _nearest(task: Task, on_all: bool, deadline: Deadline) -> tuple[np.ndarray, int]:
    """Logits (rows, classes) of the nearest neighbours on frozen features, and their number."""
    rows = task.rows("fit" if on_all else "train")
    known, labels = task.cache("fit").features(rows, deadline)
    test = task.cache("test")
    queries, _ = test.features(np.arange(len(test)), deadline)
    return knn_logits(known.numpy(), labels, queries.numpy(), len(task.data.classes), deadline)
