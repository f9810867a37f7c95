"""Costs other than training: help, records, retraining, a folder with many files.

- `help_seconds`: `autoplace --help` as a process, median of five.
- `mlflow_share`: seconds spent in calls of MLflow's client during an `autoplace collect`, including
  those of the invocation itself, divided by the seconds of its trials.
- `features_1500_placements_seconds`: the features of 1,500 random placements of up to 24 edges,
  given a probe.
- `fit_million_rows_seconds`: one fit of the LightGBM predictor on a million synthetic rows.
- `retrain_seconds`, `retrain_peak_gib`: a whole `autoplace retrain`, including the gate, in a
  process of its own. The present predictor has those million rows of ten families, and the store
  has new trials. The memory is the peak resident memory of the whole process.
- `first_step_seconds_100k_files`: from the start of `autoplace pick` on an image folder with that
  many files to the end of its first forward and backward pass (that of the probe).
- `first_training_step_seconds_100k_files`: the same, to the end of the first step of an optimiser.

    python experiments/benchmarks/overheads.py --json
"""

from __future__ import annotations

import argparse
import functools
import inspect
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from machine import describe_machine
from PIL import Image

import autoplace.agent as agent
import predictors
from autoplace.agent.steps._predict import placement_features
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.probing import ProbeTables
from autoplace.settings import CollectSettings, ProbeCommandSettings, StoreSettings
from autoplace.tracking import Store, log_probe, promote, register_version, start_run
from predictors.vocabulary import FIRST_OPTIMISER

FAMILIES, TASKS = 10, 20
NEW_TRIALS = 60
PLACEMENTS, ADAPTER = 1500, AdapterSpec.parse("bottleneck:r=8")


