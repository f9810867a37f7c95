"""The record of an invocation: tracking is told of its start, its trials and its end."""

from __future__ import annotations

import uuid
from types import TracebackType
from typing import Any, Self

from autoplace.agent._progress import Progress
from autoplace.agent._provenance import git_commit
from autoplace.agent.steps._probe import Probe
from autoplace.agent.steps._row import outcome_columns, trial_row
from autoplace.execution import TrialObserver
from autoplace.settings import CollectSettings, PickSettings
from autoplace.tracking import Journal, Store
from autoplace.training import Epoch, Outcome, Scores, Task, Trial, learning_rate
from predictors.vocabulary import Status

ROLE_TAG = "autoplace.role"
_NAME_LENGTH = 250  # characters of a run's name


class Record(TrialObserver):
    """One invocation: its parent run and run folder, and a child run per trial.

    As a context manager it ends the run FINISHED, KILLED on an interrupt, else FAILED; trials that
    have not ended by then are recorded as interrupted.

    Attributes
    ----------
    journal : Journal
        Ledger and MLflow, for what is not about trials.
    """

    def __init__(
        self,
        store: Store,
        task: Task,
        command: str,
        settings: PickSettings | CollectSettings,
        probe: Probe,
        progress: Progress,
    ) -> None:
        self._task = task
        self._settings = settings
        self._probe_key = probe.key
        self._open: dict[Trial, dict[str, Any]] = {}  # rows of trials that have not ended
        data = task.data
        # The store that is used, not the one that was asked for, and never its password.
        params = {"data": data.source} | settings.as_dict() | {"store": store.address}
        tags = {
            ROLE_TAG: command,
            "autoplace.task": task.fingerprint,
            "autoplace.family": data.family,
            "autoplace.group": data.group,
            "autoplace.backbone": task.chain.name,
            "autoplace.backbone_sha256": task.chain.weights_sha256,
            "autoplace.git_commit": git_commit() or "unknown",
        }
        self.journal = Journal(
            store, data.name, f"{command} {data.name}", params, tags, progress.note
        )
        self.journal.tell(lambda run: run.log_json(params, "config.json"))
        self.journal.tell(
            lambda run: run.log_dataset(data.name, data.fingerprint, data.source, data.profile())
        )
        tables = probe.tables
        self.journal.record_probe(
            probe.key, {"edges": tables.edges, "nodes": tables.nodes, "task": tables.task}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for row in self._open.values():
            self.journal.end_trial(row["trial_id"], Status.INTERRUPTED, row, {})
        # Images that could not be read, and equal ones across splits: listed, never silent.
        data = self._task.data
        issues = {
            "bad": [vars(image) for image in data.bad_images()],
            "equal_across_splits": [vars(images) for images in data.duplicates()],
            "content_fingerprint": data.content_fingerprint(),
        }
        self.journal.tell(lambda run: run.log_json(issues, "data_issues.json"))
        if kind is None:
            self.journal.finish("FINISHED")
        else:
            # KeyboardInterrupt, or GeneratorExit where a caller wants no more of `collect`.
            self.journal.finish("FAILED" if issubclass(kind, Exception) else "KILLED")

    def start_trial(self, trial: Trial) -> None:
        """Open the child run of a trial."""
        trial_id = uuid.uuid4().hex
        self._open[trial] = trial_row(self._task, self._settings, trial, trial_id, self._probe_key)
        rate = learning_rate(self._task.chain.name, len(trial.placement), self._settings.lr)
        params = {
            "placement": str(trial.placement),
            "n_edges": len(trial.placement),
            "chosen_by": trial.chosen_by,
            "seed": trial.seed,
            "epochs": self._settings.epochs,
            "batch_size": self._settings.batch_size,
            "learning_rate": rate.value,
            "learning_rate_source": rate.source,
            "weight_decay": self._settings.weight_decay,
        }
        name = f"{trial.role}: {trial.placement} (seed {trial.seed})"
        tags = {ROLE_TAG: trial.role}
        self.journal.start_trial(trial_id, name[:_NAME_LENGTH], params, tags)

    def log_epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Record the training loss and the validation scores of an epoch."""
        metrics = {"train_loss": epoch.train_loss} | _named("val", epoch.val)
        self.journal.log_epoch(self._open[trial]["trial_id"], epoch.number, metrics)

    def end_trial(self, outcome: Outcome, head_only: Outcome | None) -> dict[str, Any]:
        """Record the outcome of a trial that was started.

        Parameters
        ----------
        outcome : Outcome
            Done, failed or interrupted.
        head_only : Outcome, optional
            What gains are measured from.

        Returns
        -------
        dict
            The trial's row of the placement log.
        """
        row = self._open.pop(outcome.trial) | outcome_columns(self._task, outcome, head_only)
        names = ("parameters", "seconds", "test_metric", "test_accuracy")
        metrics = {name: row[name] for name in names if row.get(name) is not None}
        self.journal.end_trial(row["trial_id"], outcome.status, row, metrics)
        return row


def _named(split: str, scores: Scores) -> dict[str, float]:
    return {
        f"{split}_accuracy": scores.accuracy,
        f"{split}_balanced_accuracy": scores.balanced_accuracy,
        f"{split}_macro_f1": scores.macro_f1,
        f"{split}_loss": scores.loss,
    }
