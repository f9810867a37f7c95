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
from autoplace.agent import training_set

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from machine import describe_machine

RESULT = Path(__file__).parent / "carry_over.json"
SEEDS = 3


def rows_of(folder: Path) -> predictors.TrainingSet:
    """Return the comparable rows of a log."""
    log = predictors.read_log(folder)
    done = log.trials[log.trials["status"] == "done"].reset_index(drop=True)
    return training_set(done, log.probes.__getitem__).fair()


def score(
    sources: dict[str, predictors.TrainingSet], shipped: predictors.TrainingSet
) -> pd.DataFrame:
    """Return means over tasks and seeds, of families that were left out; one row per source."""
    recipe = predictors.shipped_predictor().get_params()
    tables = []
    for family in sorted(set(shipped.families)):
        unseen = shipped.select(shipped.families == family)
        for name, source in sources.items():
            known = source.select(source.families != family)
            for seed in range(SEEDS):
                predictor = predictors.LightGBMPredictor(**recipe | {"random_state": seed})
                fitted = predictor.fit(known.X, known.y, known.groups)
                tables.append(predictors.score_tasks(fitted, unseen).assign(learnt_from=name))
    table = pd.concat(tables, ignore_index=True).fillna({"spearman": 0.0})
    return table.groupby("learnt_from")[["spearman", "regret@1", "regret@5"]].mean()


def main() -> None:
    """Score, write the document and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path)
    other, shipped = rows_of(parser.parse_args().log), rows_of(predictors.shipped_log())
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
