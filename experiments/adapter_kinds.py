"""Compare adapter kinds: in every block, where `pick` puts them, and at random.

For each kind, `measure` runs `pick --adapter KIND` on each task: it finds the kind's learning rate,
races its placements, and trains the winner and the kind in every block over the same seeds. A
random placement of the kind is trained the same way. The cell of LoRA also trains LoRA on `qkv` of
every block, with which every kind can be compared. All have at most the same number of parameters.
The predictor has seen no task of the family. A line is appended for each kind and task; what is
there is not run again. With `saliency-vits14`, which is wider, fewer images, candidates and seeds
are used: what a CPU can do. That is too few to tell kinds apart.

    python experiments/adapter_kinds.py measure
    python experiments/adapter_kinds.py measure --backbone saliency-vits14 --epochs 3
    python experiments/adapter_kinds.py report
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import autoplace
from autoplace.adapters import count_parameters, list_adapters
from autoplace.agent import Progress, open_task
from autoplace.agent.steps._space import search_space
from autoplace.backbones import create_chain
from autoplace.placement import Placement
from autoplace.placement.generators import every_block, random_edges
from autoplace.settings import PickSettings

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from left_out import predictor_without
from machine import describe_machine
from rates import WIDE, write_subset
from refits import collapse_limits, refit_accuracies

RESULTS = Path(__file__).parent / "results"
ROWS, REPORT = RESULTS / "adapter_kinds.jsonl", RESULTS / "adapter_kinds.json"
# One natural, one specialised and one structured task. On emoji-groups, another natural one,
# training most kinds raises the validation loss, so it cannot compare them.
TASKS = ("fonts-letters", "charts-kinds", "shapes-count")
FIELD = 8
SEEDS = 3
WIDE_IMAGES = {"train": 120, "val": 80, "test": 400}
WIDE_OPTIONS = {"field_size": 4, "seeds": 2, "batch_size": 16}
# Ten tokens in every attention, the kind's default, exceed the budget.
SPECS = {"prefix": "prefix:length=4"}
# A public study's means over the 19 tasks of VTAB-1k, with ViT-B/16; its `bottleneck` is Houlsby's.
STUDY = {
    "convpass": 74.2, "bottleneck": 74.0, "adaptformer": 73.7, "ssf": 73.0, "lora": 72.9,
    "bitfit": 72.2, "layernorm": 71.2,
}  # fmt: skip


def random_placement(settings: PickSettings, backbone_shape: Any, space: Any) -> Placement | None:
    """Return a random placement of the first kind, as large as every-block is or smaller."""
    rng = np.random.default_rng(settings.seed)
    n_nodes = backbone_shape.n_nodes
    for size in (12, 6, 3, 2, 1):
        for _ in range(20):
            edges = random_edges(n_nodes, size, rng)
            if not space.budget.serves(edges[0]):  # inside sub-layers, or at one place only
                chosen = rng.choice(n_nodes - 1, size, replace=False)
                edges = tuple(every_block(n_nodes)[k] for k in sorted(chosen))
            placement: Placement | None = space.budget.fit(edges)
            if placement is not None:
                return placement
    return None


def run_kind(kind: str, task_name: str, backbone: str, epochs: int) -> dict[str, Any]:
    """Pick for one kind on one task, and train a random placement of it."""
    options: dict[str, Any] = {
        "adapter": SPECS.get(kind, kind), "epochs": epochs, "backbone": backbone,
        "field_size": FIELD, "top_k": 1, "folds": 1, "seeds": SEEDS, "precision": "float32",
        "baselines": "minimal",
    }  # fmt: skip
    source = f"builtin:{task_name}"
    with tempfile.TemporaryDirectory() as folder:
        if backbone == WIDE:
            options |= WIDE_OPTIONS
            source = write_subset(task_name, Path(folder) / "images", WIDE_IMAGES)
        result = autoplace.pick(
            source,
            store=f"sqlite:///{folder}/s.db",
            predictor=str(predictor_without(task_name, Path(folder) / "predictor")),
            **options,
        )
        settings = PickSettings(**options)
        task = open_task(source, settings, settings, Progress())
        space = search_space(task.chain, settings)
        placement = random_placement(settings, task.chain.shape, space)
        random: dict[str, Any] = {}
        if placement is not None:
            rates = {name: found.rate for name, found in result.rates.items()}
            limits = collapse_limits(task, rates, range(settings.seeds), settings)
            values = refit_accuracies(task, placement, rates, limits, settings)
            random = {"placement": str(placement), "values": values}
    return {
        "kind": kind, "task": task_name, "backbone": backbone, "epochs": epochs,
        "rates": {name: found.rate for name, found in result.rates.items()},
        "tested": {
            role: {"placement": each.what, "values": list(each.values)}
            for role, each in result.tested.items()
        } | {"random": random},
        "parameters": count_parameters(result.winner, task.chain.shape),
    }  # fmt: skip


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means and standard deviations over seeds by task and kind, and the order of kinds."""
    tables: dict[str, Any] = {}
    for row in rows:
        cells = {
            role: cell(tested) for role, tested in row["tested"].items() if tested.get("values")
        }
        if row["tested"]["winner"]["placement"] == every_block_text(row["kind"], row["backbone"]):
            cells["every-block"] = cells["winner"]  # a baseline that won is tested as the winner
        tables.setdefault(f"{row['backbone']}, {row['task']}", {})[row["kind"]] = {
            "rate": row["rates"].get(row["kind"]),
            "parameters": row["parameters"],
            **cells,
        }
    orders = {
        f"{backbone}, {role}": order(tables, backbone, role)
        for backbone in sorted({row["backbone"] for row in rows})
        for role in ("every-block", "winner", "random")
    }
    return {
        "tables": tables, "orders": orders, "seeds": SEEDS, "field": FIELD, **describe_machine(),
    }  # fmt: skip


