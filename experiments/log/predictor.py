"""Train the shipped predictor on the shipped log, and score it on left-out families.

Two recipes are compared: one learns from all features, the other from the placement and its kinds
alone. Both are scored on families and placements that they have not seen, and the one that orders
placements better is trained. The family of `make pick`'s data set is left out of the fit, so that
`make pick` shows predictions for a family that the predictor has never seen.

    python experiments/log/predictor.py --out predictors/shipped/v5
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

import predictors

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from left_out import comparable_rows
from machine import describe_machine

KEPT_OUT = "shapes"
RESULT = Path(__file__).parent / "predictor.json"
NOTES = """
Trained by `experiments/log/predictor.py` on the shipped placement log, without the family
`{kept_out}`, to which the data of `make pick` belong. {chosen} Nothing else was tuned on these
scores. The backbones are small and were trained by this project, and the images have 32
pixels. Whether an order learnt here holds for a large backbone has not been tried.
"""
RECIPES = {"all features": True, "placement and kinds alone": False}
THIRDS, SEEDS = 3, 3


def score_recipes(data: predictors.TrainingSet) -> pd.DataFrame:
    """Score both recipes on families and placements that they have not seen.

    For each family and each third of the placements, a recipe is fitted on the other families and
    thirds. Returns means over tasks, thirds and seeds; index: RECIPES.
    """
    third = np.array([zlib.crc32(text.encode()) % THIRDS for text in data.X["placement"]])
    tables = []
    for family, part in product(sorted(set(data.families)), range(THIRDS)):
        known = data.select((data.families != family) & (third != part))
        unseen = data.select((data.families == family) & (third == part))
        for (name, use_probe), seed in product(RECIPES.items(), range(SEEDS)):
            recipe = predictors.LightGBMPredictor(use_probe=use_probe, random_state=seed)
            fitted = recipe.fit(known.X, known.y, known.groups)
            tables.append(predictors.score_tasks(fitted, unseen).assign(recipe=name))
    scores = pd.concat(tables, ignore_index=True).fillna({"spearman": 0.0})
    return scores.groupby("recipe")[["spearman", "regret@1", "regret@5"]].mean()


def main() -> None:
    """Fit, score, and write the artefact and the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    everything = comparable_rows(predictors.shipped_log())
    recipes = score_recipes(everything)
    chosen = str(recipes["spearman"].idxmax())
    scores = predictors.gate(None, everything).scores
    data = everything.select(everything.families != KEPT_OUT)
    predictor = predictors.LightGBMPredictor(use_probe=RECIPES[chosen])
    predictor.fit(data.X, data.y, data.groups)
    why = f"It learns from {chosen}: " + ", ".join(
        f"{name} {row['spearman']:.3f}" for name, row in recipes.iterrows()
    )
    chosen_by = f"{why} (Spearman on families and placements left out)."
    card = predictors.predictor_card(data, scores)
    card += NOTES.format(kept_out=KEPT_OUT, chosen=chosen_by)
    predictors.save_predictor(predictor, arguments.out, card, data)
    report = {
        "rows": len(everything),
        "tasks": len(set(everything.groups)),
        "families": len(set(everything.families)),
        "fitted_on": len(data),
        "recipe": chosen,
        "left_out_families_and_placements": recipes.round(4).reset_index().to_dict("records"),
        "left_out_families": scores.round(4).reset_index().to_dict(orient="records"),
        "seconds": round(time.monotonic() - started, 1),
        **describe_machine(),
    }
    RESULT.write_text(json.dumps(report, indent=1) + "\n")
    print(card)


if __name__ == "__main__":
    main()
