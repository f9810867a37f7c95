"""The race: the field starts together, and at each rung the worst on validation drop out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from autoplace.agent.steps._rates import kinds_of
from autoplace.agent.steps._rounds import Rounds
from autoplace.training import Job, Outcome, Trial

FIRST, SECOND = 0.1, 0.25  # rungs, as shares of the epochs
LOSS_WEIGHT = 2.0  # against 1 for the metric: experiments/choice.py


@dataclass(frozen=True)
class Rung:
    """A moment of the race.

    Attributes
    ----------
    epoch : int
        Epochs that each candidate has trained.
    started : int
        Candidates that trained up to here.
    kept : int
        Candidates that continue.

    Examples
    --------
    >>> plan_rungs(field=24, top_k=2, epochs=10)[0]
    Rung(epoch=1, started=24, kept=7)
    """

    epoch: int
    started: int
    kept: int


def plan_rungs(field: int, top_k: int, epochs: int) -> list[Rung]:
    """Plan the rungs of a race: the field shrinks by the same factor at each.

    Parameters
    ----------
    field : int
        Candidates that start.
    top_k : int
        Candidates that the last rung keeps.
    epochs : int
        Epochs of a whole trial.

    Examples
    --------
    >>> [(rung.epoch, rung.kept) for rung in plan_rungs(field=24, top_k=2, epochs=10)]
    [(1, 7), (2, 2)]
    >>> plan_rungs(field=2, top_k=3, epochs=10)
    []
    """
    if field <= top_k:
        return []
    first = max(1, round(FIRST * epochs))
    second = max(first + 1, round(SECOND * epochs))
    at = [first, second] if second < epochs else [first]
    sizes = [round(field * (top_k / field) ** (k / len(at))) for k in range(len(at) + 1)]
    return [
        Rung(epoch, started, kept)
        for epoch, started, kept in zip(at, sizes[:-1], sizes[1:], strict=True)
    ]


def race(
    rounds: Rounds, field: Sequence[Trial], rungs: Sequence[Rung], finished: list[Rung]
) -> list[Job]:
    """Race candidates and return the finalists, the best first, paused where they can continue.

    Parameters
    ----------
    rounds : Rounds
        Runs and records the trials.
    field : sequence of Trial
        Candidates with the same number of epochs, each at the rates of its kinds.
    rungs : sequence of Rung
        When candidates drop out, and how many stay.
    finished : list of Rung
        Receives each rung once it is over, with the numbers as they came out.

    Raises
    ------
    DeadlineReachedError
        The time budget ran out.
    """
    left: list[Job] = list(field)
    for number, rung in enumerate(rungs, start=1):
        outcomes = rounds.run(
            f"Race, rung {number} of {len(rungs)}: {len(left)} candidates up to epoch {rung.epoch}",
            [job for job in left if isinstance(job, Trial) or job.is_paused],
            until=rung.epoch,
        )
        # One that has stopped early stays in the race with what it reached.
        outcomes += [job for job in left if isinstance(job, Outcome) and not job.is_paused]
        ranked = rank(outcomes, rounds.metric)
        kept = keep_kinds(ranked, rung.kept) if number < len(rungs) else ranked[: rung.kept]
        finished.append(replace(rung, started=len(outcomes), kept=len(kept)))
        staying = {outcome.trial for outcome in kept}
        rounds.prune([o for o in ranked if o.is_paused and o.trial not in staying])
        left = list(kept)
    return left


def keep_kinds(ranked: Sequence[Outcome], count: int) -> list[Outcome]:
    """Keep the best of each adapter kind, then the best of all others, in their order.

    Early in training, kinds differ in how fast they start more than in how good they become.

    Parameters
    ----------
    ranked : sequence of Outcome
        The best first.
    count : int
        How many to keep.
    """
    best: dict[str, Trial] = {}
    for outcome in ranked:
        kinds = kinds_of(outcome.trial)
        if len(kinds) == 1:
            best.setdefault(kinds[0], outcome.trial)
    kept = list(best.values())[:count]
    others = [outcome.trial for outcome in ranked if outcome.trial not in kept]
    staying = {*kept, *others[: count - len(kept)]}
    return [outcome for outcome in ranked if outcome.trial in staying]


def rank(outcomes: Sequence[Outcome], metric: str) -> list[Outcome]:
    """Order outcomes by metric and loss on validation, the best first; failed ones are left out."""
    running = [outcome for outcome in outcomes if outcome.is_done or outcome.is_paused]
    if not running:
        return []
    values = validation_scores(
        np.array([outcome.val.of(metric) for outcome in running]),
        np.array([outcome.val.loss for outcome in running]),
    )
    return [running[i] for i in np.argsort(-values, kind="stable")]


def validation_scores(metrics: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Score placements by metric and loss, each in units of its spread; the highest is best.

    The loss counts more: it tells apart what a few hundred images cannot tell apart by accuracy.

    Parameters
    ----------
    metrics, losses : ndarray (placements,)
        On the same validation images.

    Examples
    --------
    >>> validation_scores(np.array([0.8, 0.8, 0.7]), np.array([0.5, 0.6, 0.6])).argmax()
    np.int64(0)
    """
    scores: np.ndarray = standardised(metrics) + LOSS_WEIGHT * standardised(-losses)
    return scores


def standardised(values: np.ndarray) -> np.ndarray:
    """Return values (n,) less their mean, in units of their standard deviation."""
    deviation = values.std()
    return (values - values.mean()) / deviation if deviation > 0 else np.zeros(len(values))
