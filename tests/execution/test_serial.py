"""What happens to a trial becomes an outcome; what is the user's to mend goes through."""

from __future__ import annotations

import pytest

from autoplace.errors import UserError
from autoplace.execution import SerialExecutor, TrialRequest
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import Deadline

SETTINGS = TrialSettings(epochs=2, batch_size=16, lr=3e-3)


def request_for(text: str, seed: int = 0) -> TrialRequest:
    return TrialRequest(Placement.parse(text), seed, "top-k", "single")


def test_a_finished_trial_is_done_and_tells_of_each_epoch(task):
    epochs = []
    request = request_for("20>22@bottleneck:r=2")
    outcome = SerialExecutor(task, SETTINGS, Deadline()).run(request, epochs.append)
    assert (outcome.status, outcome.reason) == ("done", None)
    assert outcome.request is request
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert outcome.result.epochs == epochs


def test_a_deadline_that_has_passed_interrupts_a_trial_without_a_result(task):
    outcome = SerialExecutor(task, SETTINGS, Deadline(0.0)).run(request_for("20>22"))
    assert (outcome.status, outcome.result, outcome.reason) == ("interrupted", None, None)


def test_a_trial_whose_numbers_overflow_fails_with_a_reason_and_the_next_one_runs(task):
    wild = TrialSettings(epochs=2, batch_size=16, lr=1e30)
    executor = SerialExecutor(task, wild, Deadline())
    outcome = executor.run(request_for("20>22@linear:r=2"))
    assert (outcome.status, outcome.result) == ("failed", None)
    assert "lower the learning rate" in outcome.reason
    assert SerialExecutor(task, SETTINGS, Deadline()).run(request_for("20>22")).status == "done"


def test_what_the_user_can_mend_is_no_failed_trial(task):
    with pytest.raises(UserError, match="99>3"):
        SerialExecutor(task, SETTINGS, Deadline()).run(request_for("99>3"))