def every_block_text(kind: str, backbone: str) -> str:
    """Return the placement of a kind in every block; `None` if it does not fit the budget."""
    settings = PickSettings(adapter=SPECS.get(kind, kind), backbone=backbone)
    return str(search_space(create_chain(backbone), settings).every_block)


def cell(tested: dict[str, Any]) -> dict[str, Any]:
    """Return mean and standard deviation of some values."""
    values = np.array(tested["values"])
    return {
        "mean": round(float(values.mean()), 4),
        "sd": round(float(values.std(ddof=1)), 4) if len(values) > 1 else None,
        "placement": tested["placement"],
    }


def order(tables: dict[str, Any], backbone: str, role: str) -> dict[str, Any]:
    """Order kinds by their mean over the tasks on which all ran, and compare with the study."""
    parts = [table for name, table in tables.items() if name.startswith(f"{backbone}, ")]
    most = max(len(table) for table in parts)
    whole = [table for table in parts if len(table) == most]
    kinds = set.intersection(*({kind for kind in table if role in table[kind]} for table in whole))
    means = {kind: float(np.mean([table[kind][role]["mean"] for table in whole])) for kind in kinds}
    both = sorted(kinds & set(STUDY))
    found = stats.spearmanr([means[kind] for kind in both], [STUDY[kind] for kind in both])
    return {
        "tasks": len(whole),
        "means": {k: round(means[k], 4) for k in sorted(kinds, key=lambda k: -means[k])},
        "spearman_with_study": round(float(found.statistic), 2) if len(both) > 2 else None,
        "kinds_in_study": both,
    }


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--backbone", default="starter")
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--kinds", nargs="*", default=list_adapters())
    parser.add_argument("--rows", type=Path, default=ROWS)
    options = parser.parse_args()
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    rows = [json.loads(line) for line in lines]
    if options.what == "report":
        document = report(rows)
        REPORT.write_text(json.dumps(document, indent=2) + "\n")
        print(json.dumps(document["orders"], indent=2))
        return
    known = {(row["backbone"], row["task"], row["kind"], row["epochs"]) for row in rows}
    for task in options.tasks:
        for kind in options.kinds:
            if (options.backbone, task, kind, options.epochs) in known:
                continue
            row = run_kind(kind, task, options.backbone, options.epochs)
            with options.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(task, kind, {r: np.mean(t["values"]) for r, t in row["tested"].items() if t},
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
