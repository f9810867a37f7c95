"""Score how well predictors order placements of tasks whose family they have not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.base import clone

from .._base import Predictor
from .._errors import PredictorError
from .._gain_scale import Floats
from .._training_set import TrainingSet

REGRET_AT = (1, 5)


def evaluate(predictors: Mapping[str, Predictor], data: TrainingSet) -> pd.DataFrame:
    """Leave out each family in turn, fit on the others and score on its tasks.

    Parameters
    ----------
    predictors : mapping of str to Predictor
        Predictors, fitted or not; a clone of each is fitted per family.
    data : TrainingSet (rows)
        At least two families.

    Returns
    -------
    DataFrame (predictors · tasks, 7)
        The result of `score_tasks` for each predictor, with its name in the first column
        `predictor`.

    Raises
    ------
    PredictorError
        There are fewer than two families.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> table = predictors.evaluate({"depth": predictors.create_predictor("target-depth")}, data)
    >>> table.columns.to_list()
    ['predictor', 'family', 'task', 'placements', 'spearman', 'regret@1', 'regret@5']
    >>> len(table), float(table["spearman"].mean()) > 0.2
    (32, True)
    """
    families = sorted(set(data.families))
    if len(families) < 2:
        raise PredictorError(
            f"the log has {len(families)} family, but two are needed to leave one out; "
            "collect trials on data from another source"
        )
    tables = [score_left_out(predictors, data, data, family) for family in families]
    return pd.concat(tables, ignore_index=True)


def score_left_out(
    predictors: Mapping[str, Predictor], known: TrainingSet, data: TrainingSet, family: str
) -> pd.DataFrame:
    """Fit on the rows of `known` without a family, and score on that family's tasks in `data`.

    Parameters
    ----------
    predictors : mapping of str to Predictor
        Predictors, fitted or not; clones are fitted.
    known : TrainingSet
        Rows to fit on; those of the family are left out.
    data : TrainingSet
        Rows to score on.
    family : str
        The family left out.

    Returns
    -------
    DataFrame (predictors · tasks, 7)
        As for `evaluate`; empty if `known` has no other family.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> depth = {"depth": predictors.create_predictor("target-depth")}
    >>> predictors.score_left_out(depth, data, data, "digits")[["family", "placements"]]
       family  placements
    0  digits          35
    1  digits          35
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
    """Score a fitted predictor on every task of some data.

    Parameters
    ----------
    predictor : Predictor
        A fitted predictor.
    data : TrainingSet
        Rows to score on.

    Returns
    -------
    DataFrame (tasks, 6)
        `family`, `task` (the row's group), `placements`, `spearman` (NaN if all predictions or all
        gains are equal), `regret@1` and `regret@5` in units of the metric.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> seen = predictors.score_tasks(predictors.shipped_predictor(), data)
    >>> float(seen["spearman"].mean()) > 0.5
    True
    """
    return score_predictions(predictor.predict(data.X), data)


def score_predictions(predicted: Floats, data: TrainingSet) -> pd.DataFrame:
    """Score predictions of the rows of `data`; the table is like that of `score_tasks`."""
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
    """Compute the rank correlation of measured and predicted gains.

    Parameters
    ----------
    gains, predicted : sequence of float
        Gains of the same placements, in the same order.

    Returns
    -------
    float
        In [-1, 1]; NaN if either is constant.

    Examples
    --------
    >>> import predictors
    >>> predictors.spearman([0.1, 0.2, 0.3], [5.0, 6.0, 9.0])
    1.0
    >>> predictors.spearman([0.1, 0.2, 0.3], [5.0, 5.0, 5.0])
    nan
    """
    pair = pd.DataFrame({"gain": gains, "predicted": predicted})
    return float(pair.corr(method="spearman").to_numpy()[0, 1])


def regret(gains: Sequence[float] | Floats, predicted: Sequence[float] | Floats, k: int) -> float:
    """Compute the best gain of all minus the best gain among the `k` predicted best.

    If predictions tie at the k-th place, it is the expectation over all ways to break the tie. So a
    predictor that gives every placement the same value is exactly as good as chance.

    Parameters
    ----------
    gains, predicted : sequence of float
        Gains of the same placements, in the same order; at least one.
    k : int
        Number of placements to choose.

    Returns
    -------
    float
        In units of the metric, at least 0.

    Examples
    --------
    >>> import predictors
    >>> predictors.regret([0.25, 0.5, 1.0], [3.0, 2.0, 1.0], k=1)
    0.75
    >>> predictors.regret([0.25, 0.5, 1.0], [3.0, 2.0, 1.0], k=2)
    0.5
    """
    y, score = np.asarray(gains, dtype=float), np.asarray(predicted, dtype=float)
    k = min(k, len(y))
    threshold = np.sort(score)[-k]
    certain, tied = y[score > threshold], np.sort(y[score == threshold])[::-1]
    floor = certain.max(initial=-np.inf)
    drawn, total = k - len(certain), math.comb(len(tied), k - len(certain))
    # The i-th best of the tied is the best drawn if the other drawn - 1 are all below it.
    best = sum(
        max(value, floor) * (math.comb(len(tied) - i - 1, drawn - 1) / total)
        for i, value in enumerate(tied)
    )
    return float(max(y.max() - best, 0.0))
