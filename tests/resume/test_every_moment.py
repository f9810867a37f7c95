"""A contest that is ended at any moment, and resumed, comes out as if it never was."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest
import torch

from autoplace.agent.steps import _contest
from autoplace.agent.steps._contest import Organiser
from autoplace.agent.steps._entrants import enter
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._propose import Candidate
from autoplace.agent.steps._record import Record
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.agent.steps._rounds import Rounds
from autoplace.agent.steps._space import search_space
from autoplace.execution import Executor, InProcessExecutor, SavingExecutor, TrialStarted, trial_key
from autoplace.placement import Placement
from autoplace.settings import PickSettings, TrialSettings
from autoplace.tracking import EventKind, Journal, open_past
from autoplace.tracking.ledger import _earlier
from autoplace.training import Checkpoint, Deadline, Epoch, Outcome, Scores, Trial, _loop
from experiments.faults.essence import trials_of
from predictors.vocabulary import Status

SETTINGS = PickSettings(
    field_size=3, top_k=1, epochs=3, seeds=1, adapter="bottleneck", patience=None
)
FIELD = ("20>22", "2>5+9>2", "7>3")


@dataclass
class Invented(Executor):
    """Yields events that follow from the trial alone; `before` is called before each."""

    epochs: int
    before: Callable[[], object] = lambda: None

    def run(self, jobs, until=None):
        for event in self._events(jobs, until):
            self.before()
            yield event

    def _events(self, jobs, until):
        for job in jobs:
            trial = job if isinstance(job, Trial) else job.trial
            outcome = Outcome(trial, parameters=1) if isinstance(job, Trial) else job.reopened()
            if not outcome.epochs:
                yield TrialStarted(trial)
            else:
                # What it continues from is what it was at that moment.
                assert outcome.checkpoint.state["w"].item() == len(outcome.epochs)
            total = trial.epochs or self.epochs
            rng = np.random.default_rng(int(trial_key(trial), 16))
            noise, fails = rng.normal(size=total + 1), rng.random() < 0.15
            for number in range(len(outcome.epochs) + 1, min(until or total, total) + 1):
                if fails and number == 2:
                    outcome = replace(outcome, status=Status.FAILED, reason="bad luck")
                    break
                loss = (math.log10(trial.learning_rate) + 2) ** 2 + 1 + noise[number] / 50
                val = None if trial.images.name == "all" else Scores(*[1 / loss] * 3, loss)
                outcome.epochs.append(Epoch(trial, number, loss, val))
                outcome.step_losses.append(loss)
                weights = {"w": torch.tensor([float(number)])}
                moments = {name: {"w": torch.zeros(1)} for name in ("exp_avg", "exp_avg_sq")}
                here = Checkpoint(number, weights, moments)
                paused = replace(outcome, epochs=list(outcome.epochs), checkpoint=here)
                kept = number < total and number % 2  # now and then
                yield replace(outcome.epochs[-1], paused=paused if kept else None)
            if outcome.status is Status.RUNNING:
                if len(outcome.epochs) == total:
                    outcome = replace(outcome, status=Status.DONE, checkpoint=None, state=weights)
                else:
                    outcome = paused
            yield outcome


@pytest.fixture(scope="module")
def entrants(task):
    space = search_space(task.chain, SETTINGS)
    field = [Candidate(Placement.parse(text), "single") for text in FIELD]
    return enter(task.chain, space, field, {c.placement: 0.01 for c in field}, SETTINGS)


def contest(store, task, entrants, inner, past=None):
    """Run a contest, new or resumed; what it amounts to, and the run folder."""
    with Record(store, task, "pick", SETTINGS, None, Progress(), past=past) as record:
        executor = SavingExecutor(inner, record.trials_folder)
        with TrialRecord(record) as trials:
            rounds = Rounds(executor, trials, Deadline(), task.metric, Progress())
            organiser = Organiser(
                task,
                entrants,
                SETTINGS,
                rounds,
                Deadline(),
                1.0,
                lambda: 0.0,
                Progress(),
                record.decide,
            )
            done = organiser.run()
    weights = {
        role: [outcome.state["w"].item() for outcome in outcomes]
        for role, outcomes in done.trained.items()
    }
    scores = [(c.placement, c.metric(task.metric), c.loss) for c in done.contenders]
    ended = {(outcome.trial, outcome.status, len(outcome.epochs)) for outcome in done.ended}
    return (done.winner.placement, done.rates, done.rungs, scores, weights, ended), record


@pytest.fixture
def quick(monkeypatch):
    """Only the run folder is written, and not synced: MLflow's side has tests of its own."""
    monkeypatch.setattr(Journal, "_try", lambda self, write, **options: True)
    monkeypatch.setattr(_earlier, "push_ledger", lambda store, ledger: 0)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    # Invented outcomes have no model that could predict images.
    monkeypatch.setattr(_contest, "on_images", lambda task, contender, *rest: contender)


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.faults)])
def test_a_contest_that_is_killed_at_any_moment_and_resumed_comes_out_the_same(
    new_store, task, entrants, quick, tmp_path, step
):
    store, moments = new_store(), []

    def keep() -> None:
        """Copy the run folder, as a process that is killed now would leave it."""
        (folder,) = store.folder.glob("runs/*")
        moments.append(tmp_path / f"{len(moments)}")
        shutil.copytree(folder, moments[-1], ignore=shutil.ignore_patterns("reserve"))

    whole, record = contest(store, task, entrants, Invented(SETTINGS.epochs, keep))
    folder, ledger = record.journal.folder, trials_of(record.journal.folder)
    assert len(moments) > 50
    for moment in moments[::step]:
        shutil.rmtree(folder)
        moment.rename(folder)
        with open_past(store, folder.name) as past:
            again, _ = contest(store, task, entrants, Invented(SETTINGS.epochs), past)
        assert again == whole, moment.name
        assert trials_of(folder) == ledger, moment.name


