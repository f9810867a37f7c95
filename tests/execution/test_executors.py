"""Every executor gives the same events and results, here or in other processes."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

from autoplace.execution import InProcessExecutor, TrialStarted
from autoplace.execution._ray_worker import TaskOrder, TrialWorker
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import (
    Deadline,
    Epoch,
    Outcome,
    Remedy,
    Trial,
    open_outcome,
    start_outcome,
    start_state,
)
from predictors.vocabulary import Role, Status

SETTINGS = TrialSettings(epochs=2, batch_size=16)
CALM = Remedy(rate_factor=0.5, float32=True)


def trial_for(text: str, rate: float = 3e-3) -> Trial:
    return Trial(Placement.parse(text), 0, Role.CANDIDATE, "single", learning_rate=rate)


THREE = [trial_for(text) for text in ("20>22@bottleneck:r=2", "3>20@linear:r=2", "9>2")]


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def outcomes(events):
    return {outcome.trial: outcome for outcome in of(Outcome, events)}


@pytest.fixture(scope="module")
def alone(opened):
    """What each trial gives alone in this process."""
    return outcomes(InProcessExecutor(opened, SETTINGS, Deadline()).run(THREE))


def check_equal(ours, theirs, exact):
    assert ours.status is theirs.status
    if not exact:
        assert ours.step_losses == pytest.approx(theirs.step_losses, rel=1e-4)
        return
    assert ours.step_losses == theirs.step_losses
    assert ours.epochs == theirs.epochs
    assert ours.parameters == theirs.parameters
    assert list(ours.state) == list(theirs.state)
    for name, tensor in ours.state.items():
        assert torch.equal(tensor, theirs.state[name])


def test_each_trial_has_a_start_then_its_epochs_then_an_outcome_that_is_done(create):
    events = list(create(SETTINGS).run(THREE))
    found = outcomes(events)
    assert set(found) == set(THREE)
    for trial, outcome in found.items():
        assert (outcome.status, outcome.reason) == (Status.DONE, None)
        own = [event for event in events if event.trial == trial]
        assert [type(event) for event in own] == [TrialStarted, Epoch, Epoch, Outcome]
        assert outcome.epochs == own[1:-1]
        assert [epoch.number for epoch in outcome.epochs] == [1, 2]
        assert outcome.seconds > 0


def test_a_trial_gives_the_same_bits_as_alone_in_this_process(create, alone):
    for trial, outcome in outcomes(create(SETTINGS).run([*THREE, trial_for("2>5")])).items():
        if trial in alone:
            check_equal(outcome, alone[trial], create.exact)


def test_paused_trials_continue_on_any_worker_and_do_not_start_again(create, alone):
    executor = create(SETTINGS)
    paused = list(outcomes(executor.run(THREE, until=1)).values())
    assert all(outcome.is_paused for outcome in paused)
    events = list(executor.run(paused[::-1]))
    assert of(TrialStarted, events) == []
    assert [epoch.number for epoch in of(Epoch, events)] == [2, 2, 2]
    for trial, outcome in outcomes(events).items():
        check_equal(outcome, alone[trial], create.exact)


def test_a_trial_that_starts_from_given_adapters_starts(create, opened, alone):
    start = start_outcome(opened, THREE[0], start_state(opened, THREE[0], adapters={}))
    events = list(create(SETTINGS).run([start]))
    assert [type(event) for event in events] == [TrialStarted, Epoch, Epoch, Outcome]
    check_equal(events[-1], alone[THREE[0]], create.exact)


def test_a_placement_gives_the_same_bits_as_candidate_that_pauses_and_as_baseline(create):
    candidate = trial_for("2>5+9>2@bottleneck:r=4")
    baseline = replace(candidate, role=Role.EVERY_BLOCK, chosen_by="every-block")
    executor = create(SETTINGS)
    raced = outcomes(executor.run([candidate, *THREE], until=1))[candidate]
    done = outcomes(executor.run([raced, baseline]))
    assert len(done) == 2
    ours, theirs = done[candidate], done[baseline]
    check_equal(
        replace(ours, epochs=[epoch.val for epoch in ours.epochs]),
        replace(theirs, epochs=[epoch.val for epoch in theirs.epochs]),
        create.exact,
    )


def test_a_caller_that_stops_reading_stops_the_trials_and_can_run_others(create, alone):
    events = create(TrialSettings(epochs=1000)).run(THREE)
    assert next(events)
    events.close()
    found = outcomes(create(SETTINGS).run(THREE[:1]))
    check_equal(found[THREE[0]], alone[THREE[0]], create.exact)


def test_a_deadline_that_has_passed_starts_no_trial(create):
    assert list(create(SETTINGS, Deadline(0.0)).run(THREE)) == []


def test_a_deadline_that_passes_during_trials_interrupts_them_and_the_rest_do_not_start(create):
    deadline, events = Deadline(3600.0), []
    trials = [*THREE, trial_for("2>5"), trial_for("5>7"), trial_for("6>8")]
    for event in create(TrialSettings(epochs=1000, batch_size=16), deadline).run(trials):
        events.append(event)
        if isinstance(event, Epoch):
            deadline._end = 0.0  # the time is up
    found = outcomes(events)
    assert {event.trial for event in of(TrialStarted, events)} == set(found)
    assert set(found) < set(trials)
    for outcome in found.values():
        assert (outcome.status, outcome.reason, outcome.state) == (Status.INTERRUPTED, None, {})
        assert len(outcome.epochs) < 1000
    assert any(outcome.epochs for outcome in found.values())


def test_a_deadline_in_seconds_holds_where_trials_run(create):
    deadline = Deadline(4.0)
    found = outcomes(create(TrialSettings(epochs=100_000), deadline).run(THREE))
    assert deadline.passed
    assert {outcome.status for outcome in found.values()} <= {Status.INTERRUPTED}


def test_a_trial_whose_numbers_overflow_runs_again_as_its_remedy_says_then_fails(create):
    bad, notes = trial_for("3>20@linear:r=2", rate=1e30), []
    found = outcomes(create(SETTINGS, notify=notes.append).run([bad, THREE[1]]))
    assert (found[bad].status, found[bad].state) == (Status.FAILED, {})
    assert found[bad].remedy == CALM
    assert "lower the learning rate" in found[bad].reason
    assert any("running it again in float32 at 0.5 times the learning rate" in n for n in notes)
    assert found[THREE[1]].status is Status.DONE


def test_a_trial_keeps_its_remedy_wherever_it_continues(create, opened):
    jobs = [replace(open_outcome(opened, THREE[0]), remedy=replace(CALM, parts=2))]
    (whole,) = outcomes(InProcessExecutor(opened, SETTINGS, Deadline()).run(jobs)).values()
    (paused,) = outcomes(create(SETTINGS).run(jobs, until=1)).values()
    assert paused.is_paused
    (outcome,) = outcomes(create(SETTINGS).run([paused])).values()
    assert outcome.remedy == jobs[0].remedy
    check_equal(outcome, whole, create.exact)


def test_a_worker_short_of_memory_trains_with_half_the_batch(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the worker changes it
    worker = TrialWorker(str(tmp_path), cpus=1)
    worker.open(TaskOrder(opened.source, opened.fingerprint, SETTINGS))
    loop = sys.modules["autoplace.training._loop"].TrainingLoop
    train = loop._train

    def short_of_memory(self, *args):
        if self._outcomes[0].remedy is None:
            raise MemoryError
        return train(self, *args)

    monkeypatch.setattr(loop, "_train", short_of_memory)
    messages = list(worker.run(1, THREE[:1], None, None, THREE[:1]))
    (outcome,) = of(Outcome, messages)
    assert (outcome.status, outcome.remedy) == (Status.DONE, Remedy(parts=2))
    assert any("running it again each batch in 2 parts" in note for note in of(str, messages))


def test_images_that_cannot_be_read_are_known_here_wherever_they_were_read(create, opened):
    list(create(SETTINGS).run(THREE[:1]))
    record = opened.data.record
    images, bad = record.entries_after(0, 0)
    read = {path for _, path, _ in images}
    assert set(opened.data.train.paths) <= read
    assert bad == []
