"""Record trials: the start, the epochs and the outcome of each."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from autoplace.agent.steps._record import ROLE_TAG, Record
from autoplace.agent.steps._row import trial_row
from autoplace.execution import TrialEvent, TrialStarted, trial_key
from autoplace.training import Epoch, Outcome, Scores, Trial, open_outcome
from predictors.vocabulary import Role, Status

REMEDY_TAG = "autoplace.remedy"  # how the trial ran again after a failure
_NAME_LENGTH = 250  # longest name of a run, in characters
# Trials that have a row of the placement log: at the common rate, on the task's own split.
_LOGGED = (
    Role.HEAD_ONLY, Role.EVERY_BLOCK, Role.LORA, Role.CANDIDATE, Role.PANEL, Role.SAMPLE,
)  # fmt: skip


class TrialRecord:
    """Writes a child run and ledger lines for each trial of an invocation, and its row of the log.

    Trials that only help to choose, such as those of a rate race, have no row. As a context
    manager, it records trials that have not ended when it exits as interrupted.

    Parameters
    ----------
    record : Record
        The record of the invocation.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._ids: dict[Trial, str] = {}  # ids of the trials that have not ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Not failed: the fault is not the trial's, which runs again if the run is resumed.
        reason = f"{kind.__name__}: {error}" if kind and issubclass(kind, Exception) else None
        if kind is not None:
            self._record.journal.make_room()
        for trial in list(self._ids):
            outcome = open_outcome(self._record.task, trial)
            self.end(replace(outcome, status=Status.INTERRUPTED, reason=reason), None)

    def follow(self, events: Iterable[TrialEvent]) -> Iterator[Outcome]:
        """Record starts and epochs; yield outcomes, for the caller to `end` if they are over."""
        for event in events:
            match event:
                case TrialStarted(trial):
                    self._start(trial)
                case Epoch(trial, number, train_loss, val):
                    metrics = {"train_loss": train_loss}
                    if val is not None:
                        metrics |= _named("val", val)
                    self._record.journal.log_epoch(self._ids[trial], number, metrics)
                case Outcome():
                    yield event

    def end(self, outcome: Outcome, head_only: Outcome | None) -> dict[str, Any]:
        """Record the outcome of a trial that was started.

        Parameters
        ----------
        outcome : Outcome
            A done, failed, pruned or interrupted outcome.
        head_only : Outcome or None
            The outcome that gains are measured from.

        Returns
        -------
        dict
            The trial's row of the placement log; empty if it has none. The row of a trial that
            had ended before the run was resumed stays as it was.
        """
        record, trial_id = self._record, self._ids[outcome.trial]
        row: dict[str, Any] = dict(record.journal.earlier.row(trial_id) or {})
        if outcome.trial.role in _LOGGED and not row:
            row = trial_row(
                record.task, record.settings, outcome, head_only, trial_id, record.probe_key
            )
        metrics = {"parameters": float(outcome.parameters), "seconds": outcome.seconds}
        if outcome.test is not None:
            metrics |= _named("test", outcome.test)
        tags = {} if outcome.remedy is None else {REMEDY_TAG: outcome.remedy}
        record.journal.end_trial(
            trial_id, outcome.status, row or None, metrics, {key: str(v) for key, v in tags.items()}
        )
        del self._ids[outcome.trial]
        return row

    def has_row(self, trial: Trial) -> bool:
        """Whether a trial had ended, with a row, before the run was resumed."""
        return bool(self._record.journal.earlier.row(self._id(trial)))

    def _id(self, trial: Trial) -> str:
        """Unique id of a trial; the same when the run is resumed."""
        return uuid.uuid5(uuid.UUID(self._record.journal.invocation), trial_key(trial)).hex

    def _start(self, trial: Trial) -> None:
        """Open the child run of a trial."""
        settings = self._record.settings
        trial_id = self._ids[trial] = self._id(trial)
        params = {
            "placement": str(trial.placement),
            "chosen_by": trial.chosen_by,
            "seed": trial.seed,
            "epochs": trial.epochs or settings.epochs,
            "images": str(trial.images),
            "batch_size": settings.batch_size,
            "learning_rate": trial.learning_rate,
            **({"rates": json.dumps(dict(trial.rates))} if trial.rates else {}),
            "weight_decay": settings.weight_decay,
        }
        name = f"{trial.role}: {trial.placement} (seed {trial.seed})"
        tags = {ROLE_TAG: trial.role}
        self._record.journal.start_trial(trial_id, name[:_NAME_LENGTH], params, tags)


def _named(split: str, scores: Scores) -> dict[str, float]:
    return {
        f"{split}_accuracy": scores.accuracy,
        f"{split}_balanced_accuracy": scores.balanced_accuracy,
        f"{split}_macro_f1": scores.macro_f1,
        f"{split}_loss": scores.loss,
    }
