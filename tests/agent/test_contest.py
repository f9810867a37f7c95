"""Who is compared with the winner on test, and at which rates; trainings are told, not run."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from autoplace.agent.steps import _contest
from autoplace.agent.steps._contest import Organiser
from autoplace.agent.steps._entrants import enter
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._propose import Candidate
from autoplace.agent.steps._refit import WINNER
from autoplace.agent.steps._space import search_space
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import Deadline, Epoch, Images, Outcome, Scores, trial_of
from predictors.vocabulary import HEAD_ONLY, Role, Status

FIELD = {
    "bottleneck": ("20>22", "2>5"),
    "lora": ("0>1@lora:maps=qv,r=2", "2>3@lora:maps=qv,r=2"),
    "lora:maps=qkv": ("0>1@lora:maps=qkv,r=2", "2>3@lora:maps=qkv,r=2"),
    "lora:maps=u": ("1>2@lora:maps=u,r=2", "3>4@lora:maps=u,r=2"),
    "ssf": ("0>1@ssf", "2>3@ssf"),
}


class Told:
    """Rounds in which every placement has a best rate of its own; `breaks` says what fails."""

    metric, seconds_per_epoch = "accuracy", 1.0

    def __init__(self, breaks=lambda trial: False):
        self.breaks, self.ended = breaks, []

    @property
    def head_only(self):
        return next((o for o in self.ended if o.trial.role is Role.HEAD_ONLY), None)

    def run(self, name, jobs, until=None):
        outcomes = [self.outcome(trial_of(job), until) for job in jobs]
        self.ended += [outcome for outcome in outcomes if not outcome.is_paused]
        return outcomes

    def outcome(self, trial, until):
        outcome = Outcome(trial, parameters=1)
        if self.breaks(trial):
            return replace(outcome, status=Status.FAILED, reason="bad luck")
        away = math.log10(trial.learning_rate / best_rate(trial.placement))
        loss = 1 + away**2 + 4 * (str(trial.placement) == HEAD_ONLY)  # nothing collapses
        total = trial.epochs or 3
        for number in range(1, min(until or total, total) + 1):
            outcome.epochs.append(Epoch(trial, number, loss, Scores(*[1 / loss] * 3, loss)))
        paused = until is not None and until < total
        return replace(outcome, status=Status.RUNNING if paused else Status.DONE)

    def prune(self, paused):
        self.ended += [replace(outcome, status=Status.PRUNED) for outcome in paused]


def best_rate(placement):
    return 0.032 if "maps=qkv" in str(placement) else 0.0056


def contest(task, monkeypatch, adapter, breaks=lambda trial: False, **options):
    """Run a contest; return it, its entrants, its rounds and the notes."""
    monkeypatch.setattr(_contest, "on_images", lambda task, contender, *rest: contender)
    settings = PickSettings(
        field_size=2, top_k=1, epochs=3, seeds=1, folds=2, adapter=adapter, **options
    )
    space = search_space(task.chain, settings)
    field = [Candidate(Placement.parse(text), "single") for text in FIELD[adapter]]
    entrants = enter(task.chain, space, field, {c.placement: 0.01 for c in field}, settings)
    rounds, notes = Told(breaks), []
    progress = Progress()
    monkeypatch.setattr(progress, "note", notes.append)
    done = Organiser(
        task,
        entrants,
        settings,
        rounds,
        Deadline(),
        1.0,
        lambda: 7.0,
        progress,
        lambda name, decide: decide(),
    ).run()
    return done, entrants, rounds, notes


@pytest.mark.parametrize("baselines", ["minimal", "standard", "full"])
@pytest.mark.parametrize("adapter", FIELD)
def test_every_baseline_is_tested_once_at_a_rate_that_was_found_for_it(
    task, monkeypatch, adapter, baselines
):
    done, entrants, rounds, notes = contest(task, monkeypatch, adapter, baselines=baselines)
    assert (notes, done.search_seconds) == ([], 7.0)
    expected = {str(trial.role) for trial in entrants.baselines} - {str(done.winner.role)}
    assert set(done.sides) == set(done.trained) == {WINNER, *expected}
    placements = [trial.placement for trial in done.sides.values()]
    assert len(set(placements)) == len(placements)
    contenders = [contender.placement for contender in done.contenders]
    assert len(set(contenders)) == len(contenders)
    for role, trial in done.sides.items():
        if role in ("lora", "full"):
            judged = [o for o in rounds.ended if o.trial.role is Role.RATE
                      and o.placement == trial.placement]  # fmt: skip
            assert min(judged, key=lambda o: o.val.loss).trial.learning_rate == pytest.approx(
                trial.learning_rate, rel=0.5
            )


def test_lora_with_other_maps_than_the_baseline_has_a_rate_of_its_own(task, monkeypatch):
    done, *_ = contest(task, monkeypatch, "lora:maps=u")
    assert done.rates["lora"].rate == pytest.approx(best_rate("maps=u"), rel=0.1)
    assert done.rates["lora-baseline"].rate == done.sides["lora"].learning_rate
    assert all(re.fullmatch(r"[\w./ -]+", kind) for kind in done.rates)  # MLflow's metrics have it
    assert done.sides["lora"].learning_rate == pytest.approx(best_rate("maps=qkv"), rel=0.1)
    assert Role.LORA not in {contender.role for contender in done.contenders}


@pytest.mark.parametrize("role", [Role.EVERY_BLOCK, Role.LORA])
def test_a_baseline_that_fails_on_a_fold_cannot_win_but_is_tested(task, monkeypatch, role):
    lost = search_space(task.chain, PickSettings(adapter="lora"))
    placement = {Role.EVERY_BLOCK: lost.every_block, Role.LORA: lost.lora}[role]

    def breaks(trial):
        return trial.placement == placement and trial.images == Images("fold", 2)

    done, _, _, notes = contest(task, monkeypatch, "lora", breaks)
    assert role not in {contender.role for contender in done.contenders}
    assert str(role) in done.trained
    assert notes == [f"{role} {placement} cannot win: a training of it failed"]


def test_a_baseline_whose_kind_has_no_rate_is_named(task, monkeypatch):
    def breaks(trial):
        return "maps=qkv" in str(trial.placement)

    done, _, _, notes = contest(task, monkeypatch, "bottleneck", breaks)
    assert set(done.sides) | {str(done.winner.role)} == {WINNER, "head-only", "every-block"}
    assert len(notes) == 1
    assert notes[0].startswith("lora is not compared: training lora fails at every learning rate")
