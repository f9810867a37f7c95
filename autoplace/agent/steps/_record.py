"""Record an invocation: its start, its probe and its end."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import torch

from autoplace.agent.steps._probe import Probe
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._provenance import git_commit, library_versions
from autoplace.settings import CollectSettings, MergeSettings, PickSettings
from autoplace.tracking import Journal, Past, Store
from autoplace.training import OPTIMISER, Task

ROLE_TAG, TASK_TAG = "autoplace.role", "autoplace.task"
WEIGHTS_TAG = "autoplace.backbone_sha256"
COMMIT_TAG, VERSIONS_TAG = "autoplace.git_commit", "autoplace.versions"
DEVICE_TAG, THREADS_TAG = "autoplace.device", "autoplace.threads"
OPTIMISER_TAG = "autoplace.optimiser"
MEASURE_TAG = "autoplace.measure"  # whether the task has a measurement split
RESUMABLE = ("pick", "collect")

T = TypeVar("T")


class Record:
    """One invocation: its parent run and its run folder.

    As a context manager, it ends the run as FINISHED, as KILLED on an interrupt, or as FAILED.

    Parameters
    ----------
    store : Store
        Where it is recorded.
    task : Task
        The task that the invocation works on.
    command : str
        `pick`, `collect` or `merge`.
    settings : PickSettings, CollectSettings or MergeSettings
        Options of the invocation.
    probe : Probe or None
        What was measured before any training, if anything.
    progress : Progress
        Notified of the run, and if MLflow is lost.
    past : Past, optional
        The run to continue, instead of a new one.
    rest : sequence of str, default=()
        Data that the command goes on with after this run.

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
        *,
        past: Past | None = None,
        rest: Sequence[str] = (),
    ) -> None:
        self._past = past
        self._is_resumable = command in RESUMABLE
        self.task = task
        self.settings = settings
        self.probe_key = probe.key if probe else ""
        data = task.data
        # The resolved address of the store, not the option, and never its password.
        params = {"data": data.source} | settings.as_dict() | {"store": store.address}
        tags = {
            ROLE_TAG: command,
            TASK_TAG: task.fingerprint,
            "autoplace.family": data.family,
            "autoplace.group": data.group,
            "autoplace.backbone": task.chain.name,
            WEIGHTS_TAG: task.chain.weights_sha256,
            COMMIT_TAG: git_commit() or "unknown",
            VERSIONS_TAG: library_versions(),
            OPTIMISER_TAG: OPTIMISER,
            DEVICE_TAG: task.device.type,
            THREADS_TAG: torch.get_num_threads(),
            MEASURE_TAG: task.data.measurement is not None,
        }
        name = f"{command} {data.name}"
        self.journal = (
            Journal(store, data.name, name, params, tags, progress.note, rest)
            if past is None
            else Journal.resume(past, progress.note)
        )
        try:
            if self._is_resumable:
                progress.note(f"should it be interrupted, continue with: {self._command}")
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
            self.journal.make_room()
            more = f"\ncontinue with: {self._command}" if self._is_resumable else ""
            error.add_note(self.journal.kept() + more)
        try:
            self.journal.tell(lambda run: run.log_json(self._issues(), "data_issues.json"))
        except KeyboardInterrupt:
            kind = kind or KeyboardInterrupt
            raise
        finally:
            self.journal.finish(run_status(kind))
            if kind is None:  # nobody will need them
                shutil.rmtree(self.trials_folder, ignore_errors=True)

    def decide(self, name: str, choose: Callable[[], T]) -> T:
        """Return what was decided before the run was resumed, or else decide now, and record it.

        Parameters
        ----------
        name : str
            What is decided.
        choose : callable
            Gives plain JSON values.
        """
        earlier: T | None = None if self._past is None else self._past.decision(name)
        if earlier is not None:
            return earlier
        chosen = choose()
        self.journal.record_decision(name, chosen)
        return chosen

    @property
    def trials_folder(self) -> Path:
        """Folder of the trials' files, for as long as the run is not finished."""
        return self.journal.folder / "trials"

    @property
    def _command(self) -> str:
        """The command that continues the run."""
        store = self.journal.run.store
        is_default = store.address == Store().address
        option = "" if is_default else f" --store {shlex.quote(store.address)}"
        return f"autoplace resume {self.journal.run.run_id}{option}"

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
        if probe is not None and (self._past is None or self._past.probe() is None):
            self.journal.record_probe(probe.key, vars(probe.tables))


def run_status(kind: type[BaseException] | None) -> Literal["FINISHED", "FAILED", "KILLED"]:
    """How an invocation ends, if `kind` has stopped it."""
    if kind is None:
        return "FINISHED"
    # KILLED: KeyboardInterrupt, or GeneratorExit if a caller stops iterating over `collect`.
    return "FAILED" if issubclass(kind, Exception) else "KILLED"
