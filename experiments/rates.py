"""Measure what one learning rate for all placements costs against each placement's own best.

`measure` trains six placements at every rate of a fine grid, and the two reference placements at
the rates of the race, for as many epochs as the race takes. `report` replays the race on these
trials and compares test accuracy at the rate that it finds with the best on the grid; also for the
table of rates by number of edges that releases before used.

    python experiments/rates.py measure
    python experiments/rates.py report
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from autoplace.agent import Progress, open_task, parameter_budget
from autoplace.agent.steps._rate_grid import START, best_rate, extension, short_epochs
from autoplace.agent.steps._rates import references
from autoplace.agent.steps._space import search_space
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.placement.generators import every_block, first_k, random_edges
from autoplace.settings import PickSettings
from autoplace.training import Task, Trial, predict_split, run_trials, trained_model

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from machine import describe_machine

RESULTS = Path(__file__).parent / "results"
TRIALS, REPORT = RESULTS / "rates.jsonl", RESULTS / "rates.json"
FINE = (0.0032, 0.0056, 0.01, 0.018, 0.032, 0.056)
FINE_OF_WIDE = (0.001, 0.0018, 0.0032, 0.0056, 0.01, 0.018)  # wide streams diverge earlier
COARSE = (0.001, 0.0032, 0.01, 0.032, 0.1)  # where the race may look
TASKS = (
    ("fashion-vit8", "charts-kinds"),
    ("starter", "textures-scales"),
    ("fashion-vit8", "shapes-orientation"),
    ("fashion-vit8", "digits"),
    ("fashion-vit8", "charts-trends"),
    ("starter", "paths-number"),
    ("saliency-vits14", "spheres-light"),
    ("fashion-vit8", "cells-states"),
)
WIDE = "saliency-vits14"
WIDE_IMAGES = {"train": 80, "val": 64, "test": 240}  # what a CPU can do
EPOCHS, WIDE_EPOCHS = 5, 3
# What releases before the rate race used, by number of edges; other backbones got 0.001.
TABLE = {
    "starter": {1: 0.01, 6: 0.003, 24: 0.03},
    "fashion-vit8": {1: 0.003, 6: 0.01, 16: 0.01},
}
UNTUNED = 0.001


def placements(task: Task, settings: PickSettings) -> dict[str, Placement]:
    """Return six placements within one budget, by name."""
    n_nodes = task.chain.n_nodes
    last, rng = n_nodes - 1, np.random.default_rng(7)
    budget = parameter_budget(settings, task.chain.shape)
    dense = budget.fit(every_block(n_nodes))
    sets = {
        "first-6": first_k(n_nodes, 6),
        "random-half": random_edges(n_nodes, last // 2, rng),
        "random-all": random_edges(n_nodes, last, rng),
        "recurrent": (Edge(last // 2, round(last / 12)),),
    }
    fitted = {name: budget.fit(edges) for name, edges in sets.items()}
    space = search_space(task.chain, settings)
    early = references(space, AdapterSpec("bottleneck"), n_nodes)[-1]
    found = {"every-block": dense, "early-two": early} | fitted
    return {name: placement for name, placement in found.items() if placement is not None}


def write_images(split: Any, rows: Iterable[int], classes: Sequence[str], root: Path) -> None:
    """Write images of a split to a folder for each class."""
    for row in rows:
        folder = root / split.name / classes[split.labels[row]]
        folder.mkdir(parents=True, exist_ok=True)
        split.raw(int(row)).save(folder / f"{row}.png")


def write_subset(name: str, root: Path, images: Mapping[str, int]) -> str:
    """Write a few images of a built-in task to a folder, evenly over classes.

    images: how many of each split.
    """
    task = open_task(f"builtin:{name}", PickSettings(), PickSettings(), Progress())
    for split in task.data.splits:
        if split.name not in images:
            continue
        per_class = images[split.name] // len(task.data.classes)
        for index in range(len(task.data.classes)):
            rows = np.flatnonzero(split.labels == index)[:per_class]
            write_images(split, rows, task.data.classes, root)
    return str(root)


def measure(path: Path) -> None:
    """Append a line for every trial; those that are there already are not trained again."""
    torch.set_num_threads(1)  # as trials side by side run on a CPU
    path.parent.mkdir(exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    key = ("backbone", "task", "placement", "rate", "epochs")
    known = {tuple(json.loads(line)[name] for name in key) for line in lines}
    for backbone, name in TASKS:
        with tempfile.TemporaryDirectory() as folder:
            wide = backbone == WIDE
            source = write_subset(name, Path(folder), WIDE_IMAGES) if wide else f"builtin:{name}"
            settings = PickSettings(
                adapter="bottleneck", backbone=backbone, batch_size=16 if wide else 32
            )
            task = open_task(source, settings, settings, Progress())
            for row in _runs(task, backbone, name, settings, known):
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")


def _runs(task: Task, backbone: str, name: str, settings: PickSettings, known: set[tuple]) -> Any:
    wide = backbone == WIDE
    epochs = WIDE_EPOCHS if wide else EPOCHS
    short = short_epochs(epochs)
    subjects = placements(task, settings)
    grid = [(p, rate, epochs) for rate in (FINE_OF_WIDE if wide else FINE) for p in subjects]
    grid += [(p, rate, short) for rate in COARSE for p in ("every-block", "early-two")]
    for placement, rate, count in grid:
        if (backbone, name, placement, rate, count) in known:
            continue
        trial = Trial(subjects[placement], 0, learning_rate=rate, epochs=count)
        (outcome,) = run_trials(task, [trial], settings)
        row = {
            "backbone": backbone, "task": name, "placement": placement,
            "text": str(subjects[placement]), "rate": rate, "epochs": count,
            "status": str(outcome.status), "n_train": len(task.data.train),
            "val": [epoch.val.accuracy for epoch in outcome.epochs],
            "val_loss": [round(epoch.val.loss, 4) for epoch in outcome.epochs],
        }  # fmt: skip
        if outcome.is_done and count == epochs:
            logits, labels = predict_split(task, trained_model(task, outcome), "test")
            hit = logits.argmax(1) == labels
            row |= {
                "test": float(hit.mean()),
                "test_even": float(hit[::2].mean()),
                "test_odd": float(hit[1::2].mean()),
            }
        yield row


def replay_race(short: pd.DataFrame) -> float:
    """Return the rate that the race finds on its short trials, without half steps."""
    losses: dict[float, list[float]] = {}
    rates: tuple[float, ...] = START
    while rates:
        for rate in rates:
            rows = short[np.isclose(short["rate"], rate)]
            if rows.empty:  # beyond what was measured
                return best_rate(losses)
            losses[rate] = [
                row.val_loss[-1] if row.status == "done" else math.inf for row in rows.itertuples()
            ]
        rates = extension(losses)
    return best_rate(losses)


def table_rate(backbone: str, n_edges: int) -> float:
    """Return the rate of the old table."""
    rates = TABLE.get(backbone)
    if rates is None:
        return UNTUNED
    nearest = min(rates, key=lambda count: abs(math.log(n_edges / count)))
    return rates[nearest]


def at(curve: pd.Series, rate: float) -> float:
    """Return test accuracy at a rate, interpolated over the logarithm of the measured rates."""
    curve = curve.sort_index()
    return float(np.interp(math.log(rate), np.log(curve.index.to_numpy(float)), curve.to_numpy()))


def losses(rows: pd.DataFrame, rate_of: Callable[[pd.DataFrame, str, int], float]) -> pd.DataFrame:
    """Return points of test accuracy lost against each placement's own best rate.

    `raw` takes the best of the grid on the same test images, and so counts its luck as a loss.
    `held_out` finds the own best rate on one half of the test images and compares on the other.
    """
    found = []
    for (backbone, task), group in rows.groupby(["backbone", "task"], sort=False):
        full = group[group["epochs"] == group["epochs"].max()]
        for name, own in full.groupby("placement", sort=False):
            curves = own.assign(
                **{c: own[c].fillna(0.0) for c in ("test", "test_even", "test_odd")}
            ).set_index("rate")
            n_edges = own["text"].iloc[0].count(">")
            rate = rate_of(group, str(backbone), n_edges)
            even, odd = curves["test_even"], curves["test_odd"]
            halves = [
                theirs[ours.idxmax()] - at(theirs, rate)
                for ours, theirs in ((even, odd), (odd, even))
            ]
            found.append(
                {
                    "backbone": backbone, "task": task, "placement": name, "rate": rate,
                    "own_best": float(curves["test"].idxmax()),
                    "raw": 100 * (curves["test"].max() - at(curves["test"], rate)),
                    "held_out": 100 * float(np.mean(halves)),
                }
            )  # fmt: skip
    return pd.DataFrame(found)


def report(path: Path) -> dict[str, Any]:
    """Return the report's document."""
    rows = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    complete = rows.groupby(["backbone", "task"])["epochs"].transform("nunique") > 1
    rows = rows[complete]

    def raced(group: pd.DataFrame, backbone: str, n_edges: int) -> float:
        return replay_race(group[group["epochs"] == short_epochs(int(group["epochs"].max()))])

    def shared_best(group: pd.DataFrame, backbone: str, n_edges: int) -> float:
        full = group[group["epochs"] == group["epochs"].max()]
        return float(
            full.assign(test=full["test"].fillna(0)).groupby("rate")["test"].mean().idxmax()
        )

    rules = {
        "race": raced,
        "best shared rate (known only afterwards)": shared_best,
        "old table": lambda group, backbone, n_edges: table_rate(backbone, n_edges),
        "always 0.01": lambda group, backbone, n_edges: 0.01,
    }
    document: dict[str, Any] = {"rules": {}}
    for rule, rate_of in rules.items():
        lost = losses(rows, rate_of)
        by_task = lost.groupby(["backbone", "task"], sort=False)
        document["rules"][rule] = {
            "mean_raw": round(float(lost["raw"].mean()), 3),
            "mean_held_out": round(float(lost["held_out"].mean()), 3),
            "worst_held_out": round(float(lost["held_out"].max()), 3),
            "by_task": [
                {
                    "backbone": backbone, "task": task,
                    "rates": sorted({float(f"{rate:.3g}") for rate in own["rate"]}),
                    "raw": round(float(own["raw"].mean()), 2),
                    "held_out": round(float(own["held_out"].mean()), 2),
                }
                for (backbone, task), own in by_task
            ],
        }  # fmt: skip
    document |= {
        "tasks": int(rows.groupby(["backbone", "task"]).ngroups),
        "trials": len(rows),
        "seed": 0,
        **describe_machine(),
    }
    return document


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--trials", type=Path, default=TRIALS)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options.trials)
        return
    document = report(options.trials)
    REPORT.write_text(json.dumps(document, indent=1) + "\n")
    for rule, found in document["rules"].items():
        print(
            f"{rule}: {found['mean_raw']:.2f} points lost on average against each placement's own "
            f"best rate, {found['mean_held_out']:.2f} if that is chosen on other test images"
        )


if __name__ == "__main__":
    main()
