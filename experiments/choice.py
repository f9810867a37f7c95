"""Compare rules that choose among finalists.

Replays on records: of a handful of placements that were trained alike, each rule picks one by
validation, and its regret is the test accuracy of the best of them less that of the pick.

Two kinds of records. The shipped placement log has one validation split and the prediction of a
predictor that has not seen the family; only placements with the same learning rate are compared.
`measure` adds trials on several folds of training and validation images. The weights of loss and
prediction are chosen on every other family; what is reported are the families that did not choose.

    python experiments/choice.py measure
    python experiments/choice.py report
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

import predictors
from autoplace.agent import Progress, open_task, parameter_budget, training_set
from autoplace.agent.steps._choose import PRIOR_WEIGHT
from autoplace.agent.steps._predict import placement_features
from autoplace.agent.steps._race import LOSS_WEIGHT, standardised
from autoplace.placement import Placement
from autoplace.placement.generators import every_block, first_k, random_edges
from autoplace.probing import ProbeTables
from autoplace.settings import PickSettings
from autoplace.training import (
    Images,
    Trial,
    count_folds,
    predict_split,
    run_trials,
    trained_model,
)

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from machine import describe_machine

RESULTS = Path(__file__).parent / "results"
FOLDS, REPORT = RESULTS / "choice_folds.jsonl", RESULTS / "choice.json"
FINALISTS, DRAWS = 5, 100
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
# One backbone, three folds and a task of each of four families, so that a CPU can do it.
BACKBONE, EPOCHS, RATE, MOST_FOLDS = "fashion-vit8", 5, 0.01, 3
TASKS = ("charts-kinds", "paths-number", "shapes-count", "spheres-light")

Group = dict[str, np.ndarray]  # placements of one comparison: metric, loss, prior, test
Rule = Callable[[Group], np.ndarray]  # scores (placements,); the highest wins


def weighted(loss: float, prior: float) -> Rule:
    """Make the rule that adds loss and prior to the metric, each in units of its spread."""

    def scores(group: Group) -> np.ndarray:
        return (
            standardised(group["metric"])
            + loss * standardised(-group["loss"])
            + prior * standardised(group["prior"])
        )

    return scores


def log_groups() -> dict[str, list[Group]]:
    """Return comparisons of the shipped log by family: one task, one learning rate, one seed."""
    log = predictors.read_log(predictors.shipped_log())
    done = log.trials[log.trials["status"] == "done"].reset_index(drop=True)
    everything = training_set(done, log.probes.__getitem__)
    adapted = done[(done["seed"] == 0) & (done["placement"] != "head-only")]
    groups: dict[str, list[Group]] = {}
    for family, own in adapted.groupby("family"):
        others = everything.select(everything.families != family)
        fitted = predictors.create_predictor("lightgbm").fit(others.X, others.y, others.groups)
        for (key, backbone, _), rows in own.groupby(["probe_key", "backbone", "learning_rate"]):
            if len(rows) <= FINALISTS:
                continue
            placements = [Placement.parse(text) for text in rows["placement"]]
            features = placement_features(placements, ProbeTables(**log.probes[key]), backbone)
            group = {
                "metric": rows["val_accuracy"].to_numpy(float),
                "loss": rows["val_loss"].to_numpy(float),
                "prior": fitted.predict(features),
                "test": rows["test_accuracy"].to_numpy(float),
            }
            groups.setdefault(str(family), []).append(group)
    return groups


def measure(path: Path) -> None:
    """Append the trials of six placements on three folds of each task; known ones are kept."""
    torch.set_num_threads(1)  # as trials side by side run on a CPU
    path.parent.mkdir(exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    known = {(row["task"], row["placement"], row["fold"]) for row in map(json.loads, lines)}
    settings = PickSettings(backbone=BACKBONE, epochs=EPOCHS)
    for name in TASKS:
        task = open_task(f"builtin:{name}", settings, settings, Progress())
        n_nodes, rng = task.chain.n_nodes, np.random.default_rng(7)
        budget = parameter_budget(settings, task.chain.shape)
        sets = [
            every_block(n_nodes),
            first_k(n_nodes, 4),
            *(random_edges(n_nodes, size, rng) for size in (2, 4, 8, n_nodes - 1)),
        ]
        for placement in filter(None, map(budget.fit, sets)):
            for fold in range(1, min(count_folds(task), MOST_FOLDS) + 1):
                if (name, str(placement), fold) in known:
                    continue
                trial = Trial(placement, 0, learning_rate=RATE, images=Images("fold", fold))
                (outcome,) = run_trials(task, [trial], settings)
                row = {"task": name, "family": task.data.family, "placement": str(placement)}
                row |= {"fold": fold, "metric": outcome.val.accuracy, "loss": outcome.val.loss}
                if fold == 1:
                    logits, labels = predict_split(task, trained_model(task, outcome), "test")
                    row["test"] = float((logits.argmax(1) == labels).mean())
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")


def fold_groups(path: Path, folds: int) -> dict[str, list[Group]]:
    """Return the comparisons of `measure` by family, with means over so many folds."""
    rows = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    groups: dict[str, list[Group]] = {}
    for (family, _), own in rows[rows["fold"] <= folds].groupby(["family", "task"]):
        group = own.groupby("placement").agg(
            metric=("metric", "mean"), loss=("loss", "mean"), test=("test", "first")
        )
        if len(group) > 1 and group["test"].notna().all():
            values = {name: group[name].to_numpy(float) for name in group}
            values["prior"] = np.zeros(len(group))
            groups.setdefault(str(family), []).append(values)
    return groups


def regrets(groups: dict[str, list[Group]], rule: Rule, draws: int = DRAWS) -> dict[str, Any]:
    """Return the regret in points of test accuracy: mean over families, and the worst 5 %."""
    rng = np.random.default_rng(0)
    by_family, every = [], []
    for family in sorted(groups):
        found = []
        for group in groups[family]:
            count = len(group["test"])
            size = min(FINALISTS, count - 1)
            for _ in range(draws):
                rows = rng.choice(count, size, replace=False)
                drawn = {name: values[rows] for name, values in group.items()}
                test = drawn["test"]
                found.append(100 * (test.max() - test[int(rule(drawn).argmax())]))
        by_family.append(np.mean(found))
        every += found
    return {
        "mean": round(float(np.mean(by_family)), 3),
        "worst_5_percent": round(float(np.quantile(every, 0.95)), 3),
        "families": len(by_family),
        "standard_error": round(float(np.std(by_family, ddof=1) / len(by_family) ** 0.5), 3),
    }


def spearman(groups: dict[str, list[Group]], rule: Rule) -> float:
    """Return the mean rank correlation of a rule's scores with test accuracy."""
    found = [
        spearmanr(rule(group), group["test"]).statistic
        for each in groups.values()
        for group in each
    ]
    return round(float(np.nanmean(found)), 3)


