"""The winner: saved, re-read and re-scored, logged as an MLflow model, and loaded again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from autoplace.agent._card import winner_card
from autoplace.agent._recorder import Recorder
from autoplace.agent._result import PickResult
from autoplace.data import create_transform
from autoplace.model import AdaptedModel, load_adapted, save_adapted
from autoplace.tracking import Store, fetch_winner, find_run, log_winner_model
from autoplace.training import Task, TrialResult, predict_split, trained_model

# Share of the largest logit: float32 in other batches, and the whole network, not the suffix.
TOLERANCE = 1e-3
BATCH = 128


def save_winner(
    task: Task, winner: TrialResult, result: PickResult, checkpoint: str | None
) -> None:
    """Write the winner's folder, then read it back and score it again.

    Raises RuntimeError where the model that was read back does not predict what was scored.
    """
    model = trained_model(task, winner)
    save_adapted(model, result.folder, winner_card(result, task), checkpoint)
    logits, labels = predict_split(task, model, "test")
    probabilities = softmax(logits, axis=1)
    table = pd.DataFrame(
        {
            "path": [task.data.test.paths[i] for i in task.cache("test").readable],
            "label": [task.data.classes[i] for i in labels],
            "predicted": [task.data.classes[i] for i in logits.argmax(1)],
            "probability": probabilities.max(1),
        }
    )
    table.to_parquet(result.folder / "test_predictions.parquet", index=False)
    again = load(result.folder, checkpoint=checkpoint).to(task.device)
    with torch.inference_mode():
        batches = task.data.test.batches(BATCH, task.cache("test").readable)
        reread = [again(batch.images.to(task.device)).cpu().numpy() for batch in batches]
    difference = float(np.abs(np.concatenate(reread) - logits).max())
    if difference > TOLERANCE * max(1.0, float(np.abs(logits).max())):
        raise RuntimeError(f"the saved winner's logits differ by {difference:.1e} when re-read")


def log_winner(recorder: Recorder, task: Task, result: PickResult) -> None:
    """Log the winner's folder as an MLflow model with signature and input example."""
    image = task.data.test.raw(int(task.cache("test").readable[0]))
    model = load(result.folder)
    with torch.inference_mode():
        scores = model(model.transform(image)[None]).softmax(1).numpy()
    recorder.journal.tell(
        lambda run: log_winner_model(run, result.folder, np.asarray(image)[None], scores)
    )


def load(
    run: str | Path, *, store: str | None = None, checkpoint: str | Path | None = None
) -> AdaptedModel:
    """The winner of a pick as an `nn.Module`, in evaluation mode on the CPU.

    Its `transform` turns an RGB PIL image into a tensor (3, height, width); its `classes` name the
    logits.

    Parameters
    ----------
    run
        An MLflow run id, or a winner's folder.
    store
        Tracking URI; default as for the commands.
    checkpoint
        Where the backbone's weights are now, if they have moved.

    Raises
    ------
    UserError
        Unknown run, incomplete folder, other backbone weights.
    """
    folder = Path(run) if Path(run).is_dir() else fetch_winner(find_run(Store(store), str(run)))
    model = load_adapted(folder, checkpoint)
    model.transform = create_transform(model.chain.data_config)
    return model
