"""A trial is repeatable, learns, starts at the head-only result, and its shortcuts are exact."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from autoplace.errors import UserError
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import (
    Deadline,
    Trial,
    fresh_model,
    predict_split,
    resolve_device,
    run_trial,
    run_trials,
    score,
    train_model,
    trained_model,
)
from predictors.vocabulary import Status

SETTINGS = TrialSettings(epochs=3, batch_size=8)
RATE = 3e-3
PLACEMENTS = {
    "sequential": "11>11@bottleneck:r=4",
    "parallel": "16>17@bottleneck:r=4",
    "long-range": "3>20@linear:r=4",
    "recurrent": "20>9@bottleneck:r=4",
    "recurrent, three passes": "20>9@bottleneck:r=4;T=3",
    "mixed": "2>12+8>8+14>15+22>10@bottleneck:r=4",
    "mixed, three passes": "2>12+5>23+18>13@linear:r=4+22>10@bottleneck:r=4;T=3",
    "head-only": "head-only",
}


@pytest.mark.parametrize("text", PLACEMENTS.values(), ids=PLACEMENTS)
def test_cached_suffix_training_equals_uncached_training(make_task, task, text):
    placement = Placement.parse(text)
    notes = []
    uncached_task = make_task(notes.append, cache_gb=0.0, cache_dir="/no/such/folder")
    cached = run_trial(task, placement, SETTINGS, seed=1, learning_rate=RATE)
    uncached = run_trial(uncached_task, placement, SETTINGS, seed=1, learning_rate=RATE)
    assert "computed again at each step" in notes[0]
    np.testing.assert_allclose(cached.step_losses, uncached.step_losses, rtol=1e-5)
    assert cached.val.accuracy == uncached.val.accuracy


def test_the_same_seed_gives_the_same_trial_and_another_does_not(task):
    placement = Placement.parse(PLACEMENTS["mixed"])
    first, again = (
        run_trial(task, placement, SETTINGS, seed=3, learning_rate=RATE) for _ in range(2)
    )
    other = run_trial(task, placement, SETTINGS, seed=4, learning_rate=RATE)
    assert first.step_losses == again.step_losses
    assert first.step_losses != other.step_losses


def test_a_trial_starts_at_the_head_only_result_and_training_lowers_the_loss(task):
    placement = Placement.parse(PLACEMENTS["parallel"])
    head_logits, _ = predict_split(task, fresh_model(task, Placement(), 0), "val")
    logits, labels = predict_split(task, fresh_model(task, placement, 0), "val")
    np.testing.assert_allclose(logits, head_logits, rtol=1e-4, atol=1e-4)
    result = run_trial(task, placement, SETTINGS, seed=0, learning_rate=RATE)
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss
    assert len(result.epochs) == SETTINGS.epochs
    assert result.val == result.epochs[-1].val
    final, _ = predict_split(task, trained_model(task, result), "val")
    assert score(final, labels) == result.val


def test_a_given_model_trains_each_kind_at_the_rate_of_its_trial(task):
    placement = Placement.parse("0>1@lora:r=2+2>12@bottleneck:r=4")
    rates = (("bottleneck", 0.01), ("lora", 0.03))
    trial = Trial(placement, 1, learning_rate=RATE, rates=rates)
    (expected,) = run_trials(task, [trial], SETTINGS)
    model = fresh_model(task, placement, seed=1)
    *_, found = train_model(task, model, trial, SETTINGS)
    assert found.step_losses == expected.step_losses
    (alike,) = run_trials(task, [Trial(placement, 1, learning_rate=RATE)], SETTINGS)
    assert alike.step_losses != expected.step_losses


def test_the_callers_random_state_is_left_alone(task):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run_trial(task, Placement.parse("3>20"), TrialSettings(epochs=1), 0, learning_rate=1e-3)
    assert torch.equal(torch.rand(3), expected)


def test_a_deadline_stops_between_steps(task):
    trial = Trial(Placement.parse("3>20"), seed=0)
    (outcome,) = run_trials(task, [trial], SETTINGS, deadline=Deadline(0.0))
    assert outcome.status is Status.INTERRUPTED
    assert not (outcome.step_losses or outcome.state)


def test_a_loss_that_becomes_infinite_fails_the_trial_with_a_reason(task):
    placement = Placement.parse("3>20@linear:r=4")
    outcome = run_trial(task, placement, SETTINGS, seed=0, learning_rate=1e30)
    assert outcome.status is Status.FAILED
    assert "lower the learning rate (1e+30)" in outcome.reason


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("7", 7)]
)
def test_budgets_end_when_they_say_less_what_is_held_back(text, seconds, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    deadline = Deadline.parse(text)
    usable = seconds - min(0.15 * seconds, 30.0)
    now = 1000.0 + usable - 0.01
    assert not deadline.passed
    now = 1000.0 + usable + 0.01
    assert deadline.passed


@pytest.mark.parametrize("text", ["", "soon", "-3m", "0s", "5 days"])
def test_nonsense_budgets_are_refused(text):
    with pytest.raises(UserError, match="20m"):
        Deadline.parse(text)


@pytest.mark.skipif(torch.cuda.is_available(), reason="speaks of machines without CUDA")
def test_cuda_that_is_absent_is_refused():
    with pytest.raises(UserError, match="--device cpu"):
        resolve_device("cuda")


def test_settings_do_not_load_torch():
    code = "import autoplace.settings, sys, json; print(json.dumps('torch' in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(out.stdout) is False
