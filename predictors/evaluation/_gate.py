"""The retrain gate: whether new records make a better predictor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .._errors import PredictorError
from .._gain_scale import Floats
from .._registered import create_predictor, list_predictors
from .._training_set import TrainingSet
from ._scores import score_predictions

RECIPE = "lightgbm"
MOST_SEEDS = 8
ROWS_TO_FIT = 10_000
TOP_SHARE = 0.25
MARGIN = 0.02
INTERVAL = 0.95
MIN_FAMILIES = 4
DRAWS = 10_000


@dataclass(frozen=True)
class GateDecision:
    """The decision of the gate.

    Parameters
    ----------
    promoted : bool
        Whether the challenger should replace the present predictor.
    reason : str
        The figures, in one sentence.
    scores : DataFrame (predictors, 3)
        Mean `spearman`, `regret@1` and `regret@5` over tasks of left-out families. Index:
        `challenger`, `present` and the baselines. For people; the gate does not use them.
    difference : float
        The challenger's expected gain minus the present predictor's, in spreads of a task; NaN if
        they could not be compared.
    low, high : float
        The 95 % interval of the difference.

    Examples
    --------
    >>> import pandas as pd
    >>> import predictors
    >>> decision = predictors.GateDecision(False, "no data", pd.DataFrame(), 0.01, -0.02, 0.05)
    >>> decision.promoted
    False
    """

    promoted: bool
    reason: str
    scores: pd.DataFrame = field(compare=False)  # a table has no single truth value
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan


def gate(present: TrainingSet | None, everything: TrainingSet) -> GateDecision:
    """Decide whether a predictor trained on everything should replace the present one.

    Parameters
    ----------
    present : TrainingSet or None
        The rows that the present predictor was fitted on; None if there is no predictor.
    everything : TrainingSet
        Those rows and the new ones, from at least two families.

    Returns
    -------
    GateDecision

    Raises
    ------
    PredictorError
        `everything` has fewer than two families.

    Notes
    -----
    Each family is left out in turn, and the same recipe is fitted twice without it: on the present
    predictor's rows and on all rows. So neither fit has seen the family it is scored on, and the
    comparison shows what the new records add. A family is not used if both sets of rows are the
    same without it, because it cannot tell the two predictors apart.

    One measure decides: the mean gain of the quarter of placements predicted best, minus the mean
    gain of all placements, in standard deviations of the task's gains. The gain of the best of k,
    which `regret` reports, is one noisy measurement; the mean of a quarter averages several.
    Predictions are averaged over up to eight seeds of the recipe, because with little data the
    effect of a seed is larger than that of one more family. From 10,000 rows on, one seed is used.

    The weight of a task is `reliability · sqrt(placements)`. Its reliability is the share of the
    variance of its gains that is not noise, `1 - noise² / (trials · spread²)`, or 0 if that is
    negative; noise² is the variance between trials of one placement, pooled over all tasks.

    The estimate is the weighted mean of the difference over tasks. For its 95 % interval, families
    are drawn with replacement 10,000 times with a fixed seed (percentile bootstrap; tasks stay with
    their family, and both predictors are scored on the same tasks). The challenger is promoted if
    the difference is above 0.02 and the interval is above 0. The interval is this wide because a
    bootstrap over about ten families gives intervals that are too narrow. With fewer than four
    families there is no interval and no promotion.

    The records of one more family rarely make a difference that ten families can show. Records that
    do not lead to a promotion are not lost: they stay in the store, and the next retrain judges
    them together with the records added since.

    `experiments/retrain_gate.py` replays the gate on the shipped log with honest, useless and
    harmful records. The rule was chosen on one half of the families, and its rates are reported on
    the other half.

    Examples
    --------
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> data = data.select([family in ("digits", "paths") for family in data.families])
    >>> decision = predictors.gate(None, data)
    >>> decision.promoted, decision.reason
    (True, 'there is no present predictor to compare with')
    >>> sorted(decision.scores.index)[:3]
    ['challenger', 'gradient-norm', 'gradient-rank']
    """
    families = sorted(set(everything.families))
    if len(families) < 2:
        raise PredictorError(
            f"the records have {len(families)} family, but two are needed to leave one out; "
            "collect trials on data from another source"
        )
    if present is not None:
        present = present.in_families_of(everything)
    noise = _noise_variance(everything)
    tables, comparisons = [], []
    for family in families:
        left_out = everything.select(everything.families == family)
        guesses = _predictions(present, everything, family)
        for name, guess in guesses.items():
            table = score_predictions(guess[0], left_out)
            tables.append(table.assign(predictor=name))
        if "present" in guesses and guesses["present"] is not guesses["challenger"]:
            before, after = (guesses[name].mean(axis=0) for name in ("present", "challenger"))
            comparisons.append(_compare(before, after, left_out, noise))
    scores = _mean_scores(pd.concat(tables, ignore_index=True))
    if present is None:
        return GateDecision(True, "there is no present predictor to compare with", scores)
    return _decide(np.array(comparisons, dtype=float).reshape(-1, 2), scores)


def _predictions(
    present: TrainingSet | None, everything: TrainingSet, family: str
) -> dict[str, Floats]:
    """Return predictions of every predictor for a family it has not seen, by name; (seeds, rows).

    The same array stands for challenger and present where they were fitted on the same rows.
    """
    X = everything.X[everything.families == family]
    new = everything.select(everything.families != family)
    guesses = {
        name: create_predictor(name).fit(new.X, new.y, new.groups).predict(X)[None]
        for name in list_predictors()
        if name != RECIPE
    }
    seeds = range(min(max(ROWS_TO_FIT // len(everything), 1), MOST_SEEDS))
    guesses["challenger"] = _recipe(new, X, seeds)
    if present is not None:
        old = present.select(present.families != family)
        if _same_rows(old, new):
            guesses["present"] = guesses["challenger"]
        elif len(old):
            guesses["present"] = _recipe(old, X, seeds)
    return guesses


def _recipe(known: TrainingSet, X: pd.DataFrame, seeds: Iterable[int]) -> Floats:
    """Return predictions of the recipe fitted on `known` with each seed, (seeds, rows)."""
    fits = (create_predictor(RECIPE, random_state=seed) for seed in seeds)
    return np.stack([fit.fit(known.X, known.y, known.groups).predict(X) for fit in fits])


def _same_rows(one: TrainingSet, other: TrainingSet) -> bool:
    """Whether a fit on either gives the same result; the order of rows is that of `union`."""
    return (
        np.array_equal(one.y, other.y)
        and np.array_equal(one.groups, other.groups)
        and np.array_equal(one.X["placement"], other.X["placement"])
    )


def _compare(
    before: Floats, after: Floats, left_out: TrainingSet, noise: float
) -> tuple[float, float]:
    """Sum weight · difference, and weights, over the tasks of a family."""
    total = weights = 0.0
    for group in sorted(set(left_out.groups)):
        of_task = left_out.groups == group
        gains = left_out.y[of_task]
        variance = float(gains.var())
        if variance == 0:
            continue
        noise_of_means = noise * float(np.mean(1 / left_out.counts[of_task]))
        weight = max(0.0, 1 - noise_of_means / variance) * math.sqrt(len(gains))
        difference = _expected_gain(gains, after[of_task]) - _expected_gain(gains, before[of_task])
        total += weight * difference / math.sqrt(variance)
        weights += weight
    return total, weights


def _decide(comparisons: Floats, scores: pd.DataFrame) -> GateDecision:
    """Decide from the sums of each family, (families, 2)."""
    comparisons = comparisons[comparisons[:, 1] > 0]
    if len(comparisons) < MIN_FAMILIES:
        reason = (
            f"only {len(comparisons)} left-out families can tell the new predictor from the "
            f"present one, but {MIN_FAMILIES} are needed; collect trials on data from other sources"
        )
        return GateDecision(False, reason, scores)
    difference, low, high = _bootstrap(comparisons)
    reason = (
        f"on {len(comparisons)} left-out families, the gain of its best predicted placements minus "
        f"that of the present predictor's is {difference:+.3f} spreads of a task "
        f"({INTERVAL:.0%} interval {low:+.3f} to {high:+.3f}; needed: more than {MARGIN}, and an "
        "interval above 0)"
    )
    return GateDecision(difference > MARGIN and low > 0, reason, scores, difference, low, high)


def _expected_gain(gains: Floats, predicted: Floats) -> float:
    """Return the mean gain of the quarter predicted best, minus the mean gain of all.

    If predictions tie at the end of the quarter, the mean gain of the tied placements is used.
    """
    k = max(1, round(TOP_SHARE * len(gains)))
    threshold = np.sort(predicted)[-k]
    certain, tied = gains[predicted > threshold], gains[predicted == threshold]
    top = (certain.sum() + (k - len(certain)) * tied.mean()) / k
    return float(top - gains.mean())


def _noise_variance(data: TrainingSet) -> float:
    """Return the pooled variance between trials of one placement; 0 if none was repeated."""
    repeated = [np.array(list(each.values())) for each in data.gains if len(each) > 1]
    freedom = sum(len(each) - 1 for each in repeated)
    squares = sum(float(((each - each.mean()) ** 2).sum()) for each in repeated)
    return squares / freedom if freedom else 0.0


def _bootstrap(comparisons: Floats) -> tuple[float, float, float]:
    """Return the weighted mean difference and the ends of its interval.

    We do not use `scipy.stats.bootstrap`, because its argument for the seed was renamed between the
    releases that we support.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(comparisons), size=(DRAWS, len(comparisons)))
    totals, weights = np.moveaxis(comparisons[drawn].sum(axis=1), 1, 0)
    low, high = np.quantile(totals / weights, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return float(comparisons[:, 0].sum() / comparisons[:, 1].sum()), float(low), float(high)


def _mean_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return means over tasks, one row per predictor."""
    if "present" in set(scores["predictor"]):
        # Only tasks on which both could be fitted compare like with like.
        shared = set(scores.loc[scores["predictor"] == "present", "task"])
        scores = scores[scores["task"].isin(shared)]
    # A predictor that says the same of every placement orders nothing: no correlation.
    scores = scores.fillna({"spearman": 0.0})
    return scores.groupby("predictor")[["spearman", "regret@1", "regret@5"]].mean()
