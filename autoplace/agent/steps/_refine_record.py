"""Record a refinement: its run, the trainings without and with the procedure, and the result."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from autoplace.agent.steps._picked import Picked
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._provenance import git_commit
from autoplace.agent.steps._record import COMMIT_TAG, ROLE_TAG, run_status
from autoplace.settings import RefineSettings
from autoplace.tracking import Journal, Store
from autoplace.training import Epoch, Trial
from predictors.vocabulary import Status

Report = Callable[[Epoch], None]
End = Callable[[Mapping[str, float]], None]


class RefineRecord:
    """The run of a refinement; as a context manager, it ends the run.

    The trainings have no row in the placement log: predictors learn from plain trials only.

    Attributes
    ----------
    journal : Journal
        Writes to the ledger and to MLflow.
    """

    def __init__(
        self,
        store: Store,
        picked: Picked,
        procedure: str,
        settings: RefineSettings,
        progress: Progress,
    ) -> None:
        task = picked.task
        self._picked = picked
        self._params = (
            settings.as_dict()
            | picked.settings.as_dict()
            | {"data": picked.source, "run": picked.run_id, "procedure": procedure,
               "placement": str(picked.placement), "store": store.address}
        )  # fmt: skip
        tags = {
            ROLE_TAG: "refine",
            "autoplace.procedure": procedure,
            "autoplace.picked": picked.run_id,
            "autoplace.task": task.fingerprint,
            "autoplace.backbone": task.chain.name,
            COMMIT_TAG: git_commit() or "unknown",
        }
        name = f"refine {task.data.name}"
        self.journal = Journal(store, task.data.name, name, self._params, tags, progress.note)

    def __enter__(self) -> Self:
        params = self._params
        self.journal.tell(lambda run: run.log_json(params, "config.json"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.journal.kept())
        self.journal.finish(run_status(kind))

    @contextmanager
    def trial(self, trial: Trial, side: str) -> Iterator[tuple[Report, End]]:
        """Record a training: gives what takes its epochs, and what takes its final metrics."""
        trial_id = uuid.uuid4().hex
        params = {
            "placement": str(trial.placement),
            "side": side,
            "seed": trial.seed,
            "epochs": self._picked.settings.epochs,
            "learning_rate": trial.learning_rate,
            **({"rates": json.dumps(dict(trial.rates))} if trial.rates else {}),
        }
        self.journal.start_trial(
            trial_id, f"{side} procedure (seed {trial.seed})", params, {ROLE_TAG: trial.role}
        )
        final: dict[str, float] = {}

        def report(epoch: Epoch) -> None:
            metrics = {"train_loss": epoch.train_loss}
            if epoch.val is not None:
                metrics |= {"val_accuracy": epoch.val.accuracy, "val_loss": epoch.val.loss}
            self.journal.log_epoch(trial_id, epoch.number, metrics)

        status = Status.INTERRUPTED
        try:
            yield report, final.update
            status = Status.DONE
        except Exception:
            status = Status.FAILED
            raise
        finally:
            self.journal.end_trial(trial_id, status, None, final)

    def log_result(self, result: Mapping[str, Any]) -> None:
        """Log the comparison."""
        metrics = {
            f"{split}/{name}/{result['metric']}": sum(side[split]) / len(side[split])
            for name, side in result["sides"].items()
            for split in ("val", "test")
        }
        metrics |= {f"parameters/{n}": float(s["parameters"]) for n, s in result["sides"].items()}
        self.journal.tell(lambda run: run.log_metrics(metrics))
        self.journal.tell(lambda run: run.log_json(result, "result.json"))
