"""The card of a predictor: its training data and its scores."""

from __future__ import annotations

import pandas as pd

from .._protocols import protocol_lines
from .._training_set import TrainingSet
from ..vocabulary import Protocol

THIS = "this predictor"
_CONFOUNDED = (
    "The order that this predictor gives to placements of different sizes, and its scores below, "
    "include the effect of the learning rate."
)


def predictor_card(data: TrainingSet, scores: pd.DataFrame) -> str:
    """Describe the training data of a predictor and its scores on left-out families.

    Parameters
    ----------
    data : TrainingSet
        The rows it was fitted on.
    scores : DataFrame (predictors, 3)
        The scores that `gate` returns; the predictor is the row `challenger`.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> import pandas as pd
    >>> import predictors
    >>> data = predictors.load_training_set(predictors.shipped_folder())
    >>> scores = pd.DataFrame(
    ...     {"spearman": [0.4, 0.5], "regret@1": [0.03, 0.02], "regret@5": [0.01, 0.01]},
    ...     index=["challenger", "ridge"],
    ... )
    >>> print(predictors.predictor_card(data, scores).splitlines()[-1])
    On left-out families it orders placements worse than: ridge.
    """
    families = ", ".join(sorted(set(data.families)))
    confounded = (data.protocols == Protocol.TABLE_RATE).any()
    rows = pd.DataFrame({"protocol": data.protocols, "trials": data.counts}).groupby("protocol")
    scores = scores.drop(index="present", errors="ignore").rename(index={"challenger": THIS})
    better = scores.index[scores["spearman"] > scores.loc[THIS, "spearman"]]
    lines = [
        "# Placement predictor",
        "",
        f"LightGBM on {len(data)} placements of {len(set(data.tasks))} tasks "
        f"({data.counts.sum()} trials); families: {families}; "
        f"backbones: {', '.join(sorted(set(data.X['backbone'])))}.",
        "Predicts the gain over head-only in the task's metric, on the measurement split where the",
        "task has one, or else on validation. It is trained for the order within a task; the level",
        "of a prediction is a guess.",
        "",
        *protocol_lines({"placements": rows.size(), "trials": rows["trials"].sum()}),
        *(["", _CONFOUNDED] if confounded else []),
        "",
        "Means over tasks of families left out of the fit:",
        "",
        "| predictor | Spearman | regret@1 | regret@5 |",
        "|---|---|---|---|",
    ]
    for name, row in scores.sort_values("spearman", ascending=False).iterrows():
        lines.append(
            f"| {name} | {row['spearman']:.3f} | {row['regret@1']:.4f} | {row['regret@5']:.4f} |"
        )
    if len(better):
        names = ", ".join(better)
        lines += ["", f"On left-out families it orders placements worse than: {names}."]
    return "\n".join([*lines, ""])
