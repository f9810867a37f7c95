"""Record an invocation: its start, its probe and its end."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

from autoplace.agent.steps._probe import Probe
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._provenance import git_commit
from autoplace.settings import CollectSettings, MergeSettings, PickSettings
from autoplace.tracking import Journal, Store
from autoplace.training import Task

ROLE_TAG = "autoplace.role"


class Record:
    """One invocation: its parent run and its run folder.

    As a context manager, it ends the run as FINISHED, as KILLED on an interrupt, or as FAILED.

    Attributes
    ----------
    journal : Journal
        Writes to the ledger and to MLflow.
    task : Task
        The task that the invocation works on.
    settings : PickSettings, CollectSettings or MergeSettings
        Options of the invocation.
    probe_key : str
        Key of the probe that describes the task; empty if the invocation made none.
    """

    def __init__(
        self,
        store: Store,
        task: Task,
        command: str,
        settings: PickSettings | CollectSettings | MergeSettings,
        probe: Probe | None,
        progress: Progress,
    ) -> None:
        self.task = task
        self.settings = settings
        self.probe_key = probe.key if probe else ""
        data = task.data
        # The resolved address of the store, not the option, and never its password.
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
        name = f"{command} {data.name}"
        self.journal = Journal(store, data.name, name, params, tags, progress.note)
        try:
            self._describe(params, probe)
        except BaseException as error:  # the `with` block that would end the run has not started
            self.journal.finish(run_status(type(error)))
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.journal.kept())
        try:
            self.journal.tell(lambda run: run.log_json(self._issues(), "data_issues.json"))
        except KeyboardInterrupt:
            kind = kind or KeyboardInterrupt
            raise
        finally:
            self.journal.finish(run_status(kind))

    def _issues(self) -> dict[str, Any]:
        """Unreadable images, and equal images in different splits, which are always listed."""
        data = self.task.data
        return {
            "bad": [vars(image) for image in data.bad_images()],
            "equal_across_splits": [vars(images) for images in data.duplicates()],
            "content_fingerprint": data.content_fingerprint(),
        }

    def _describe(self, params: Mapping[str, Any], probe: Probe | None) -> None:
        """Record options, data set and, if there is one, the probe."""
        data = self.task.data
        self.journal.tell(lambda run: run.log_json(params, "config.json"))
        self.journal.tell(
            lambda run: run.log_dataset(data.name, data.fingerprint, data.source, data.profile())
        )
        if probe is not None:
            self.journal.record_probe(probe.key, vars(probe.tables))


def run_status(kind: type[BaseException] | None) -> Literal["FINISHED", "FAILED", "KILLED"]:
    """How an invocation ends, if `kind` has stopped it."""
    if kind is None:
        return "FINISHED"
    # KILLED: KeyboardInterrupt, or GeneratorExit if a caller stops iterating over `collect`.
    return "FAILED" if issubclass(kind, Exception) else "KILLED"
