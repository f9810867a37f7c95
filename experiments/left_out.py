"""A predictor that has not seen a family, to measure `pick` on tasks of that family."""

from __future__ import annotations

from pathlib import Path

import predictors
from autoplace.agent import training_set
from autoplace.data import list_tasks


def predictor_without(task_name: str, folder: Path) -> Path:
    """Fit the shipped predictor's recipe on the shipped log without the family of a task.

    Parameters
    ----------
    task_name : str
        Name of a built-in task.
    folder : Path
        New or empty.

    Returns
    -------
    Path
        The folder, for `--predictor`.
    """
    (family,) = {task.family for task in list_tasks() if task.name == task_name}
    everything = comparable_rows(predictors.shipped_log())
    data = everything.select(everything.families != family)
    recipe = predictors.shipped_predictor().get_params()
    predictor = predictors.LightGBMPredictor(**recipe).fit(data.X, data.y, data.groups)
    card = f"The shipped predictor's recipe, fitted without the family {family}.\n"
    return predictors.save_predictor(predictor, folder, card, data)


def comparable_rows(folder: Path) -> predictors.TrainingSet:
    """Return the rows of a log that compare placements fairly."""
    log = predictors.read_log(folder)
    done = log.trials[log.trials["status"] == "done"].reset_index(drop=True)
    return training_set(done, log.probes.__getitem__).fair()
