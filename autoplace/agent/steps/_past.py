"""What a run that is resumed was about, and whether that is still the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import torch

from autoplace.agent.steps._probe import Probe
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._provenance import git_commit, library_versions
from autoplace.agent.steps._record import (
    COMMIT_TAG,
    DEVICE_TAG,
    MEASURE_TAG,
    OPTIMISER_TAG,
    RESUMABLE,
    ROLE_TAG,
    TASK_TAG,
    THREADS_TAG,
    VERSIONS_TAG,
    WEIGHTS_TAG,
)
from autoplace.errors import UserError
from autoplace.execution import trial_from_dict
from autoplace.probing import ProbeTables
from autoplace.settings import Settings, create_settings
from autoplace.tracking import Past
from autoplace.training import OPTIMISER, Deadline, Task, Trial
from predictors.vocabulary import FIRST_OPTIMISER

# What the figures of a trial depend on; finished trials must come from the same versions.
_DECISIVE = ("autoplace", "torch", "timm", "numpy", "scikit-learn")
# Names of decisions: the trials of a collection; seconds before the ledger was opened.
TRIALS, SPENT = "trials", "seconds before"

SettingsT = TypeVar("SettingsT", bound=Settings)


def command_of(past: Past) -> str:
    """Return the command that started a run, if it can be resumed with this installation.

    Raises
    ------
    UserError
        It is another command, other versions of what trials depend on are installed, or it trained
        with another optimiser.
    """
    command = str(past.tags.get(ROLE_TAG))
    if command not in RESUMABLE:
        raise UserError(
            f"run {past.run.run_id} is of 'autoplace {command}', which cannot be resumed; "
            "start it again"
        )
    try:
        then, now = json.loads(past.tags[VERSIONS_TAG]), json.loads(library_versions())
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"run {past.run.run_id} was recorded by a version of autoplace that could not resume; "
            "start it again"
        ) from error
    changed = [name for name in _DECISIVE if then.get(name) != now.get(name)]
    if changed:
        other = ", ".join(f"{name} {then.get(name)} (here: {now.get(name)})" for name in changed)
        raise UserError(
            f"run {past.run.run_id} was started with {other}, and results of both do not compare; "
            "install these versions, or start it again"
        )
    optimiser = past.tags.get(OPTIMISER_TAG, FIRST_OPTIMISER)
    if optimiser != OPTIMISER:
        raise UserError(
            f"run {past.run.run_id} trained with {optimiser} (here: {OPTIMISER}), and results of "
            "both do not compare; start it again"
        )
    return command


def settings_of(past: Past, kind: type[SettingsT], given: Mapping[str, Any]) -> SettingsT:
    """Return the options that a run was started with.

    Parameters
    ----------
    past : Past
        The run.
    kind : type of Settings
        Settings of its command.
    given : mapping of str to value
        Options that differ now, because files have moved; None counts as not given.
    """
    recorded = past.options
    options = {each.name: recorded[each.name] for each in fields(kind) if each.name in recorded}
    options |= {name: value for name, value in given.items() if value is not None}
    return create_settings(kind, options | {"store": None})


def check_unchanged(past: Past, task: Task, progress: Progress) -> None:
    """Check that the task is the one that the run has trained on.

    Raises
    ------
    UserError
        Data, weights or device are others.
    """
    run, tags, data = past.run.run_id, past.tags, task.data
    if tags.get(WEIGHTS_TAG) != task.chain.weights_sha256:
        raise UserError(
            f"the weights of backbone '{task.chain.name}' are not those that run {run} has used; "
            "give those with --checkpoint, or start it again"
        )
    if tags.get(TASK_TAG) != task.fingerprint:
        raise UserError(
            f"{data.source} has changed since run {run} was started; "
            "restore it, or give the same data with --data, or start the run again"
        )
    if tags.get(DEVICE_TAG) != task.device.type:
        raise UserError(
            f"run {run} has trained on the device '{tags.get(DEVICE_TAG)}', and this is "
            f"'{task.device.type}'; resume it there, or start it again"
        )
    threads, commit = torch.get_num_threads(), git_commit() or "unknown"
    if tags.get(THREADS_TAG) != threads:
        progress.note(
            f"the run was started with {tags.get(THREADS_TAG)} threads, and this process has "
            f"{threads}: results may differ from those of an undisturbed run in the last digits"
        )
    if tags.get(COMMIT_TAG) != commit:
        progress.note(
            f"the run was started with commit {tags.get(COMMIT_TAG)} of autoplace; this is {commit}"
        )


def has_measurement(past: Past) -> bool:
    """Whether the task of a run has a measurement split."""
    return bool(past.tags.get(MEASURE_TAG))


def probe_of(past: Past) -> Probe | None:
    """Return the probe of a run, if it was recorded."""
    found = past.probe()
    return None if found is None else Probe(ProbeTables(**found[1]), found[0])


def trials_of(past: Past) -> list[Trial] | None:
    """Return the trials of a collection, if they were recorded."""
    recorded = past.decision(TRIALS)
    try:
        return None if recorded is None else [trial_from_dict(content) for content in recorded]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"the trials of run {past.run.run_id} cannot be read from its ledger ({error!r}); "
            "start it again"
        ) from error


def time_left(budget: str | None, past: Past | None) -> Deadline:
    """Return the deadline of a pick: what the budget leaves after the time that was used."""
    deadline = Deadline.parse(budget)
    if past is None or budget is None:
        return deadline
    return deadline.linked(max(0.0, deadline.left - seconds_spent(past)))


def seconds_spent(past: Past | None) -> float:
    """Seconds that a run has taken so far."""
    return 0.0 if past is None else past.seconds + seconds_before(past)


def seconds_before(past: Past | None) -> float:
    """Seconds that a run took before its ledger was opened, each time it was started."""
    return 0.0 if past is None else float(past.decision(SPENT) or 0.0)
