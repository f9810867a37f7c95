"""Train a predictor on a placement log and order the placements of a task it has not seen.

    python examples/train_a_predictor.py [FAMILY]

Uses the shipped log; torch is not needed. FAMILY is the data family that is left out of training.
"""

from __future__ import annotations

import sys

import pandas as pd

import predictors


def main(family: str) -> None:
    """Read the log, train without a family, and compare predictions with what was measured."""
    trials = predictors.read_log(predictors.shipped_log()).trials  # a data frame, a row per trial
    done = trials[trials["status"] == predictors.Status.DONE]
    gain = done["val_metric"] - done["head_only_val_metric"]
    print("highest gain over head-only that was measured, by family:")
    print(gain.groupby(done["family"]).max().sort_values(ascending=False).round(3).to_string())

    data = predictors.load_training_set(predictors.shipped_folder())  # the log with its features
    families = sorted(set(data.families))
    if family not in families:
        sys.exit(f"unknown family '{family}'; choose one of: {', '.join(families)}")
    known, unseen = data.select(data.families != family), data.select(data.families == family)
    predictor = predictors.create_predictor("lightgbm", n_estimators=100)
    predictor.fit(known.X, known.y, known.groups)

    (task, *_) = sorted(set(unseen.groups))
    rows = unseen.select(unseen.groups == task)
    table = pd.DataFrame(
        {
            "placement": rows.X["placement"].to_numpy(),
            "predicted": predictor.predict(rows.X),
            "measured": rows.y,
        }
    ).sort_values("predicted", ascending=False)
    print(f"placements of a task of '{family}', best predicted first:")
    print(table.head(5).round(4).to_string(index=False, max_colwidth=50))
    correlation = predictors.spearman(table["predicted"], table["measured"])
    print(f"rank correlation over {len(table)} placements: {correlation:.2f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits")
