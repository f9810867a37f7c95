"""A trial that pauses and continues is the trial that never paused, alone and side by side."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from autoplace.model import FullTuning
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import Deadline, Images, Trial, run_trials
from predictors.vocabulary import Status

SETTINGS = TrialSettings(epochs=4, batch_size=16)
TRIALS = [
    Trial(placement, 1, learning_rate=rate)
    for placement, rate in (
        (Placement(), 0.01),
        (Placement.parse("16>17@bottleneck:r=4"), 0.01),
        (Placement.parse("2>12+22>10@bottleneck:r=4"), 0.03),
        (Placement.parse("20>9@linear:r=2"), 0.01),
        (Placement.parse("16>17+20>9@bottleneck:drop=0.5,r=2"), 0.01),
    )
]
FULL = Trial(FullTuning(), 1, learning_rate=0.0003)
LORA = Trial(Placement.parse("2>3+12>13@lora:r=2+15>16@lora:r=3"), 1, learning_rate=0.01)


def in_parts(task, jobs, stops):
    for stop in stops:
        jobs = run_trials(task, jobs, SETTINGS, until=stop)
        assert all(outcome.is_paused and len(outcome.epochs) == stop for outcome in jobs)
    return run_trials(task, jobs, SETTINGS)


def assert_equal(ours, theirs):
    assert ours.status is theirs.status is Status.DONE
    assert ours.step_losses == theirs.step_losses
    assert ours.epochs == theirs.epochs
    assert not ours.is_paused
    for name, tensor in theirs.state.items():
        assert torch.equal(ours.state[name], tensor), name


@pytest.mark.parametrize("stops", [[1], [1, 2, 3]], ids=["once", "after every epoch"])
@pytest.mark.parametrize("trial", [*TRIALS, LORA, FULL], ids=lambda trial: str(trial.placement))
def test_one_that_paused_gives_the_same_bits(task, trial, stops):
    (whole,) = run_trials(task, [trial], SETTINGS)
    (parts,) = in_parts(task, [trial], stops)
    assert_equal(parts, whole)


def test_several_side_by_side_that_paused_give_the_same_bits(task):
    whole = run_trials(task, TRIALS, SETTINGS)
    for ours, theirs in zip(in_parts(task, TRIALS, [2]), whole, strict=True):
        assert_equal(ours, theirs)


def test_those_that_continue_after_others_dropped_out_give_what_they_would_give_alone(task):
    paused = run_trials(task, TRIALS, SETTINGS, until=2)
    left = run_trials(task, paused[1:3], SETTINGS)
    whole = run_trials(task, TRIALS[1:3], SETTINGS)
    for ours, theirs in zip(left, whole, strict=True):
        assert ours.step_losses == pytest.approx(theirs.step_losses, rel=1e-3)


def test_a_paused_outcome_can_be_continued_twice(task):
    (paused,) = run_trials(task, TRIALS[1:2], SETTINGS, until=1)
    first, second = (run_trials(task, [paused], SETTINGS)[0] for _ in range(2))
    assert len(paused.epochs) == 1
    assert_equal(second, first)


def test_a_trial_that_diverges_after_a_pause_has_failed_and_cannot_continue(task):
    (paused,) = run_trials(task, TRIALS[1:2], SETTINGS, until=1)
    for tensor in paused.checkpoint.state.values():
        tensor.fill_(torch.inf)
    (outcome,) = run_trials(task, [paused], SETTINGS)
    assert outcome.status is Status.FAILED
    assert not outcome.is_paused


def test_a_deadline_ends_a_paused_trial_that_continues(task):
    (paused,) = run_trials(task, TRIALS[1:2], SETTINGS, until=1)
    (outcome,) = run_trials(task, [paused], SETTINGS, deadline=Deadline(0.0))
    assert outcome.status is Status.INTERRUPTED
    assert not outcome.is_paused


def test_trials_on_all_images_have_no_validation(task):
    trial = Trial(TRIALS[1].placement, 0, images=Images("all"))
    (outcome,) = run_trials(task, [trial], TrialSettings(epochs=2, batch_size=16))
    assert [epoch.val for epoch in outcome.epochs] == [None, None]
    assert outcome.is_done
    assert len(outcome.step_losses) == 2 * -(-len(task.rows("fit")) // 16)


def test_a_trial_that_no_longer_improves_stops_and_is_done(task):
    settings = TrialSettings(epochs=30, batch_size=16, patience=2)
    (outcome,) = run_trials(task, [Trial(Placement(), 0, learning_rate=1e-9)], settings)
    assert outcome.is_done
    assert len(outcome.epochs) < 30
    losses = [epoch.val.loss for epoch in outcome.epochs]
    assert min(losses[-2:]) >= min(losses[:-2])
    (patient,) = run_trials(
        task, [Trial(Placement(), 0, learning_rate=1e-9)], TrialSettings(epochs=6, batch_size=16)
    )
    assert len(patient.epochs) == 6


def test_balanced_class_weights_change_training_only_where_classes_are_unequal(
    task, make_task, tmp_path, image_folder
):
    trial = Trial(TRIALS[1].placement, 0)
    plain, balanced = (
        run_trials(task, [trial], TrialSettings(epochs=1, batch_size=16, class_weights=kind))[0]
        for kind in ("none", "balanced")
    )
    counts = torch.bincount(torch.from_numpy(task.labels[task.rows("train")]))
    assert len(set(counts.tolist())) == 1
    assert plain.step_losses == pytest.approx(balanced.step_losses, rel=1e-5)
    folder = tmp_path / "uneven"
    for number, path in enumerate(sorted(image_folder.rglob("*.png"))):
        if path.parent.name != "red" or number % 2:
            (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            (folder / path.parent.name / path.name).write_bytes(path.read_bytes())
    uneven = make_task(folder=folder)
    plain, balanced = (
        run_trials(uneven, [trial], TrialSettings(epochs=1, batch_size=16, class_weights=kind))[0]
        for kind in ("none", "balanced")
    )
    assert all(a != b for a, b in pairwise([plain.step_losses[0], balanced.step_losses[0]]))
