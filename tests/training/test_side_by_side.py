"""Trials side by side are trials alone: the same losses, scores and tensors, each its own end."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import (
    Deadline,
    Epoch,
    Outcome,
    Trial,
    run_trial,
    run_trials,
    train,
)
from predictors.vocabulary import Status

SETTINGS = TrialSettings(epochs=3, batch_size=8)
PLACEMENTS = [
    Placement.parse(text)
    for text in (
        "head-only",
        "11>11@bottleneck:r=4",
        "16>17@bottleneck:r=4",
        "3>17@bottleneck:r=4",
        "16>17@linear:r=4",
        "20>9@bottleneck:r=4",
        "20>9@bottleneck:r=2;T=3",
        "2>12+8>8+14>15+22>10@bottleneck:r=4",
        "2>12+5>23+18>13@linear:r=4+22>10@bottleneck:r=4;T=3",
    )
]


@pytest.mark.parametrize("seeds", [[1] * 9, [1, 2, 3] * 3], ids=["one seed", "three seeds"])
def test_each_gives_what_it_gives_alone(task, seeds):
    trials = [
        Trial(placement, seed, learning_rate=rate)
        for placement, seed, rate in zip(PLACEMENTS, seeds, [3e-3, 1e-2, 3e-2] * 3, strict=True)
    ]
    together = run_trials(task, trials, SETTINGS)
    for trial, result in zip(trials, together, strict=True):
        alone = run_trial(task, trial.placement, SETTINGS, trial.seed, trial.learning_rate)
        np.testing.assert_allclose(result.step_losses, alone.step_losses, rtol=1e-4)
        assert result.val.accuracy == alone.val.accuracy
        assert result.val.loss == pytest.approx(alone.val.loss, rel=1e-4)
        assert result.parameters == alone.parameters
        assert set(result.state) == set(alone.state)
        for name, tensor in alone.state.items():
            torch.testing.assert_close(result.state[name], tensor, rtol=1e-3, atol=1e-4)


def test_one_that_diverges_fails_and_leaves_the_others_alone(task, monkeypatch):
    trials = [Trial(p, 1) for p in PLACEMENTS[1:5]]
    undisturbed = run_trials(task, trials, SETTINGS)
    module = sys.modules["autoplace.training._loop"]
    fresh = module.fresh_model

    def one_is_broken(task, placement, seed, *rest):
        model = fresh(task, placement, seed, *rest)
        if placement == PLACEMENTS[2]:
            model.adapter(placement.edges[0]).down.weight.data.fill_(torch.inf)
        return model

    monkeypatch.setattr(module, "fresh_model", one_is_broken)
    events = list(train(task, trials, SETTINGS))
    results = [event for event in events if isinstance(event, Outcome)]
    epochs = [event.trial for event in events if isinstance(event, Epoch)]
    assert results[1].status is Status.FAILED
    assert "became NaN or infinite in epoch 1" in results[1].reason
    assert not results[1].state
    assert trials[1] not in epochs
    for k in (0, 2, 3):
        np.testing.assert_allclose(results[k].step_losses, undisturbed[k].step_losses, rtol=1e-4)


def test_a_deadline_stops_all_between_steps(task):
    trials = [Trial(p, 0) for p in PLACEMENTS]
    for outcome in run_trials(task, trials, SETTINGS, deadline=Deadline(0.0)):
        assert outcome.status is Status.INTERRUPTED
        assert not (outcome.epochs or outcome.state)