def report(path: Path) -> dict[str, Any]:
    """Return the report's document."""
    groups = log_groups()
    families = sorted(groups)
    choosing = {family: groups[family] for family in families[::2]}
    reported = {family: groups[family] for family in families[1::2]}
    by_weights = {
        pair: regrets(choosing, weighted(*pair))["mean"]
        for pair in itertools.product(WEIGHTS, WEIGHTS)
    }
    best = min(by_weights, key=lambda pair: by_weights[pair])
    rules: dict[str, Rule] = {
        "metric, ties by loss": weighted(1e-6, 0.0),
        "loss": lambda group: -group["loss"],
        "prediction": lambda group: group["prior"],
        f"best weights on the choosing families {best}": weighted(*best),
        f"in use ({LOSS_WEIGHT}, {PRIOR_WEIGHT})": weighted(LOSS_WEIGHT, PRIOR_WEIGHT),
        "at random": lambda group: np.random.default_rng(0).random(len(group["test"])),
    }
    document: dict[str, Any] = {
        "choosing_families": sorted(choosing),
        "reported_families": sorted(reported),
        "regret_on_choosing": {
            f"loss {loss}, prediction {prior}": value for (loss, prior), value in by_weights.items()
        },
        "one_split": {
            name: regrets(reported, rule) | {"spearman": spearman(reported, rule)}
            for name, rule in rules.items()
        },
    }
    if path.exists():
        document["folds"] = {
            str(folds): {
                name: regrets(fold_groups(path, folds), rule)
                | {"spearman": spearman(fold_groups(path, folds), rule)}
                for name, rule in (
                    ("metric, ties by loss", weighted(1e-6, 0.0)),
                    (f"in use ({LOSS_WEIGHT}, without prediction)", weighted(LOSS_WEIGHT, 0.0)),
                )
            }
            for folds in range(1, MOST_FOLDS + 1)
        }
    return document | {"finalists": FINALISTS, "draws": DRAWS, **describe_machine()}


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--folds", type=Path, default=FOLDS)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options.folds)
        return
    document = report(options.folds)
    REPORT.write_text(json.dumps(document, indent=1) + "\n")
    print(
        json.dumps(
            {key: document[key] for key in ("one_split", "folds") if key in document}, indent=1
        )
    )


if __name__ == "__main__":
    main()
