"""The files of a run's trials: what came of each, its tensors, and where it continues."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import safetensors.torch
from torch import Tensor

from autoplace.execution._trial_form import outcome_from_dict, outcome_to_dict, trial_key
from autoplace.training import Checkpoint, Outcome, Trial

OUTCOME, STATE = "outcome.json", "state.safetensors"
CHECKPOINT = "checkpoint-{}.safetensors"  # with the number of epochs: an outcome names its own


@dataclass
class SavedTrial:
    """What the files hold of a trial.

    Attributes
    ----------
    outcome : Outcome
        The last that was saved: over, or paused after some epoch.
    pauses : dict of int to Outcome
        By epoch, the outcomes with which the trial paused on request; without tensors.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> SavedTrial(Outcome(Trial(Placement(), seed=0), parameters=0)).pauses
    {}
    """

    outcome: Outcome
    pauses: dict[int, Outcome] = field(default_factory=dict)


class TrialFiles:
    """Writes and reads the files of trials, each trial in a folder of its own.

    A file is written aside, synced and renamed, so that it is whole or not there. `outcome.json`
    comes last and names its tensors. A folder in which something is missing or damaged counts as
    empty: then the trial runs again. Nothing is pickled.

    Parameters
    ----------
    folder : Path
        The folder of all trials of a run.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> files, trial = TrialFiles(Path("trials")), Trial(Placement(), seed=0)
    >>> files.read(trial) is None
    True
    >>> files.write(SavedTrial(Outcome(trial, parameters=0, seconds=1.5)))
    >>> files.read(trial).outcome.seconds
    1.5
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, trial: Trial) -> SavedTrial | None:
        """Read what was saved of a trial; None if there is nothing, or it is damaged."""
        folder = self._folder / trial_key(trial)
        try:
            content = json.loads((folder / OUTCOME).read_bytes())
            outcome = outcome_from_dict(content, trial)
            pauses = {int(at): outcome_from_dict(p, trial) for at, p in content["pauses"].items()}
            if content["has_state"]:
                outcome = replace(outcome, state=safetensors.torch.load_file(folder / STATE))
            if content["steps"] is not None:
                path = folder / CHECKPOINT.format(len(outcome.epochs))
                outcome = replace(outcome, checkpoint=_read_checkpoint(path, content["steps"]))
        except (
            OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError,
            safetensors.SafetensorError,
        ):  # fmt: skip
            return None
        return SavedTrial(outcome, pauses)

    def write(self, saved: SavedTrial) -> None:
        """Write a trial; what was saved of it before is replaced.

        Raises
        ------
        OSError
            The files cannot be written.
        """
        outcome = saved.outcome
        folder = self._folder / trial_key(outcome.trial)
        folder.mkdir(parents=True, exist_ok=True)
        kept = {OUTCOME}
        if outcome.state:
            kept.add(STATE)
            _write(folder / STATE, safetensors.torch.save(_contiguous(outcome.state)))
        if outcome.checkpoint is not None:
            name = CHECKPOINT.format(len(outcome.epochs))
            kept.add(name)
            _write(folder / name, _checkpoint_bytes(outcome.checkpoint))
        content = {
            **outcome_to_dict(outcome),
            "has_state": bool(outcome.state),
            "steps": None if outcome.checkpoint is None else outcome.checkpoint.steps,
            "pauses": {at: outcome_to_dict(paused) for at, paused in saved.pauses.items()},
        }
        _write(folder / OUTCOME, json.dumps(content).encode())
        _sync_folder(folder)
        for path in folder.iterdir():
            if path.name not in kept:
                path.unlink()


def _checkpoint_bytes(checkpoint: Checkpoint) -> bytes:
    tensors = {f"state:{name}": tensor for name, tensor in checkpoint.state.items()}
    for moment, named in checkpoint.moments.items():
        tensors |= {f"{moment}:{name}": tensor for name, tensor in named.items()}
    return safetensors.torch.save(_contiguous(tensors))


def _read_checkpoint(path: Path, steps: int) -> Checkpoint:
    parts: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in safetensors.torch.load_file(path).items():
        part, _, name = full_name.partition(":")
        parts.setdefault(part, {})[name] = tensor
    return Checkpoint(int(steps), parts.pop("state"), parts)


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def _sync_folder(folder: Path) -> None:
    """Have the new names on disk, too."""
    for path in (folder, folder.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
