"""A trial that fails for a reason that can be cured runs again, once, and says so."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

from autoplace.execution import InProcessExecutor, TrialStarted
from autoplace.model import FullTuning
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import Deadline, Epoch, Outcome, Remedy, Trial, open_outcome, run_trials
from predictors.vocabulary import Role, Status

SETTINGS = TrialSettings(epochs=2, batch_size=9)  # the last batch of an epoch is of another size
HALVES = Remedy(parts=2)
CALM = Remedy(rate_factor=0.5, float32=True)
PLACEMENTS = [
    FullTuning() if text == "full" else Placement.parse(text)
    for text in (
        "head-only",
        "2>12+22>10@bottleneck:act=rational,r=4",
        "16>17+20>9@bottleneck:drop=0.5,r=2;T=3",
        "2>3+12>13@adaptformer:dropout=0.5,r=3",
        "2>3+12>13@lora:r=2+15>16@lora:r=3",
        "full",
    )
]


def trial_of(placement, role=Role.CANDIDATE, rate=3e-3):
    return Trial(placement, 0, role, "single", learning_rate=rate)


def with_remedy(task, trial, remedy):
    return replace(open_outcome(task, trial), remedy=remedy)


def run(task, jobs, settings=SETTINGS, until=None, **options):
    """Events and notes."""
    notes = []
    executor = InProcessExecutor(task, settings, Deadline(), notify=notes.append, **options)
    return list(executor.run(jobs, until)), notes


def outcomes(events):
    return [event for event in events if isinstance(event, Outcome)]


def breaking(monkeypatch, name, breaks):
    """Let the training loop's `name` do as `breaks(loop)` says first."""
    loop = sys.modules["autoplace.training._loop"].TrainingLoop
    whole = getattr(loop, name)

    def broken(self, *args):
        breaks(self)
        return whole(self, *args)

    monkeypatch.setattr(loop, name, broken)


def out_of_memory(monkeypatch, trial=None):
    """Memory holds half a batch of one trial, but no whole one."""

    def check(loop):
        asked = trial is None or trial in {outcome.trial for outcome in loop._outcomes}
        if asked and loop._remedy.parts == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    breaking(monkeypatch, "_forward", check)


@pytest.mark.parametrize("placement", PLACEMENTS, ids=str)
def test_a_batch_in_two_parts_gives_the_losses_of_the_whole_batch(task, placement):
    trial = trial_of(placement, rate=1e-3)
    (whole,) = run_trials(task, [trial], SETTINGS)
    (halves,) = run_trials(task, [with_remedy(task, trial, HALVES)], SETTINGS)
    assert len(halves.step_losses) == len(whole.step_losses)
    assert halves.step_losses == pytest.approx(whole.step_losses, rel=1e-3)
    for name, tensor in whole.state.items():
        # AdamW makes steps as long as the rate of gradients that are nothing but rounding.
        torch.testing.assert_close(halves.state[name], tensor, rtol=1e-2, atol=4e-4)


