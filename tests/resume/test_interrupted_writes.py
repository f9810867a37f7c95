"""An interrupt that comes while MLflow is written leaves no lock, and the run is closed."""

from __future__ import annotations

import signal
import threading

import pytest
from sqlalchemy.engine.default import DefaultDialect

from autoplace.tracking import Journal
from autoplace.tracking._interrupts import interrupts_held
from predictors.vocabulary import Status

ROW = {"trial_id": "one", "status": "done"}


def test_a_run_that_is_interrupted_in_any_statement_of_mlflow_is_closed_as_killed(
    new_store, monkeypatch
):
    store = new_store()
    whole, left, interrupted = DefaultDialect.do_execute, -1, 0

    def execute(self, cursor, statement, *args):
        nonlocal left
        whole(self, cursor, statement, *args)
        if not statement.startswith("PRAGMA"):
            left -= 1
            if left == 0:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(DefaultDialect, "do_execute", execute)
    for number in range(1, 100):
        # What is said would be that MLflow is lost.
        journal = Journal(store, "task", "pick task", {}, {}, pytest.fail)
        left = number
        try:
            journal.start_trial("one", "first", {"seed": 0}, {})
            journal.end_trial("one", Status.DONE, ROW, {"seconds": 1.0})
        except KeyboardInterrupt:
            interrupted += 1
            # Here, because the traceback keeps what a transaction has opened.
            journal.end_trial("one", Status.INTERRUPTED, None, {})
            journal.finish("KILLED")
        else:
            left = -1
            journal.finish("FINISHED")
            break
        runs = store.client.search_runs([journal.run.experiment_id])
        states = {run.info.run_id: run.info.status for run in runs}
        assert states.pop(journal.run.run_id) == "KILLED", number
        assert set(states.values()) <= {"FINISHED", "KILLED"}, number
    assert interrupted > 10


def test_an_interrupt_waits_for_the_end_of_the_block_and_handlers_are_put_back():
    handler = signal.getsignal(signal.SIGINT)
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        signal.raise_signal(signal.SIGINT)
        steps.append("after it")
    assert steps == ["after it"]
    assert signal.getsignal(signal.SIGINT) is handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_other_threads_are_left_alone():
    seen = []

    def work():
        with interrupts_held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
