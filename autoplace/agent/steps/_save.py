"""Save the winner, read it back, score it again and log it as an MLflow model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from autoplace.agent.steps._load import load
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._testing import TestReport
from autoplace.errors import UserError
from autoplace.model import AdaptedModel, merge_adapters, save_adapted
from autoplace.tracking import Journal, log_winner_model
from autoplace.training import Deadline, Task, full_precision

# Share of the largest logit. Batches differ, and the whole network runs instead of a suffix.
TOLERANCE = 1e-3
BATCH = 128
CHECKED = 512  # test images that are predicted again
AFTER_DEADLINE = 16  # of them, where the time budget is used up


def save_winner(
    task: Task,
    report: TestReport,
    folder: Path,
    card: str,
    checkpoint: str | None,
    journal: Journal,
    progress: Progress,
    *,
    merge: bool = False,
    procedure: Mapping[str, Any] | None = None,
    deadline: Deadline | None = None,
) -> None:
    """Write the winner's folder, read it back, score it again, and log it as an MLflow model.

    After the deadline only a few images are scored again.

    Raises
    ------
    RuntimeError
        The model that was read back predicts something else than the trained one.
    """
    progress.stage("Saving and re-reading the winner")
    merge = merge and _can_merge(report.model, progress)
    pictures = task.data.reading.to_dict()
    save_adapted(report.model, folder, card, checkpoint, merge, procedure, pictures)
    if report.is_complete:
        _write_predictions(task, report, folder)
    reloaded = load(folder, checkpoint=checkpoint)
    _check(task, reloaded.to(task.device), report, deadline or Deadline())
    reloaded.cpu()
    image = task.data.test.raw(int(task.cache("test").readable[0]))
    with torch.inference_mode():
        probabilities = reloaded(reloaded.transform(image)[None]).softmax(1).numpy()
    example = np.asarray(image)[None]
    journal.tell(lambda run: log_winner_model(run, folder, example, probabilities))


def _can_merge(model: AdaptedModel, progress: Progress) -> bool:
    """Try to merge the adapters; tell what merging leaves of them."""
    try:
        with full_precision():
            merged = merge_adapters(model)
    except UserError as error:
        progress.note(f"the winner is saved unmerged: {error}")
        return False
    agree = f"the logits agree to {merged.difference:.0e}"
    if not merged.folded:
        progress.note("none of the winner's adapters can be merged, so it is saved as it is")
    elif merged.complete:
        progress.note(f"all adapters are merged: the winner costs nothing at inference; {agree}")
    else:
        edges = "+".join(map(str, merged.folded))
        progress.note(f"merged: {edges}; not mergeable: {merged.model.placement}; {agree}")
    return bool(merged.folded)


def _write_predictions(task: Task, report: TestReport, folder: Path) -> None:
    table = pd.DataFrame(
        {
            "path": [task.data.test.paths[i] for i in task.cache("test").readable],
            "label": [task.data.classes[i] for i in report.labels],
            "predicted": [task.data.classes[i] for i in report.logits.argmax(1)],
            "probability": softmax(report.logits, axis=1).max(1),
        }
    )
    table.to_parquet(folder / "test_predictions.parquet", index=False)


def _check(task: Task, reloaded: AdaptedModel, report: TestReport, deadline: Deadline) -> None:
    rows = task.cache("test").readable[:CHECKED]
    expected = report.logits[: len(rows)]
    done = 0
    with torch.inference_mode(), full_precision():
        for batch in task.data.test.batches(AFTER_DEADLINE if deadline.passed else BATCH, rows):
            images = batch.images.to(task.device)
            again = reloaded(images).cpu().numpy()
            if report.is_complete:
                theirs = expected[done : done + len(again)]
            else:
                theirs = report.model(images).cpu().numpy()
            done += len(again)
            difference = float(np.abs(again - theirs).max())
            if difference > TOLERANCE * max(1.0, float(np.abs(theirs).max())):
                raise RuntimeError(
                    f"the saved winner's logits differ by {difference:.1e} when re-read"
                )
            if deadline.passed:
                return
