"""Linear probes of the shipped backbones, which show how useful their features are.

For each built-in task, an L2 logistic regression is fitted on frozen features, on raw pixels and on
the features of the same architecture with random weights. C is cross-validated on the training
split, and the test split is scored once. `cards` writes the table into each backbone's card.

    python experiments/backbones/linear_probe.py measure
    python experiments/backbones/linear_probe.py cards
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from recipes import RECIPES
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from autoplace.backbones import ResidualChain, create_chain
from autoplace.data import ImageSplit, create_transform, list_tasks, load_data

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from machine import describe_machine

STRENGTHS = np.logspace(-5, 1, 7)  # values of C; raw pixels (3,072 columns) need much smaller ones
RESULT = Path(__file__).parent / "linear_probe.json"
SHIPPED = Path(__file__).resolve().parents[2] / "autoplace" / "backbones" / "shipped"
BEGIN, END = "<!-- linear probe: begin -->", "<!-- linear probe: end -->"

Rows = tuple[np.ndarray, np.ndarray]


def fit_and_score(train: Rows, test: Rows, seed: int) -> float:
    """Return the test accuracy of a cross-validated logistic regression on (rows, columns)."""
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    model = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
        {"logisticregression__C": STRENGTHS},
        cv=folds,
    )
    # Fits with the weakest penalties may not converge, but they are not chosen.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(*train)
    return round(float(model.score(*test)), 4)


@torch.no_grad()
def chain_features(chain: ResidualChain, images: Tensor) -> np.ndarray:
    """Return the features that a new head reads: images (rows, 3, H, W) -> (rows, num_features)."""
    parts = []
    for batch in images.split(256):
        h = chain.embed(batch)
        for k in range(1, chain.n_nodes):
            h = chain.step(k, h)
        parts.append(chain.features(h))
    return torch.cat(parts).numpy()


def whole(split: ImageSplit) -> tuple[Tensor, np.ndarray]:
    """Load all images (rows, 3, H, W) and labels (rows,) of a split."""
    batch = split.load(np.arange(len(split)))
    return batch.images, np.asarray(batch.labels)


def probe(name: str, chains: dict[str, ResidualChain], seed: int) -> dict[str, object]:
    """Return one task's row of the table; all chains take the same input."""
    transform = create_transform(next(iter(chains.values())).data_config)
    data = load_data(f"builtin:{name}", transform=transform, seed=seed)
    (train_x, train_y), (test_x, test_y) = whole(data.train), whole(data.test)
    inputs = {"raw_pixels": (train_x.flatten(1).numpy(), test_x.flatten(1).numpy())}
    for each, chain in chains.items():
        inputs[each] = chain_features(chain, train_x), chain_features(chain, test_x)
    counts = np.bincount(test_y)
    scores = {
        each: fit_and_score((train, train_y), (test, test_y), seed)
        for each, (train, test) in inputs.items()
    }
    chance = round(float(counts.max() / counts.sum()), 4)
    return {"task": name, "family": data.family, "n_test": len(test_y), "chance": chance, **scores}


def measure(seed: int) -> None:
    """Probe every task with every backbone and its random twin; write the document."""
    start = time.monotonic()
    torch.manual_seed(seed)
    chains = {name: create_chain(name) for name in RECIPES}
    weights = {name: chain.weights_sha256 for name, chain in chains.items()}
    chains |= {f"{name}:random": create_chain(name, pretrained=False) for name in RECIPES}
    rows = []
    for task in list_tasks():
        rows.append(probe(task.name, chains, seed))
        print(f"{task.name}: done after {time.monotonic() - start:.0f} s", file=sys.stderr)
    report = {
        "rows": rows,
        "ahead_of_raw_pixels": _ahead(rows, "raw_pixels"),
        "ahead_of_random_weights": _ahead(rows, None),
        "tasks": len(rows),
        "weights_sha256": weights,
        "seed": seed,
        "seconds": round(time.monotonic() - start, 1),
        **describe_machine(),
    }
    RESULT.write_text(json.dumps(report, indent=1) + "\n")


def _ahead(rows: list[dict], other: str | None) -> dict[str, int]:
    """Count the tasks on which each backbone beats a column, or its random twin."""
    return {
        name: sum(row[name] > row[other or f"{name}:random"] for row in rows) for name in RECIPES
    }


def write_cards() -> None:
    """Write each backbone's table between the two marks in its card."""
    report = json.loads(RESULT.read_text())
    for name in RECIPES:
        lines = [
            f"| task | chance | {name} | raw pixels | same architecture, random weights |",
            "|---|---|---|---|---|",
        ]
        for row in report["rows"]:
            best = max(row[each] for each in (name, "raw_pixels", f"{name}:random"))
            cells = [
                f"**{row[each]:.3f}**" if row[each] == best else f"{row[each]:.3f}"
                for each in (name, "raw_pixels", f"{name}:random")
            ]
            lines.append(f"| {row['task']} | {row['chance']:.3f} | {' | '.join(cells)} |")
        lines += [
            "",
            f"Of {report['tasks']} tasks, ahead of raw pixels on "
            f"{report['ahead_of_raw_pixels'][name]} and of random weights on "
            f"{report['ahead_of_random_weights'][name]}.",
        ]
        card = SHIPPED / name / "card.md"
        before, _, rest = card.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        card.write_text(before + "\n".join([BEGIN, *lines, END]) + after)


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["measure", "cards"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.step == "measure":
        measure(options.seed)
    else:
        write_cards()


if __name__ == "__main__":
    main()
