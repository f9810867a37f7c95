"""Score a recipe fitted on another log on the placements of the shipped one.

Does what was learnt from trials of another optimiser, or with rates found in another way, still
order placements? For each family, the recipe of the shipped predictor is fitted on the other
families of another log, of the shipped one, or of both, and orders the shipped log's placements of
that family. An earlier shipped log can be taken out of the project's history:

    git archive 530a67b predictors/shipped/log | tar -x -C earlier
    python experiments/log/carry_over.py earlier/predictors/shipped/log
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

import predictors

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from left_out import comparable_rows
from machine import describe_machine

RESULT = Path(__file__).parent / "carry_over.json"
SEEDS = 3


def score(
    sources: dict[str, predictors.TrainingSet], shipped: predictors.TrainingSet
) -> pd.DataFrame:
    """Return means over tasks and seeds, of families that were left out; one row per source."""
    options = predictors.shipped_predictor().get_params()
    recipes = {
        str(seed): predictors.LightGBMPredictor(**options | {"random_state": seed})
        for seed in range(SEEDS)
    }
    tables = [
        predictors.score_left_out(recipes, source, shipped, family).assign(learnt_from=name)
        for family in sorted(set(shipped.families))
        for name, source in sources.items()
    ]
    table = pd.concat(tables, ignore_index=True).fillna({"spearman": 0.0})
    return table.groupby("learnt_from")[["spearman", "regret@1", "regret@5"]].mean()


def main() -> None:
    """Score, write the document and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path)
    other, shipped = (
        comparable_rows(folder) for folder in (parser.parse_args().log, predictors.shipped_log())
    )
    sources = {"the other log": other, "the shipped log": shipped, "both": other.union(shipped)}
    document = {
        "rows": {name: len(source) for name, source in sources.items()},
        "scores": score(sources, shipped).round(3).reset_index().to_dict("records"),
        **describe_machine(),
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
