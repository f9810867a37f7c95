"""From DATA and settings to a task, and its probe."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from autoplace.agent._progress import Progress
from autoplace.backbones import ResidualChain, create_chain
from autoplace.data import create_transform, load_data
from autoplace.probing import ProbeTables, run_probe
from autoplace.settings import InputSettings, ProbeSettings, TaskSettings
from autoplace.training import Deadline, Task, resolve_device


def open_task(
    source: str,
    settings: TaskSettings,
    inputs: InputSettings,
    progress: Progress,
    chain: ResidualChain | None = None,
) -> Task:
    """Load backbone and data lists; no image is decoded yet.

    inputs: what trials read. chain: the backbone of the settings, where several tasks share it.
    Raises BackboneError, DataError or UserError for what the user can mend.
    """
    device = resolve_device(settings.device)
    chain = chain or create_chain(settings.backbone, checkpoint=settings.checkpoint)
    data = load_data(
        source,
        transform=create_transform(chain.data_config),
        seed=settings.seed,
        max_bad=settings.max_bad,
        family=settings.family,
    )
    for note in data.notes:
        progress.note(note)
    fingerprint = digest(
        {
            "data": data.fingerprint,
            "classes": data.classes,
            "backbone": chain.name,
            "weights": chain.weights_sha256,
            "input_size": list(chain.data_config["input_size"]),
        }
    )
    return Task(
        chain,
        data,
        fingerprint=fingerprint,
        metric=settings.metric,
        device=device,
        seed=settings.seed,
        inputs=inputs,
        notify=progress.note,
    )


def read_images(task: Task, progress: Progress, deadline: Deadline | None = None) -> None:
    """Decode a first part of the images, so that much of what is wrong with them shows early.

    Raises DataError above the share of unreadable images that the settings allow, and
    DeadlineReachedError.
    """
    progress.stage(f"Reading the first images of {task.data.name}")
    task.read(deadline)
    bad, equal = task.data.bad_images(), task.data.duplicates()
    if bad:
        progress.note(f"{len(bad)} images could not be read and are skipped, e.g. {bad[0].path}")
    if equal:
        progress.note(f"{len(equal)} images are equal across splits; test figures may flatter")


@dataclass(frozen=True)
class Probed:
    """Probe tables and the key under which predictors find them again."""

    tables: ProbeTables
    key: str


def probe_task(task: Task, settings: ProbeSettings) -> Probed:
    """Measure every edge of a task; the key covers all that the tables depend on."""
    tables = run_probe(
        task.chain, task.data.train, len(task.data.classes), settings, seed=task.seed
    )
    key = digest(
        {
            "task": task.fingerprint,
            "method": 3,  # tables of another way to fold, sketch or sum are not these tables
            "seed": task.seed,
            "images": settings.probe_images,
            "batch": settings.probe_batch,
            "micro_batches": settings.probe_micro_batches,
            "sketch": settings.sketch,
        }
    )
    return Probed(tables, key)


def digest(value: object) -> str:
    """The first 16 hex digits of the SHA-256 of a JSON value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
