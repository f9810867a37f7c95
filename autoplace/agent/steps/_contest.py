"""The contest of a pick: rates, race, finalists, folds, choice, refit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from autoplace.agent.steps._afford import Allowance, Sides, afford
from autoplace.agent.steps._choose import Contender, choose, compare, on_images
from autoplace.agent.steps._entrants import Entrants
from autoplace.agent.steps._errors import NothingFinishedError
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._race import Rung, plan_rungs, race
from autoplace.agent.steps._rate_grid import RateSearch
from autoplace.agent.steps._rates import find_rate, find_rates, kinds_of, with_rates
from autoplace.agent.steps._refit import WINNER, refit
from autoplace.agent.steps._rounds import Rounds
from autoplace.agent.steps._space import count_comparisons
from autoplace.errors import UserError
from autoplace.model import FullTuning
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import (
    Deadline,
    DeadlineReachedError,
    Images,
    Job,
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
    search_seconds : float
        Seconds that the pick took until the race was over, or the time was up before.
    contenders : list of Contender
        Finalists and baselines with their outcomes.
    sides : dict of str to Trial
        The winner and the baselines that it is compared with on test, by role, with their rates.
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
    search_seconds: float = math.nan
    contenders: list[Contender] = field(default_factory=list)
    sides: dict[str, Trial] = field(default_factory=dict)
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


class Organiser:
    """Runs a contest: rates, race, comparison, choice, refit.

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
    elapsed : callable
        Returns the seconds that the pick has taken so far.
    progress : Progress
        Notified of what the time budget takes away.
    decide : callable
        Called with a name and a function; returns what the function returns, or returned before
        the run was resumed. What depends on time is decided through it.
    """

    def __init__(
        self,
        task: Task,
        entrants: Entrants,
        settings: PickSettings,
        rounds: Rounds,
        deadline: Deadline,
        unit: float,
        elapsed: Callable[[], float],
        progress: Progress,
        decide: Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]],
    ) -> None:
        self._decide = decide
        self._task = task
        self._entrants = entrants
        self._settings = settings
        self._rounds = rounds
        self._deadline = deadline
        self._unit = unit
        self._elapsed = elapsed
        self._progress = progress
        self._contest = Contest(ended=rounds.ended)

    def run(self) -> Contest:
        """Find rates, race the field, compare finalists and baselines, choose, and refit.

        Raises
        ------
        UserError
            Training diverges at every learning rate.
        NothingFinishedError
            No trial finished.
        """
        contest = self._contest
        try:
            self._compete()
        except DeadlineReachedError:
            contest.is_complete = False
            if math.isnan(contest.search_seconds):
                contest.search_seconds = self._elapsed()
            self._progress.note(
                "the time budget ran out; continuing with the finished trials; some baselines may "
                "be missing from the comparison"
            )
        contest.contenders = contest.contenders or self._finished()
        if not contest.contenders:
            raise NothingFinishedError(self._rounds.ended, deadline_reached=not contest.is_complete)
        if contest.choice is None:
            contest.choice = choose(contest.contenders, self._task.metric)
        if not contest.trained.get(WINNER):  # no seed of the refit is complete: what was compared
            others = (c for c in contest.contenders if c is not contest.winner)
            contest.trained = {WINNER: contest.winner.outcomes[:1]} | {
                str(c.role): c.outcomes[:1] for c in others if c.role.is_baseline
            }
            contest.sides = {role: done[0].trial for role, done in contest.trained.items()}
        return contest

    def _compete(self) -> None:
        contest, entrants = self._contest, self._entrants
        rate = self._find_rate(HEAD_ONLY, [entrants.head_only.placement])
        head_only = replace(entrants.head_only, learning_rate=rate)
        finished = self._rounds.run("Head-only", [head_only])
        kinds = self._find_rates()

        allowance = Allowance(**self._decide("allowance", lambda: asdict(self._allowance())))
        known = {trial.placement for trial in entrants.may_win}
        favourite = [t for t in entrants.favourite(contest.rates) if t.placement not in known]
        through = [*entrants.may_win, *favourite]
        left = self._race(allowance, kinds, through)
        contest.search_seconds = self._decide("search", self._searched)["seconds"]
        contest.contenders = compare(
            self._rounds,
            [*finished, *self._timed(through, kinds), *left],
            entrants.prior,
            _further(self._task, allowance.folds),
            self._progress.note,
        )
        # In the time that is held back, too: without them a lucky placement may win.
        contest.contenders = [
            on_images(self._task, each, self._settings, self._deadline.whole)
            for each in contest.contenders
        ]
        if self._deadline.passed:
            raise DeadlineReachedError
        if contest.contenders:
            contest.choice = choose(contest.contenders, self._task.metric)
            self._refit(allowance.seeds)

    def _find_rate(self, kind: str, placements: Sequence[Placement | FullTuning]) -> float:
        """Find the learning rate of a kind, unless it is known."""
        rates = self._contest.rates
        if kind not in rates:
            rates[kind] = find_rate(self._rounds, kind, placements, self._settings, self._task.seed)
        return rates[kind].rate

    def _find_rates(self) -> dict[str, float]:
        """Find the rate of each adapter kind; one that always diverges leaves the contest."""
        asked = {kind: self._entrants.references_of(kind) for kind in self._entrants.kinds}
        found, errors = find_rates(self._rounds, asked, self._settings, self._task.seed)
        self._contest.rates |= found
        if not found and errors:
            raise errors[0]
        for reason in errors:
            self._progress.note(f"an adapter kind leaves the race: {reason}")
        return {kind: search.rate for kind, search in found.items()}

    def _timed(self, trials: Sequence[Trial], rates: Mapping[str, float]) -> list[Trial]:
        """Give trials the rates of their kinds, without those of kinds that have none."""
        return [with_rates(trial, rates) for trial in trials if set(kinds_of(trial)) <= set(rates)]

    def _race(
        self, allowance: Allowance, rates: Mapping[str, float], through: Sequence[Trial]
    ) -> list[Job]:
        """Race the field, without those that are `through` to the finals in any case."""
        contest = self._contest
        settled = {trial.placement for trial in through}
        field = [trial for trial in self._entrants.field if trial.placement not in settled]
        starters = self._timed(field, rates)[: allowance.field]
        rungs = plan_rungs(len(starters), allowance.top_k, self._settings.epochs)
        return race(self._rounds, starters, rungs, contest.rungs)

    def _searched(self) -> dict[str, float]:
        return {"seconds": self._elapsed()}

    def _refit(self, seeds: int) -> None:
        contest = self._contest
        contest.sides = self._sides()
        contest.trained = refit(
            self._rounds, contest.sides, seeds, self._settings.refit, self._progress.note
        )
        trained = {role for role, done in contest.trained.items() if done}
        missing = sorted(set(contest.sides) - trained)
        if self._deadline.passed and len(contest.trained[WINNER]) < seeds:
            raise DeadlineReachedError
        if missing:
            self._progress.note(f"the final training failed for {', '.join(missing)}")

    def _sides(self) -> dict[str, Trial]:
        """Winner and baselines by role; a note names each baseline that cannot be trained."""
        winner = self._contest.winner
        sides: dict[str, Trial] = {WINNER: winner.outcomes[0].trial}
        for baseline in self._entrants.baselines:
            if baseline.role is winner.role:
                continue
            try:
                sides[str(baseline.role)] = self._with_rate(baseline)
            except UserError as error:
                self._progress.note(f"{baseline.role} is not compared: {error}")
        return sides

    def _with_rate(self, baseline: Trial) -> Trial:
        """Give a baseline the rate of its kind, or, if the kind is not searched, one of its own."""
        entrants, role = self._entrants, str(baseline.role)
        if baseline is entrants.head_only or baseline in entrants.may_win:
            rates = {kind: found.rate for kind, found in self._contest.rates.items()}
            missing = set(kinds_of(baseline)) - set(rates)
            if missing:
                raise UserError(f"no learning rate was found for {', '.join(sorted(missing))}")
            return with_rates(baseline, rates)
        # Another variant of LoRA than the baseline's may be searched.
        kind = f"{role}-baseline" if role in entrants.kinds else role
        return replace(baseline, learning_rate=self._find_rate(kind, [baseline.placement]))

    def _allowance(self) -> Allowance:
        task, settings, entrants = self._task, self._settings, self._entrants
        asked = len(entrants.field), count_comparisons(task, settings)
        granted = afford(
            settings,
            *asked,
            Sides.of(task, settings, entrants.baselines, entrants.may_win, entrants.kinds),
            seconds_per_training=self._seconds_per_training(),
            seconds=self._deadline.left,
        )
        if (granted.field, granted.folds, granted.seeds) != (*asked, settings.seeds):
            self._progress.note(
                "to fit --budget, the search is reduced; candidates: "
                f"{granted.field}, finalists: {granted.top_k}, folds or seeds to compare them on: "
                f"{granted.folds}, seeds for the test: {granted.seeds}"
            )
        return granted

    def _seconds_per_training(self) -> float:
        """As measured so far; estimated if rates were given, so that nothing has been trained."""
        measured = self._rounds.seconds_per_epoch * self._settings.epochs
        return measured if math.isfinite(measured) else self._unit

    def _finished(self) -> list[Contender]:
        """Contenders, where the time was up before the finalists were compared."""
        roles = (Role.HEAD_ONLY, Role.EVERY_BLOCK, Role.LORA, Role.CANDIDATE)
        return [
            Contender([outcome], self._entrants.prior(outcome.placement))
            for outcome in self._rounds.ended
            if outcome.trial.role in roles and outcome.is_done
        ]


def _further(task: Task, folds: int) -> list[Images]:
    """What finalists are compared on after the first fold."""
    if not task.data.made_val:
        return [Images()] * (folds - 1)
    return [Images("fold", number) for number in range(2, folds + 1)]
