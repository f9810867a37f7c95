"""Write the shipped log, with its data card, from the stores that its trials ran in.

python experiments/log/export.py --store sqlite:///log/mlflow.db --out predictors/shipped/log
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from kinds import CANDIDATES
from make import EPOCHS
from plans import REPEATED, SHORT

import predictors
from autoplace.data import list_tasks
from autoplace.tracking import Store, fetch_probe, read_rows
from autoplace.training import OPTIMISER

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from machine import describe_machine

# A trial that ran twice because a plan was interrupted is the same trial.
ONCE = ["task", "placement", "seed", "epochs", "protocol", "optimiser"]
PACKAGES = ("dataset-fashion-mnist", "fonts-noto-core", "fonts-noto-color-emoji", "unicode-data")


def gather(uris: list[str]) -> predictors.PlacementLog:
    """Gather the finished and failed trials of some stores on built-in tasks, each once.

    Only those of the optimiser in use, because results of two are not compared.
    """
    parts, probes = [], {}
    for uri in uris:
        store = Store(uri)
        records = predictors.log_table(read_rows(store))
        over = records["status"].isin(["done", "failed"]) & (records["optimiser"] == OPTIMISER)
        print(f"{uri}: {(records['optimiser'] != OPTIMISER).sum()} of other optimisers left out")
        part = records[over & records["task_name"].isin([task.name for task in list_tasks()])]
        parts.append(part)
        for key in set(part["probe_key"].dropna()) - set(probes):
            probes[key] = fetch_probe(store, key)
    # Families are settled while the rows are still in order of time.
    trials = predictors.settle_families(pd.concat(parts, ignore_index=True))
    # A trial that failed once and was done later counts as done.
    trials = trials.sort_values("status", kind="stable").drop_duplicates(ONCE)
    trials = trials.sort_values(["backbone", "task_name", *ONCE])
    kept, aside = predictors.sort_out(trials)
    return predictors.PlacementLog(kept, {key: probes[key] for key in sorted(probes)}, aside)


def _coverage(done: pd.DataFrame) -> list[str]:
    """Say, for each backbone, on how many tasks each part of the plan has run."""
    lines = ["| backbone | whole panel | ten candidates | any kind | other seeds | map |"]
    lines.append("|---" * 6 + "|")
    for backbone, rows in done.groupby("backbone"):
        first = rows[rows["seed"] == 0]

        def tasks(pattern: str, least: int, rows: pd.DataFrame = first) -> int:
            part = rows[rows["chosen_by"].fillna("").str.match(pattern)]
            return int((part.groupby("task_name")["placement"].nunique() >= least).sum())

        cells = [
            tasks("panel:", SHORT),
            tasks("fresh:", CANDIDATES),
            tasks("published:", 1),
            rows.loc[rows["seed"] != 0, "task_name"].nunique(),
            tasks("map$", 1),
        ]
        lines.append(f"| {backbone} | {' | '.join(f'{cell} tasks' for cell in cells)} |")
    return lines


def _package_versions() -> str:
    """Return the versions of the packages that pictures are made from."""
    found = [f"fontawesomefree {version('fontawesomefree')}"]
    for package in PACKAGES:
        query = ["dpkg-query", "-W", "-f=${Version}", package]
        if shutil.which(query[0]):
            told = subprocess.run(query, capture_output=True, text=True)
            if told.returncode == 0:  # else the files came in another way
                found.append(f"{package} {told.stdout}")
    return ", ".join(found)


def data_card(log: predictors.PlacementLog, machines: Sequence[Mapping[str, Any]]) -> str:
    """Extend the plain card: source of the data, how trials ran, and known limits."""
    done = log.trials[log.trials["status"] == "done"]
    lines = [
        predictors.log_card(log),
        "## How it was made",
        "",
        "`experiments/log/make.py run`, then `experiments/log/export.py`. The plan is: a common "
        f"panel of {SHORT} placements on every task at seed 0, on {', '.join(REPEATED)} also at "
        "seeds 1 and 2; every adapter kind where its published systems have it and at two other "
        f"places; {CANDIDATES} fresh candidates, drawn from what `pick` proposes, with their "
        "propensity; maps of single edges. What has run so far:",
        "",
        *_coverage(done),
        "",
        "800 + 200 training images, 2,000 test images (digits: 797) and, where the source has "
        "more, 2,000 images of a measurement split, from which predictors learn; in tasks with "
        "fixed pools of items it has new pictures of validation's items; "
        f"{EPOCHS} epochs, batch 32, AdamW; one split per task; seeds are those of trials.",
        "",
        *(
            f"Machine: {machine['device']}; {machine['processes']} processes at once, one thread "
            f"each, in float32. Versions: {json.dumps(machine['versions'])}."
            for machine in machines
        ),
        f"{done['seconds'].sum() / 3600:.1f} hours of trials.",
        "",
        "| task | family | group | source | licence |",
        "|---|---|---|---|---|",
        *(
            f"| {task.name} | {task.family} | {task.group} | {task.source} | {task.licence} |"
            for task in list_tasks()
        ),
        "",
        f"Pictures were made with {_package_versions()}. Other versions may draw other pictures "
        "with the same fingerprint.",
        "",
        "The log contains no pictures, only outcomes and statistics of gradients. Its licence is "
        "Apache-2.0.",
        "",
        "## Limits",
        "",
        "- The backbones are small and were trained by this project; their cards say how good they "
        "are.",
        "- Validation has 200 images, so one image is half a point of accuracy.",
        "- `seconds` were measured on a machine that was busy with other trials.",
        "- Columns with `test` in their name are for evaluation. No predictor learns from them.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Gather, check and write the log."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--machine", type=Path, nargs="+", default=(),
        help="what describe_machine said, and `processes`, how many ran at once; default: two here",
    )  # fmt: skip
    arguments = parser.parse_args()
    machines = [json.loads(told.read_text()) for told in arguments.machine]
    log = gather(arguments.store)
    fresh = arguments.out.with_name(arguments.out.name + ".new")
    predictors.write_log(
        log, fresh, data_card(log, machines or [describe_machine() | {"processes": 2}])
    )
    shutil.rmtree(arguments.out, ignore_errors=True)
    fresh.rename(arguments.out)
    print(f"{len(log.trials)} trials; set aside: {log.reasons() or 'none'}")


if __name__ == "__main__":
    main()
