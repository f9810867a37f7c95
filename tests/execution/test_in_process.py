"""What happens to trials becomes outcomes; what a user can fix goes through."""

from __future__ import annotations

import sys
import threading
from itertools import islice

import pytest
import torch

from autoplace.errors import UserError
from autoplace.execution import (
    InProcessExecutor,
    TrialStarted,
    count_side_by_side,
    parse_side_by_side,
)
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import Deadline, Epoch, Outcome, Trial
from predictors.vocabulary import Role, Status

SETTINGS = TrialSettings(epochs=2, batch_size=16)


def trial_for(text: str, rate: float = 3e-3) -> Trial:
    return Trial(Placement.parse(text), 0, Role.CANDIDATE, "single", learning_rate=rate)


def run(task, trials, settings=SETTINGS, deadline=None, **options):
    """All events."""
    executor = InProcessExecutor(task, settings, deadline or Deadline(), **options)
    return list(executor.run(trials))


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


THREE = [trial_for(text) for text in ("20>22@bottleneck:r=2", "3>20@linear:r=2", "9>2")]


@pytest.mark.parametrize("threads", [True, False], ids=["threads", "population"])
@pytest.mark.parametrize("side_by_side", [1, 2, 3])
def test_each_trial_has_a_start_then_its_epochs_then_an_outcome_that_is_done(
    task, side_by_side, threads
):
    events = run(task, THREE, side_by_side=side_by_side, threads=threads)
    outcomes = sorted(of(Outcome, events), key=lambda outcome: THREE.index(outcome.trial))
    assert [outcome.trial for outcome in outcomes] == THREE
    for outcome in outcomes:
        assert (outcome.status, outcome.reason) == (Status.DONE, None)
        own = [event for event in events if event.trial is outcome.trial]
        assert [type(event) for event in own] == [TrialStarted, Epoch, Epoch, Outcome]
        assert outcome.epochs == own[1:-1]
        assert [epoch.number for epoch in outcome.epochs] == [1, 2]


def test_a_trial_gives_the_same_bits_whatever_runs_beside_it(task):
    alone = {o.trial: o for trial in THREE for o in of(Outcome, run(task, [trial]))}
    for outcome in of(Outcome, run(task, [*THREE, trial_for("2>5")], side_by_side=3)):
        if outcome.trial in alone:
            assert outcome.step_losses == alone[outcome.trial].step_losses
            for name, tensor in alone[outcome.trial].state.items():
                assert torch.equal(outcome.state[name], tensor)


def test_a_caller_that_stops_reading_stops_the_threads(task):
    executor = InProcessExecutor(task, TrialSettings(epochs=1000), Deadline(), side_by_side=2)
    events = executor.run(THREE)
    assert next(events)
    events.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("trial")]


def test_events_come_while_later_trials_have_not_started(task):
    executor = InProcessExecutor(task, SETTINGS, Deadline())
    first = list(islice(executor.run(THREE), 4))
    assert {event.trial for event in first} == {THREE[0]}
    assert isinstance(first[-1], Outcome)


def test_what_the_user_can_mend_is_no_failed_trial(task):
    with pytest.raises(UserError, match="99>3"):
        run(task, [trial_for("99>3")])


def test_trials_that_memory_cannot_hold_together_run_in_halves(task, monkeypatch):
    module = sys.modules["autoplace.execution._attempts"]
    whole, asked, notes = module.train, [], []

    def short_of_memory(task, trials, *args, **options):
        asked.append(len(trials))
        for event in whole(task, trials, *args, **options):
            yield event
            if len(trials) > 1 and isinstance(event, Epoch):
                raise RuntimeError("not enough memory: you tried to allocate a lot")

    alone = of(Outcome, run(task, THREE))
    monkeypatch.setattr(module, "train", short_of_memory)
    events = run(task, THREE, side_by_side=3, threads=False, notify=notes.append)
    outcomes = of(Outcome, events)
    for trial in THREE:
        assert [epoch.number for epoch in of(Epoch, events) if epoch.trial is trial] == [1, 2]
    assert asked == [3, 1, 2, 1, 1]
    assert [outcome.trial for outcome in outcomes] == THREE
    for ours, theirs in zip(outcomes, alone, strict=True):
        assert ours.step_losses == pytest.approx(theirs.step_losses, rel=1e-4)
    assert "3 placements side by side" in notes[0]
    assert "not enough memory" in notes[0]


def test_one_trial_that_breaks_alone_fails_with_its_reason(task, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(sys.modules["autoplace.execution._attempts"], "train", broken)
    (outcome,) = of(Outcome, run(task, THREE[:1]))
    assert outcome.status is Status.FAILED
    assert outcome.reason.startswith("RuntimeError: out of luck (in broken, line ")
    assert outcome.parameters > 0


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", ""])
def test_nonsense_numbers_of_placements_are_refused(text):
    with pytest.raises(UserError, match=r"at least 1, or 'auto'"):
        parse_side_by_side(text)


def test_as_many_run_side_by_side_as_asked_for_and_no_more_than_memory_holds(task):
    notes = []
    assert count_side_by_side("3", task, 32, notes.append) == 3
    assert 1 <= count_side_by_side("auto", task, 32, notes.append) <= 64
    assert not notes
    fitting = count_side_by_side("1000000000", task, 32, notes.append)
    assert 1 <= fitting < 1000000000
    assert f"holds {fitting} placements" in notes[0]
