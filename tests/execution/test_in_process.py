"""What happens to trials becomes outcomes; what is the user's to mend goes through."""

from __future__ import annotations

import sys

import pytest

from autoplace.errors import UserError
from autoplace.execution import (
    InProcessExecutor,
    TrialRequest,
    count_side_by_side,
    parse_side_by_side,
)
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import Deadline

SETTINGS = TrialSettings(epochs=2, batch_size=16, lr=3e-3)


def request_for(text: str, seed: int = 0) -> TrialRequest:
    return TrialRequest(Placement.parse(text), seed, "top-k", "single")


THREE = [request_for(text) for text in ("20>22@bottleneck:r=2", "3>20@linear:r=2", "9>2")]


def test_finished_trials_are_done_and_tell_of_each_epoch(task):
    epochs = []
    outcomes = InProcessExecutor(task, SETTINGS, Deadline()).run(
        THREE, lambda request, epoch: epochs.append((request, epoch))
    )
    assert [outcome.request for outcome in outcomes] == THREE
    for outcome in outcomes:
        assert (outcome.status, outcome.reason) == ("done", None)
        told = [epoch for request, epoch in epochs if request is outcome.request]
        assert [epoch.number for epoch in told] == [1, 2]
        assert outcome.result.epochs == told


def test_a_deadline_that_has_passed_interrupts_trials_without_a_result(task):
    for outcome in InProcessExecutor(task, SETTINGS, Deadline(0.0)).run(THREE):
        assert (outcome.status, outcome.result, outcome.reason) == ("interrupted", None, None)


def test_a_trial_whose_numbers_overflow_fails_with_a_reason_and_the_next_one_runs(task):
    wild = TrialSettings(epochs=2, batch_size=16, lr=1e30)
    (outcome,) = InProcessExecutor(task, wild, Deadline()).run(THREE[1:2])
    assert (outcome.status, outcome.result) == ("failed", None)
    assert "lower the learning rate" in outcome.reason
    (outcome,) = InProcessExecutor(task, SETTINGS, Deadline()).run(THREE[1:2])
    assert outcome.status == "done"


def test_what_the_user_can_mend_is_no_failed_trial(task):
    with pytest.raises(UserError, match="99>3"):
        InProcessExecutor(task, SETTINGS, Deadline()).run([request_for("99>3")])


def test_trials_that_memory_cannot_hold_together_run_in_halves(task, monkeypatch):
    module = sys.modules["autoplace.execution._in_process"]
    whole, asked, notes = module.run_trials, [], []

    def short_of_memory(task, trials, *args, **options):
        asked.append(len(trials))
        if len(trials) > 1:
            raise RuntimeError("not enough memory: you tried to allocate a lot")
        return whole(task, trials, *args, **options)

    alone = InProcessExecutor(task, SETTINGS, Deadline()).run(THREE)
    monkeypatch.setattr(module, "run_trials", short_of_memory)
    outcomes = InProcessExecutor(task, SETTINGS, Deadline(), notes.append).run(THREE)
    assert asked == [3, 1, 2, 1, 1]
    assert [outcome.request for outcome in outcomes] == THREE
    for ours, theirs in zip(outcomes, alone, strict=True):
        assert ours.result.step_losses == pytest.approx(theirs.result.step_losses, rel=1e-4)
    assert "3 placements side by side" in notes[0]
    assert "not enough memory" in notes[0]


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
