"""Make the placement log: run placements on tasks with backbones and seeds.

`panel` writes a backbone's panel from the probes of the tuning sets. `run` executes a plan. It can
be stopped and started again at any time, because it skips what is already in the store. Each run
on a task finds the learning rate first (protocol `found-rate`), for all stages together. Trials of
other protocols in the store do not count. --backbones, --tasks and --stages select a part of a
plan. `export.py` writes the shipped log.

    python experiments/log/make.py panel --backbones starter fashion-vit8 --work tuning
    python experiments/log/make.py run --plan cpu --store sqlite:///log/mlflow.db

`complete.py` continues the log with the plan for a GPU.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import torch
from panel import BUDGET_EDGES, read_panel, write_panel

from autoplace.agent import (
    Progress,
    collect_task,
    open_task,
    parameter_budget,
    sample_trials,
)
from autoplace.backbones import create_chain
from autoplace.data import BuiltinTask, list_tasks
from autoplace.placement import Edge, Placement
from autoplace.settings import CollectSettings
from autoplace.tracking import Store, read_rows
from autoplace.training import Task, Trial
from predictors import log_table
from predictors.vocabulary import Protocol, Role, Status

# Tasks of six families on which the whole panel is repeated.
REPEATED = (
    "fonts-styles", "emoji-groups", "icons-topics",
    "shapes-count", "charts-trends", "spheres-light",
)  # fmt: skip
SHORT, LONG = 21, 40
EPOCHS = 5
LATTICE = 5  # nodes per side of the map of single edges, evenly spread over the depth


@dataclass(frozen=True)
class Stage:
    """Placements of one kind on some tasks with some backbones.

    kind : "panel" (its first `count`), "spread" (`count` of the short panel, evenly picked), "map"
        (single edges between the nodes of a lattice) or "fresh" (`count` sampled for each task).
    seeds : seeds of the trials; the split and the probe always have seed 0.
    repeated : only tasks in REPEATED (True), only the others (False), or all (None).
    """

    name: str
    kind: str
    backbones: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    count: int = SHORT
    repeated: bool | None = None


_TWO = ("starter", "fashion-vit8")
_FOUR = (*_TWO, "formula-vit6", "saliency-vits14")
PLANS = {
    "cpu": (
        Stage("panel", "panel", _TWO),
        Stage("repeats", "panel", _TWO, seeds=(1, 2), repeated=True),
        Stage("spread", "spread", ("fashion-vit8",), seeds=(1,), count=5, repeated=False),
        Stage("fresh", "fresh", ("fashion-vit8",), count=6),
        Stage("map", "map", ("fashion-vit8",), repeated=True),
    ),
    "gpu": (
        Stage("panel", "panel", _FOUR, count=LONG),
        Stage("repeats", "panel", _FOUR, seeds=(1, 2), count=LONG, repeated=True),
        Stage("spread", "spread", _FOUR, seeds=(1, 2), count=10, repeated=False),
        Stage("map", "map", _FOUR),
        Stage("fresh", "fresh", _FOUR, count=30),
    ),
}


def planned(stage: Stage, task: Task, settings: CollectSettings) -> Iterator[Trial]:
    """Yield the trials of a stage on a task."""
    chain = task.chain
    if stage.kind == "map":
        budget = parameter_budget(settings, chain.shape)
        nodes = [round(k * (chain.n_nodes - 1) / (LATTICE - 1)) for k in range(LATTICE)]
        for edge in (Edge(i, j) for i in nodes for j in nodes):
            placement = budget.fit((edge,))
            assert placement is not None, "one edge fits the budget of six"
            yield Trial(placement, 0, Role.PANEL, "map", 1.0)
    elif stage.kind == "fresh":
        # Different placements for each task, to cover more of the space.
        draw = replace(settings, placements=stage.count, seed=zlib.crc32(task.data.name.encode()))
        for trial in sample_trials(chain.shape, draw):
            yield replace(trial, seed=0)
    else:
        panel = read_panel(chain.name, stage.count if stage.kind == "panel" else SHORT)
        if stage.kind == "spread":
            panel = [panel[k * len(panel) // stage.count] for k in range(stage.count)]
        for seed in stage.seeds:
            if seed:
                yield Trial(Placement(), seed, Role.HEAD_ONLY, Role.HEAD_ONLY, 1.0)
            for name, placement in panel:
                yield Trial(placement, seed, Role.PANEL, f"panel:{name}", 1.0)


def run(arguments: argparse.Namespace) -> None:
    """Run the trials of a plan that the store lacks, task by task and stage by stage."""
    store = Store(arguments.store)
    stages = [
        stage
        for stage in PLANS[arguments.plan]
        if not arguments.stages or stage.name in arguments.stages
    ]
    for backbone in dict.fromkeys(name for stage in stages for name in stage.backbones):
        if arguments.backbones and backbone not in arguments.backbones:
            continue
        settings = CollectSettings(
            backbone=backbone,
            epochs=EPOCHS,
            edges=BUDGET_EDGES,
            store=arguments.store,
            parallel_placements=arguments.parallel_placements,
        )
        for each in list_tasks():
            wanted = [stage for stage in stages if _is_for(stage, backbone, each.name)]
            if wanted and fnmatch(each.name, arguments.tasks):
                _run_task(wanted, each, settings, store)


def _is_for(stage: Stage, backbone: str, task: str) -> bool:
    """Whether a stage runs on a task with a backbone."""
    on_task = stage.repeated is None or (task in REPEATED) == stage.repeated
    return on_task and backbone in stage.backbones


def _run_task(
    stages: Sequence[Stage], each: BuiltinTask, settings: CollectSettings, store: Store
) -> None:
    """Run what the store lacks of all stages on a task, with one learning rate."""
    chain = create_chain(settings.backbone)
    task = open_task(f"builtin:{each.name}", settings, settings, Progress(), chain=chain)
    log = log_table(read_rows(store))
    log = log[(log["task"] == task.fingerprint) & (log["epochs"] == settings.epochs)]
    log = log[(log["status"] == Status.DONE) & (log["protocol"] == Protocol.FOUND_RATE)]
    done = set(zip(log["placement"], log["seed"].astype(int), strict=True))
    missing: dict[tuple[str, int], Trial] = {}  # a placement of two stages runs once
    for stage in stages:
        for trial in planned(stage, task, settings):
            missing.setdefault((str(trial.placement), trial.seed), trial)
    trials = [trial for key, trial in missing.items() if key not in done]
    if not trials:
        return
    start = time.monotonic()
    counts: dict[str, int] = {}
    for row in collect_task(task, trials, settings, store, Progress()):
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    seconds = time.monotonic() - start
    print(chain.name, each.name, counts, f"{seconds:.0f} s", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["panel", "run"])
    parser.add_argument("--backbones", nargs="+", help="default: all of the plan")
    parser.add_argument("--plan", choices=list(PLANS), default="cpu")
    parser.add_argument("--stages", nargs="+", help="default: all of the plan")
    parser.add_argument("--tasks", default="*", help="wildcard pattern of task names")
    parser.add_argument("--store", default="sqlite:///log/mlflow.db")
    parser.add_argument("--parallel-placements", default="auto")
    parser.add_argument("--threads", type=int, help="of each process; default: torch's")
    parser.add_argument("--work", type=Path, help="folder for the tuning sets")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.step == "panel":
        for backbone in arguments.backbones or _FOUR:
            write_panel(backbone, arguments.work)
    else:
        run(arguments)


if __name__ == "__main__":
    main()
