"""Choose the learning rate per number of edges on the tuning sets, never on reported data.

The candidates are head-only and two placements each of 1, 6 and n - 1 edges, with the default
parameter budget. Every rate runs on all tuning sets. The rate with the highest mean validation
accuracy is chosen; ties go to the lower mean loss. The result is written to
`autoplace/training/learning_rates.json`.

    python experiments/learning_rates.py --work tuning
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from autoplace.adapters import ParameterBudget
from autoplace.agent import Progress, open_task, parameter_budget
from autoplace.placement import Edge, Placement
from autoplace.placement.generators import every_block, first_k, random_edges
from autoplace.settings import PickSettings
from autoplace.training import Trial, run_trials

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from machine import describe_machine
from tuning_sets import write_tuning_sets

RATES = (1e-3, 3e-3, 1e-2, 3e-2)
TARGET = Path(__file__).parents[1] / "autoplace" / "training" / "learning_rates.json"


def placements(n_nodes: int, budget: ParameterBudget) -> list[Placement]:
    """Return head-only, and two placements each of 1, 6 and n - 1 edges."""
    rng = np.random.default_rng(7)
    sets = [
        (Edge(n_nodes // 2, n_nodes // 2 + 1),),
        (Edge(2 * n_nodes // 3, n_nodes // 3),),
        first_k(n_nodes, 6),
        random_edges(n_nodes, 6, rng),
        every_block(n_nodes),
        random_edges(n_nodes, n_nodes - 1, rng),
    ]
    found = [budget.fit(edges) for edges in sets]
    return [Placement(), *(placement for placement in found if placement is not None)]


def main() -> None:
    """Run the sweep and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the tuning sets")
    parser.add_argument("--backbone", default="starter")
    parser.add_argument("--edges", type=int, nargs="+", help="only these numbers of edges")
    parser.add_argument("--epochs", type=int, default=PickSettings().epochs)
    arguments = parser.parse_args()
    rows = []
    for folder in write_tuning_sets(arguments.work):
        settings = PickSettings(backbone=arguments.backbone, epochs=arguments.epochs)
        task = open_task(str(folder), settings, settings, Progress())
        budget = parameter_budget(settings, task.chain.n_nodes, task.chain.dim)
        trials = [
            Trial(placement, seed=0)
            for placement in placements(task.chain.n_nodes, budget)
            if not arguments.edges or len(placement) in arguments.edges
        ]
        for rate in RATES:
            trial_settings = PickSettings(epochs=arguments.epochs, lr=rate)
            for outcome in run_trials(task, trials, trial_settings):
                # A rate at which training fails must not be chosen.
                done = outcome.is_done
                scores = (outcome.val.accuracy, outcome.val.loss) if done else (0.0, math.inf)
                rows.append((folder.name, len(outcome.placement), rate, *scores))
                print(*rows[-1], file=sys.stderr, flush=True)
    table = pd.DataFrame(rows, columns=["set", "edges", "rate", "accuracy", "loss"])
    means = table.groupby(["edges", "rate"], as_index=False)[["accuracy", "loss"]].mean()
    ordered = means.sort_values(["edges", "accuracy", "loss"], ascending=[True, False, True])
    best = ordered.groupby("edges").first()["rate"]
    document = json.loads(TARGET.read_text()) if TARGET.exists() else {"rates": {}, "evidence": {}}
    rates = document["rates"].setdefault(arguments.backbone, {})
    rates |= {str(count): rate for count, rate in best.items()}
    evidence = document["evidence"].get(arguments.backbone, {"means": []})
    kept = [row for row in evidence["means"] if row["edges"] not in set(means["edges"])]
    document["evidence"][arguments.backbone] = {
        "script": "experiments/learning_rates.py",
        "epochs": arguments.epochs,
        "seed": 0,
        "means": means.round(4).to_dict(orient="records") + kept,
        **describe_machine(),
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n")
    print(means.to_string(index=False), best.to_string(), sep="\n")


if __name__ == "__main__":
    main()
