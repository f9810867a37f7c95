"""The contest of a pick: rates, race, finalists, folds, choice, refit."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from autoplace.agent.steps._afford import Allowance, afford
from autoplace.agent.steps._choose import Contender, choose, compare
from autoplace.agent.steps._entrants import Entrants
from autoplace.agent.steps._errors import NothingFinishedError
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._race import Rung, plan_rungs, race
from autoplace.agent.steps._rates import RateSearch, find_rate
from autoplace.agent.steps._refit import WINNER, refit
from autoplace.agent.steps._rounds import Rounds
from autoplace.agent.steps._space import count_comparisons
from autoplace.errors import UserError
from autoplace.settings import PickSettings
from autoplace.training import (
    Deadline,
    DeadlineReachedError,
    Images,
    Outcome,
    Task,
    Trial,
)
from predictors.vocabulary import HEAD_ONLY, Role


@dataclass
class Contest:
    """What is known of a contest; it grows until the contest is over or the time is up.

    Attributes
    ----------
    rates : dict of str to RateSearch
        By kind.
    rungs : list of Rung
        The race as it was run.
    search_ended : float or None
        When the race was over, in the seconds of `time.perf_counter`.
    contenders : list of Contender
        Finalists and baselines with their outcomes.
    ended : list of Outcome
        All trials that are over.
    trained : dict of str to list of Outcome
        What test reads: by role (`winner` and the baselines), one outcome per seed.
    is_complete : bool
        False if the time budget ran out.
    choice : Contender or None
        The winner, once it is chosen.
    """

    rates: dict[str, RateSearch] = field(default_factory=dict)
    rungs: list[Rung] = field(default_factory=list)
    search_ended: float | None = None
    contenders: list[Contender] = field(default_factory=list)
    ended: list[Outcome] = field(default_factory=list)
    trained: dict[str, list[Outcome]] = field(default_factory=dict)
    is_complete: bool = True
    choice: Contender | None = None

    @property
    def winner(self) -> Contender:
        """The contender that was chosen."""
        assert self.choice is not None, "the contest is not over"
        return self.choice

    @property
    def refitted(self) -> bool:
        """Whether the trained models have seen the validation images, too."""
        return self.trained[WINNER][0].trial.images.name == "all"

    @property
    def head_only(self) -> Contender | None:
        """The contender that gains are measured from."""
        return next((c for c in self.contenders if c.role is Role.HEAD_ONLY), None)


def run_contest(
    task: Task,
    entrants: Entrants,
    settings: PickSettings,
    rounds: Rounds,
    deadline: Deadline,
    unit: float,
    progress: Progress,
) -> Contest:
    """Find rates, race the field, compare finalists and baselines, choose, and refit.

    Parameters
    ----------
    task : Task
        Data and backbone.
    entrants : Entrants
        Field and baselines.
    settings : PickSettings
        How much is tried.
    rounds : Rounds
        Runs and records the trials.
    deadline : Deadline
        When training stops.
    unit : float
        Estimated seconds of a training of every-block.
    progress : Progress
        Notified of what the time budget takes away.

    Raises
    ------
    UserError
        Training diverges at every learning rate.
    NothingFinishedError
        No trial finished.
    """
    contest = Contest(ended=rounds.ended)
    try:
        _compete(contest, task, entrants, settings, rounds, deadline, unit, progress)
    except DeadlineReachedError:
        contest.is_complete = False
        progress.note(
            "the time budget ran out; continuing with the finished trials; some baselines may be "
            "missing from the comparison"
        )
    contest.contenders = contest.contenders or _finished(rounds.ended, entrants)
    if not contest.contenders:
        raise NothingFinishedError(rounds.ended, deadline_reached=not contest.is_complete)
    if contest.choice is None:
        contest.choice = choose(contest.contenders, task.metric)
    if not contest.trained.get(WINNER):  # no seed of the refit is complete: what the race trained
        contest.trained = {WINNER: contest.winner.outcomes[:1]}
        for contender in contest.contenders:
            if contender.role.is_baseline and contender is not contest.winner:
                contest.trained[contender.role] = contender.outcomes[:1]
    return contest


def _compete(
    contest: Contest,
    task: Task,
    entrants: Entrants,
    settings: PickSettings,
    rounds: Rounds,
    deadline: Deadline,
    unit: float,
    progress: Progress,
) -> None:
    head_only = entrants.head_only
    contest.rates[HEAD_ONLY] = find_rate(
        rounds, HEAD_ONLY, [head_only.placement], settings, task.seed
    )
    head_only = replace(head_only, learning_rate=contest.rates[HEAD_ONLY].rate)
    finished = rounds.run("Head-only", [head_only])

    kind = settings.adapter
    contest.rates[kind] = find_rate(rounds, kind, entrants.references, settings, task.seed)
    rate = contest.rates[kind].rate
    allowance = _allowance(task, entrants, settings, rounds, deadline, unit, progress)
    rungs = plan_rungs(allowance.field, allowance.top_k, settings.epochs)
    starters = [replace(t, learning_rate=rate) for t in entrants.field[: allowance.field]]
    try:
        left = race(rounds, starters, rungs, contest.rungs)
    finally:
        contest.search_ended = time.perf_counter()

    every_block = [replace(trial, learning_rate=rate) for trial in entrants.every_block]
    contest.contenders = compare(
        rounds, [*finished, *every_block, *left], entrants.prior, _further(task, allowance.folds)
    )
    if deadline.passed:
        raise DeadlineReachedError
    if not contest.contenders:
        return
    contest.choice = choose(contest.contenders, task.metric)

    sides: dict[str, Trial] = {WINNER: contest.winner.outcomes[0].trial}
    for contender in contest.contenders:
        if contender.role.is_baseline and contender is not contest.winner:
            sides[contender.role] = contender.outcomes[0].trial
    for trial in entrants.tuned:
        role = str(trial.role)
        try:
            contest.rates[role] = find_rate(rounds, role, [trial.placement], settings, task.seed)
        except UserError as error:
            progress.note(f"{role} is not compared: {error}")
            continue
        sides[role] = replace(trial, learning_rate=contest.rates[role].rate)
    contest.trained = refit(rounds, sides, allowance.seeds, settings.refit)
    missing = sorted(set(sides) - {role for role, done in contest.trained.items() if done})
    if deadline.passed and len(contest.trained[WINNER]) < allowance.seeds:
        raise DeadlineReachedError
    if missing:
        progress.note(f"the final training failed for {', '.join(missing)}")


def _allowance(
    task: Task,
    entrants: Entrants,
    settings: PickSettings,
    rounds: Rounds,
    deadline: Deadline,
    unit: float,
    progress: Progress,
) -> Allowance:
    folds = count_comparisons(task, settings)
    n_train, n_fit = len(task.rows("train")), len(task.rows("fit"))
    asked = afford(
        settings,
        len(entrants.field),
        folds,
        refit_share=n_fit / n_train if settings.refit else 1.0,
        sides=2 + len(entrants.tuned),
        seconds_per_training=_seconds_per_training(rounds, unit, settings),
        seconds=deadline.left,
    )
    if (asked.field, asked.folds, asked.seeds) != (len(entrants.field), folds, settings.seeds):
        progress.note(
            f"to fit --budget, the search is reduced; candidates: {asked.field}, finalists: "
            f"{asked.top_k}, folds or seeds to compare them on: {asked.folds}, seeds for the test: "
            f"{asked.seeds}"
        )
    return asked


def _seconds_per_training(rounds: Rounds, unit: float, settings: PickSettings) -> float:
    """As measured so far; estimated if the rate was given, so that nothing has been trained."""
    measured = rounds.seconds_per_epoch * settings.epochs
    return measured if math.isfinite(measured) else unit


def _further(task: Task, folds: int) -> list[Images]:
    """What finalists are compared on after the first fold."""
    if not task.data.made_val:
        return [Images()] * (folds - 1)
    return [Images("fold", number) for number in range(2, folds + 1)]


def _finished(ended: Sequence[Outcome], entrants: Entrants) -> list[Contender]:
    """Contenders, where the time was up before the finalists were compared."""
    roles = (Role.HEAD_ONLY, Role.EVERY_BLOCK, Role.CANDIDATE)
    return [
        Contender([outcome], entrants.prior(outcome.placement))
        for outcome in ended
        if outcome.trial.role in roles and outcome.is_done
    ]