def measure_help(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the seconds of `autoplace --help` as a process."""
    command = [sys.executable, "-m", "autoplace", "--help"]
    took = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took.append(time.perf_counter() - started)
    return {"help_seconds": round(statistics.median(took), 3)}


class TimedClient:
    """While active, adds the time of every public method of MLflow's client to `seconds`."""

    def __init__(self) -> None:
        from mlflow import MlflowClient

        self.seconds = 0.0
        self._depth = 0  # nested calls count once
        self._client = MlflowClient
        self._whole = {
            name: member
            for name, member in vars(MlflowClient).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }

    def __enter__(self) -> Self:
        for name, method in self._whole.items():
            setattr(self._client, name, self._timed(method))
        return self

    def __exit__(self, *exception: object) -> None:
        for name, method in self._whole.items():
            setattr(self._client, name, method)

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            self._depth += 1
            try:
                return method(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - started

        return timed


def measure_mlflow(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the share of MLflow in a collect with an existing store."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/mlflow.db"
        start_run(Store(store), "first", "collect").finish()
        settings = CollectSettings(store=store, placements=options.placements)
        with TimedClient() as client:
            rows = list(agent.collect(["builtin:shapes-count"], settings))
    trials = sum(row["seconds"] for row in rows)
    return {
        "mlflow_share": round(client.seconds / trials, 4),
        "mlflow_seconds": round(client.seconds, 3),
        "trials": len(rows),
        "trial_seconds": round(trials, 3),
    }


def measure_features(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the seconds of the features of many placements."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/mlflow.db"
        tables = agent.probe("builtin:digits", ProbeCommandSettings(store=store)).tables
    n_nodes = int(tables.task["n_nodes"].item())
    rng = np.random.default_rng(0)
    placements: set[Placement] = set()
    while len(placements) < PLACEMENTS:
        size = int(rng.integers(1, 25))
        chosen = rng.choice(n_nodes**2, size, replace=False).tolist()
        placements.add(Placement([(Edge(*divmod(edge, n_nodes)), ADAPTER) for edge in chosen]))
    started = time.perf_counter()
    placement_features(list(placements), tables, "starter")
    return {"features_1500_placements_seconds": round(time.perf_counter() - started, 2)}


def synthetic_rows(count: int) -> predictors.TrainingSet:
    """Make rows of random features, in ten families; the gain depends on two features."""
    rng = np.random.default_rng(0)
    task = rng.integers(0, FAMILIES * TASKS, count)
    columns: dict[str, Any] = {
        "backbone": pd.Series(np.array(["starter", "other"])[task % 2], dtype="str"),
        "placement": pd.Series(
            [
                f"{i}>{j}@bottleneck:r=8"
                for i, j in zip(*divmod(np.arange(count), 1009), strict=True)
            ],
            dtype="str",
        ),
    }
    columns |= {name: rng.random(count) for name in predictors.SCHEMA.features}
    X = pd.DataFrame(columns)
    gain = 0.1 * X["target_lowest"] * X["frobenius_norm_percentile_mean"]
    names = np.array(
        [f"task{k:03d}:accuracy:10:found-rate" for k in range(FAMILIES * TASKS)], dtype=object
    )
    families = np.array([f"family{k // TASKS}" for k in range(FAMILIES * TASKS)], dtype=object)
    y = gain.to_numpy() + rng.normal(0, 0.02, count)
    return predictors.TrainingSet.of_gains(X, y, names[task], families[task])


def add_trials(store: Store, tables: ProbeTables) -> None:
    """Add finished trials of a new family with random outcomes."""
    run = start_run(store, "new", "collect")
    log_probe(run, "new", vars(tables))
    rng = np.random.default_rng(1)
    for number in range(NEW_TRIALS):
        placement = f"{number % 25}>{number // 25 + 20}@bottleneck:r=8"
        child = run.start_child("trial")
        child.log_row(
            {
                "schema_version": predictors.LOG_SCHEMA_VERSION, "trial_id": f"new-{number}",
                "task": "new", "task_name": "new", "family": "new", "backbone": "starter",
                "backbone_sha256": "0" * 64, "n_nodes": 25, "probe_key": "new",
                "placement": placement, "adapter_kind": "bottleneck", "n_edges": 1,
                "parameters": 1544, "learning_rate": 1e-3, "protocol": "found-rate",
                "optimiser": FIRST_OPTIMISER, "weight_decay": 0.0, "batch_size": 32,
                "epochs": 10, "augment": "none", "precision": "float32", "seed": 0,
                "status": "done", "metric": "accuracy", "head_only_val_metric": 0.5,
                "seconds": 1.0, "val_metric": 0.6 + rng.normal(0, 0.02),
            }
        )  # fmt: skip
        child.finish()
    run.finish()


def measure_retrain(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the seconds of a fit, and the seconds and memory of a whole retrain."""
    data = synthetic_rows(options.rows)
    predictor = predictors.create_predictor("lightgbm")
    started = time.perf_counter()
    predictor.fit(data.X, data.y, data.groups)
    fitted = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/mlflow.db")
        saved = predictors.save_predictor(predictor, Path(folder) / "first", "# synthetic\n", data)
        promote(store, register_version(store, saved))
        result = agent.probe("builtin:digits", ProbeCommandSettings(store=store.uri))
        add_trials(store, result.tables)
        child = [sys.executable, __file__, "--child", "retrain", store.uri]
        done = subprocess.run(child, check=True, capture_output=True, text=True)
    return {
        "fit_million_rows_seconds": round(fitted, 2),
        **json.loads(done.stdout.splitlines()[-1]),
        "rows": options.rows,
    }


def retrain_here(store: str) -> None:
    """Retrain in a process of its own, and print seconds and memory."""
    started = time.perf_counter()
    result = agent.retrain(StoreSettings(store=store))
    took = {
        "retrain_seconds": round(time.perf_counter() - started, 1),
        "retrain_peak_gib": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 2**30, 2
        ),
        "retrain_rows": result.rows,
        "retrain_families": len(result.families),
    }
    print(json.dumps(took))


def measure_folder(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the seconds to the first steps on a folder of many small files."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "many"
        write_folder(folder, options.files)
        found = {}
        for name, key in (
            ("probe", "first_step_seconds_100k_files"),
            ("training", "first_training_step_seconds_100k_files"),
        ):
            child = [sys.executable, __file__, "--child", name, str(folder), place]
            started = time.time()
            done = subprocess.run(child, check=True, capture_output=True, text=True)
            found[key] = round(float(done.stdout.splitlines()[-1]) - started, 2)
    return {**found, "files": options.files}


def write_folder(folder: Path, count: int, n_classes: int = 10, side: int = 64) -> None:
    """Write JPEG files of noise around one colour per class."""
    rng = np.random.default_rng(0)
    for label in range(n_classes):
        (folder / f"class{label}").mkdir(parents=True)
        colour = rng.integers(60, 196, 3)
        for number in range(count // n_classes):
            pixels = np.clip(rng.normal(colour, 60, (side, side, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number:06d}.jpg")


def pick_until(step: str, folder: str, place: str) -> None:
    """Pick in a process of its own, and print the time after the first step."""
    import os

    from torch.optim.optimizer import register_optimizer_step_post_hook

    from autoplace.cli import main as autoplace
    from autoplace.probing import Measurement

    def stop(*args: Any, **kwargs: Any) -> None:
        print(time.time(), flush=True)
        os._exit(0)

    if step == "probe":
        Measurement.products = stop  # type: ignore[assignment, method-assign]
    else:
        register_optimizer_step_post_hook(stop)
    autoplace(["pick", folder, "--store", f"sqlite:///{place}/mlflow.db"])


PARTS = {
    "help": measure_help,
    "mlflow": measure_mlflow,
    "features": measure_features,
    "retrain": measure_retrain,
    "folder": measure_folder,
}


def render(report: dict[str, Any]) -> str:
    """Render the report, one figure per line."""
    aside = ("device", "machine", "threads", "versions")
    return "\n".join(f"{name}: {value}" for name, value in report.items() if name not in aside)


def main() -> None:
    """Parse options and run."""
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        what, *arguments = sys.argv[2:]
        retrain_here(*arguments) if what == "retrain" else pick_until(what, *arguments)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--placements", type=int, default=8, help="that are collected")
    parser.add_argument("--rows", type=int, default=1_000_000, help="that are retrained on")
    parser.add_argument("--files", type=int, default=100_000, help="in the folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report: dict[str, Any] = {}
    for name in options.only:
        report |= PARTS[name](options)
    report |= describe_machine()
    print(json.dumps(report, indent=2) if options.json else render(report))


if __name__ == "__main__":
    main()
