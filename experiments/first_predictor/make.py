"""Collects the first placement log and trains the first predictor on it.

`collect` runs 30 sampled placements and the panel on each built-in task and is resumable: a task
that the store already holds in full is passed over. `train` fits the predictor on the tasks in
TRAINED, scores it and every baseline on left-out families, and writes the artefact and the whole
log. shapes-count, the data of `make pick`, is logged but not learnt from, so that what `make pick`
shows are predictions for a task the predictor has not seen.

    python experiments/first_predictor/make.py collect --store sqlite:///log/mlflow.db
    python experiments/first_predictor/make.py train --store sqlite:///log/mlflow.db \
        --out predictors/shipped/v1
"""

from __future__ import annotations

import argparse
from pathlib import Path

import predictors
from autoplace.agent import collect, gate, predictor_card, training_set
from autoplace.settings import CollectSettings
from autoplace.tracking import Store, read_records

HERE = Path(__file__).parent
TASKS = ("digits", "shapes-orientation", "shapes-size", "shapes-count")
TRAINED = ("digits", "shapes-orientation", "shapes-size")
SAMPLED = 30
NOTES = """
A first predictor, on a small log: 30 random placements and a panel of 5 on each task, the shipped
starter, 10 epochs, one seed, 800 training and 200 validation images, on a CPU of two cores. One of
its two families, digits, is all but solved by head-only, so that hardly anything can be learnt from
it about the other. Made by `experiments/first_predictor/make.py`; versions: {versions}
"""


def collect_log(store: str, tasks: list[str]) -> None:
    """Run what is missing on each task: the panel first, then the sample."""
    panel = str(HERE / "panel.txt")
    for task in tasks:
        log = read_records(Store(store))
        done = log[(log["task_name"] == task) & (log["status"] == "done")]
        if (done["chosen_by"] == "file").sum() < 5:
            settings = CollectSettings(store=store, placements_file=panel)
            _run(task, settings)
        if done["chosen_by"].isin(["random-single", "random-set"]).sum() < SAMPLED:
            settings = CollectSettings(store=store, placements=SAMPLED)
            _run(task, settings)


def _run(task: str, settings: CollectSettings) -> None:
    for row in collect([f"builtin:{task}"], settings):
        print(task, row["placement"], row["status"], row["val_metric"], flush=True)


def train(store: str, out: Path) -> None:
    """Fit, score on left-out families, write artefact and log."""
    place = Store(store)
    log = read_records(place)
    log = predictors.upgrade_log(log[log["status"] == "done"].reset_index(drop=True))
    data = training_set(log[log["task_name"].isin(TRAINED)].reset_index(drop=True), place)
    predictor = predictors.create_predictor("lightgbm").fit(data.X, data.y, data.groups)
    scores = gate(data, data)
    card = predictor_card(data, scores) + NOTES.format(versions=log["versions"].iloc[-1])
    predictors.save_predictor(predictor, out, card, data)
    log.to_parquet(HERE / "log.parquet", index=False)
    print(card)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["collect", "train"])
    parser.add_argument("--store", required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    arguments = parser.parse_args()
    if arguments.step == "collect":
        collect_log(arguments.store, arguments.tasks)
    else:
        train(arguments.store, arguments.out)


if __name__ == "__main__":
    main()