def test_the_first_gradients_of_parts_are_those_of_the_whole_batch_in_a_population(task):
    """Plain descent instead of AdamW, which would blow up rounding; class weights besides."""
    trials = [trial_of(p) for p in PLACEMENTS[:5]]
    settings = replace(SETTINGS, epochs=1, class_weights="balanced")
    found = []
    for remedy in (None, HALVES, Remedy(parts=7)):
        loop = sys.modules["autoplace.training._loop"].TrainingLoop(
            task, [with_remedy(task, t, remedy) for t in trials], settings, Deadline()
        )
        loop._optimiser.step = lambda: None
        loop._optimiser.zero_grad = lambda set_to_none: None  # so they add up over all batches
        loop._train(1)
        groups = loop._members.parameters_by_group().values()
        found.append([p.grad for parameters in groups for p in parameters])
    whole, *divided = found
    assert any(gradient.abs().max() > 0 for gradient in whole)
    for parts in divided:
        for ours, theirs in zip(parts, whole, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("side_by_side", [1, 2])
def test_a_trial_short_of_memory_runs_again_with_half_the_batch_twice_per_step(
    task, monkeypatch, side_by_side
):
    trials = [trial_of(placement) for placement in PLACEMENTS[:2]]
    expected = run_trials(task, [with_remedy(task, t, HALVES) for t in trials], SETTINGS)
    out_of_memory(monkeypatch)
    events, notes = run(task, trials, side_by_side=side_by_side)
    for outcome, other in zip(
        sorted(outcomes(events), key=lambda o: trials.index(o.trial)), expected, strict=True
    ):
        assert (outcome.status, outcome.remedy) == (Status.DONE, HALVES)
        assert outcome.step_losses == pytest.approx(other.step_losses, rel=1e-3)
        own = [type(event) for event in events if event.trial == outcome.trial]
        assert own == [TrialStarted, Epoch, Epoch, Outcome]
    assert sum("running it again each batch in 2 parts" in note for note in notes) == 2


def test_a_population_is_halved_before_the_batch_is(task, monkeypatch):
    trials = [trial_of(placement) for placement in PLACEMENTS[:3]]
    out_of_memory(monkeypatch, trials[1])
    events, notes = run(task, trials, side_by_side=3, threads=False)
    assert [(o.status, o.remedy) for o in outcomes(events)] == [
        (Status.DONE, None),
        (Status.DONE, HALVES),
        (Status.DONE, None),
    ]
    assert "running them in two halves" in notes[0]


def test_a_trial_that_is_always_short_of_memory_fails_once_it_was_tried_and_the_next_one_runs(
    task, monkeypatch
):
    first, second = trial_of(PLACEMENTS[1]), trial_of(PLACEMENTS[0])

    def check(loop):
        if loop._outcomes[0].trial == first:
            raise MemoryError

    breaking(monkeypatch, "_forward", check)
    events, notes = run(task, [first, second])
    failed, done = outcomes(events)
    assert (failed.status, failed.remedy, failed.checkpoint) == (Status.FAILED, HALVES, None)
    assert failed.reason.startswith("MemoryError: no message (in check, line ")
    assert failed.reason.endswith("it had run again each batch in 2 parts")
    assert len(notes) == 1
    assert (done.status, done.remedy) == (Status.DONE, None)


def test_a_paused_trial_short_of_memory_continues_where_it_was(task, monkeypatch):
    trial = trial_of(PLACEMENTS[3])
    (whole,) = run_trials(task, [trial], SETTINGS)
    (paused,) = run_trials(task, [trial], SETTINGS, until=1)
    with monkeypatch.context() as short:
        out_of_memory(short)
        events, _ = run(task, [paused])
    (outcome,) = outcomes(events)
    assert [event.number for event in events if isinstance(event, Epoch)] == [2]
    assert (outcome.status, outcome.remedy) == (Status.DONE, HALVES)
    assert outcome.step_losses == pytest.approx(whole.step_losses, rel=1e-3)
    assert paused.remedy is None


def diverging(monkeypatch, above, in_epoch=1):
    """Training diverges in an epoch at each rate that is higher than `above`."""
    loop = sys.modules["autoplace.training._loop"].TrainingLoop
    whole = loop._train

    def diverge(self, number):
        history = whole(self, number)
        for member in history:
            if number == in_epoch and self._outcomes[member].learning_rate > above:
                history[member][-1] = history[member][-1] * torch.nan
        return history

    monkeypatch.setattr(loop, "_train", diverge)


@pytest.mark.parametrize("side_by_side", [1, 2])
@pytest.mark.parametrize("in_epoch", [1, 2])
def test_a_trial_that_diverges_starts_again_in_float32_at_half_the_rate(
    task, monkeypatch, in_epoch, side_by_side
):
    wild, tame = trial_of(PLACEMENTS[1], rate=8e-3), trial_of(PLACEMENTS[2], rate=2e-3)
    expected = run_trials(task, [replace(wild, learning_rate=4e-3), tame], SETTINGS)
    diverging(monkeypatch, above=5e-3, in_epoch=in_epoch)
    events, notes = run(task, [wild, tame], side_by_side=side_by_side, threads=False)
    found = {outcome.trial: outcome for outcome in outcomes(events)}
    assert [(found[t].status, found[t].remedy) for t in (wild, tame)] == [
        (Status.DONE, CALM),
        (Status.DONE, None),
    ]
    for trial, other in zip((wild, tame), expected, strict=True):
        assert found[trial].step_losses == pytest.approx(other.step_losses, rel=1e-3)
    assert found[wild].learning_rate == 4e-3
    numbers = [e.number for e in events if isinstance(e, Epoch) and e.trial == wild]
    assert numbers == [*range(1, in_epoch), 1, 2]
    (note,) = notes
    assert f"infinite in epoch {in_epoch}" in note
    assert "running it again in float32 at 0.5 times the learning rate" in note


def test_a_trial_that_diverges_twice_fails(task, monkeypatch):
    diverging(monkeypatch, above=1e-3)
    (outcome,) = outcomes(run(task, [trial_of(PLACEMENTS[1], rate=8e-3)])[0])
    assert (outcome.status, outcome.remedy, outcome.epochs) == (Status.FAILED, CALM, [])
    assert "lower the learning rate (0.004)" in outcome.reason


def test_divergence_is_the_result_of_a_trial_that_helps_to_find_the_rate(task, monkeypatch):
    diverging(monkeypatch, above=5e-3)
    events, notes = run(task, [trial_of(PLACEMENTS[1], Role.RATE, rate=8e-3)])
    (outcome,) = outcomes(events)
    assert (outcome.status, outcome.remedy, notes) == (Status.FAILED, None, [])


def test_a_trial_with_a_remedy_keeps_it_when_it_pauses(task, monkeypatch):
    trial = trial_of(PLACEMENTS[3], rate=8e-3)
    (whole,) = run_trials(task, [with_remedy(task, trial, CALM)], SETTINGS)
    diverging(monkeypatch, above=5e-3)
    (paused,) = outcomes(run(task, [trial], until=1)[0])
    assert paused.is_paused
    assert paused.remedy == CALM
    events, notes = run(task, [paused, trial_of(PLACEMENTS[0])], side_by_side=2, threads=False)
    found = {outcome.trial: outcome for outcome in outcomes(events)}
    assert found[trial].step_losses == whole.step_losses
    assert notes == []


def test_a_trial_can_need_both_remedies(task, monkeypatch):
    diverging(monkeypatch, above=5e-3)
    out_of_memory(monkeypatch)
    (outcome,) = outcomes(run(task, [trial_of(PLACEMENTS[1], rate=8e-3)])[0])
    assert (outcome.status, outcome.remedy) == (Status.DONE, replace(CALM, parts=2))


def test_float32_means_the_cached_activations_too(make_task, task, monkeypatch):
    """Half precision overflows above 65,504."""
    trial = trial_of(PLACEMENTS[1])
    (expected,) = run_trials(task, [with_remedy(task, trial, CALM)], SETTINGS)
    rounded = make_task(cache_precision="float16")
    store = sys.modules["autoplace.training._node_store"].NodeStore
    whole = store.write

    def overflow(self, rows, values):
        whole(self, rows, values * 1e9 if self._values.dtype is torch.float16 else values)

    monkeypatch.setattr(store, "write", overflow)
    (outcome,) = outcomes(run(rounded, [trial])[0])
    assert (outcome.status, outcome.remedy) == (Status.DONE, CALM)
    assert outcome.step_losses == expected.step_losses


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyError, OSError, AssertionError])
def test_whatever_breaks_a_trial_is_its_outcome_with_the_last_lines_of_the_error(
    task, monkeypatch, error
):
    first, second = trial_of(PLACEMENTS[1]), trial_of(PLACEMENTS[0])

    def check(loop):
        if loop._outcomes[0].trial == first:
            raise error("one\ntwo\n\nthree\nfour")

    breaking(monkeypatch, "_train", check)
    failed, done = outcomes(run(task, [first, second])[0])
    assert (failed.status, failed.remedy) == (Status.FAILED, None)
    if error is not KeyError:
        assert failed.reason.startswith(f"{error.__name__}: two\nthree\nfour (in check, line ")
    assert done.status is Status.DONE


def test_activations_that_cannot_be_computed_in_advance_are_computed_by_the_trials(
    task, monkeypatch
):
    module = sys.modules["autoplace.execution._prepare"]

    def short_of_memory(*args):
        raise MemoryError

    monkeypatch.setattr(module, "prepare", short_of_memory)
    events, notes = run(task, [trial_of(p) for p in PLACEMENTS[:2]], side_by_side=2)
    assert [outcome.status for outcome in outcomes(events)] == [Status.DONE] * 2
    assert "not computed in advance" in notes[0]