def test_a_contest_that_is_interrupted_again_and_again_comes_out_the_same(
    new_store, task, entrants, quick
):
    store, past, sessions = new_store(), None, 0

    def interrupt_after(events: int) -> Callable[[], None]:
        left = iter(range(events))

        def check() -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        return check

    whole, record = contest(store, task, entrants, Invented(SETTINGS.epochs))
    ledger = trials_of(record.journal.folder)
    while True:
        known = set(store.folder.glob("runs/*"))
        try:
            inner = Invented(SETTINGS.epochs, interrupt_after(5))
            again, record = contest(store, task, entrants, inner, past)
            break
        except KeyboardInterrupt:
            sessions += 1
            (folder,) = set(store.folder.glob("runs/*")) - known or {past.ledger.path.parent}
            past = open_past(store, folder.name)
    assert sessions > 10
    assert again == whole
    decided = [event for event in past.events if event.kind == EventKind.DECISION]
    # Not anew in each session.
    assert [event.name for event in decided] == ["allowance", "search"]
    assert trials_of(record.journal.folder) == ledger


TRIAL = Trial(Placement.parse("2>5+9>2@bottleneck:r=4"), 0, learning_rate=0.01)


def test_a_trial_that_is_interrupted_after_any_event_gives_the_same_bits(
    task, tmp_path, monkeypatch
):
    monkeypatch.setattr(_loop, "PAUSED_SECONDS", 0.0)
    settings = TrialSettings(epochs=4, batch_size=16)

    def executor(folder):
        return SavingExecutor(InProcessExecutor(task, settings, Deadline()), tmp_path / folder)

    (*told, whole) = executor("whole").run([TRIAL])
    for after in range(1, len(told) + 1):
        list(islice(executor(str(after)).run([TRIAL]), after))
        resumed = executor(str(after))
        (*again, outcome) = resumed.run([TRIAL])
        assert again == told
        assert outcome.step_losses == whole.step_losses
        # The last epoch has no checkpoint of its own, because the outcome follows at once.
        assert resumed.replayed == min(after - 1, 3)
        for name, tensor in whole.state.items():
            assert torch.equal(outcome.state[name], tensor)
