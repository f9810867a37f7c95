"""How well predictors order the placements of tasks whose whole family they have not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.base import clone

from ._base import Predictor
from ._errors import PredictorError
from ._gain_scale import Floats
from ._training_set import TrainingSet

REGRET_AT = (1, 5)


def evaluate(predictors: Mapping[str, Predictor], data: TrainingSet) -> pd.DataFrame:
    """Leave each family out in turn, fit on the others, score on its tasks.

    Parameters
    ----------
    predictors : mapping of str to Predictor
        Fitted or not; a clone of each is fitted per family.
    data : TrainingSet (rows)
        At least two families.

    Returns
    -------
    DataFrame (predictors · tasks, 7)
        `score_tasks` of each predictor, with its name in a first column `predictor`.

    Raises
    ------
    PredictorError
        Fewer than two families.
    """
    families = sorted(set(data.families))
    if len(families) < 2:
        raise PredictorError(
            f"the log holds {len(families)} family; leaving families out needs two, "
            "so collect trials on data of another source"
        )
    tables = [score_left_out(predictors, data, data, family) for family in families]
    return pd.concat(tables, ignore_index=True)


def score_left_out(
    predictors: Mapping[str, Predictor], known: TrainingSet, data: TrainingSet, family: str
) -> pd.DataFrame:
    """Fit on the rows of `known` without a family, score on the tasks of that family in `data`.

    Returns
    -------
    DataFrame (predictors · tasks, 7)
        As `evaluate`; empty where `known` holds no other family.
    """
    train = known.select(np.asarray(known.families != family))
    test = data.select(np.asarray(data.families == family))
    tables = []
    for name, predictor in predictors.items() if len(train) else ():
        table = score_tasks(clone(predictor).fit(train.X, train.y, train.groups), test)
        table.insert(0, "predictor", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def score_tasks(predictor: Predictor, data: TrainingSet) -> pd.DataFrame:
    """Score a fitted predictor on every task of `data`.

    Returns
    -------
    DataFrame (tasks, 6)
        `family`, `task` (the row's group), `placements`, `spearman` (NaN where predictions or
        gains are all equal), `regret@1`, `regret@5` in units of the metric.
    """
    predicted = predictor.predict(data.X)
    rows = []
    for group in sorted(set(data.groups)):
        of_task = np.asarray(data.groups == group)
        gains, guesses = data.y[of_task], predicted[of_task]
        rows.append(
            {
                "family": data.families[of_task][0],
                "task": group,
                "placements": len(gains),
                "spearman": spearman(gains, guesses),
                **{f"regret@{k}": regret(gains, guesses, k) for k in REGRET_AT},
            }
        )
    return pd.DataFrame(rows)


def spearman(gains: Sequence[float] | Floats, predicted: Sequence[float] | Floats) -> float:
    """Rank correlation of measured and predicted gains; NaN where either is constant."""
    ranks = pd.DataFrame({"gain": gains, "predicted": predicted}).rank()
    if (ranks.nunique() < 2).any():
        return math.nan
    return float(np.corrcoef(ranks["gain"], ranks["predicted"])[0, 1])


def regret(gains: Sequence[float] | Floats, predicted: Sequence[float] | Floats, k: int) -> float:
    """Best gain of all minus the best among the `k` predicted best, in units of the metric.

    Where predictions tie at the k-th place, the expectation over all ways to break the tie: a
    predictor that says the same of every placement is as good as chance, no better, no worse.
    """
    y, score = np.asarray(gains, dtype=float), np.asarray(predicted, dtype=float)
    k = min(k, len(y))
    threshold = np.sort(score)[-k]
    certain, tied = y[score > threshold], np.sort(y[score == threshold])[::-1]
    floor = certain.max(initial=-np.inf)
    drawn, total = k - len(certain), math.comb(len(tied), k - len(certain))
    # The i-th best of the tied is the best drawn if the other drawn - 1 come from those below it.
    best = sum(
        max(value, floor) * (math.comb(len(tied) - i - 1, drawn - 1) / total)
        for i, value in enumerate(tied)
    )
    return float(max(y.max() - best, 0.0))
