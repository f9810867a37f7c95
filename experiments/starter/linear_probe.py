"""Linear probe of the starter backbone: does it make features worth adapting?

For each built-in data set, an L2 logistic regression (C cross-validated on the training split,
then scored once on the test split) on frozen features, on raw pixels and on the features of the
same architecture with random weights.

    python experiments/starter/linear_probe.py --json > experiments/starter/linear_probe.json
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import warnings

import numpy as np
import sklearn
import timm
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from autoplace.backbones import ResidualChain, create_chain
from autoplace.data import ImageSplit, create_transform, list_builtin, load_data

STRENGTHS = np.logspace(-5, 2, 8)  # C; raw pixels (3,072 columns) want far smaller ones


def fit_and_score(
    train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], seed: int
) -> dict[str, float]:
    """Test accuracy of a cross-validated logistic regression on (rows, columns) features."""
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    model = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
        {"logisticregression__C": STRENGTHS},
        cv=folds,
    )
    with warnings.catch_warnings():  # the weakest penalties need not converge: they are not chosen
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(*train)
    return {
        "test_accuracy": round(float(model.score(*test)), 4),
        "cross_validated_accuracy": round(float(model.best_score_), 4),
        "C": float(model.best_params_["logisticregression__C"]),
    }


@torch.no_grad()
def chain_features(chain: ResidualChain, images: Tensor) -> np.ndarray:
    """What a new head reads: images (rows, 3, H, W) -> (rows, num_features)."""
    parts = []
    for batch in images.split(256):
        h = chain.embed(batch)
        for k in range(1, chain.n_nodes):
            h = chain.step(k, h)
        parts.append(chain.features(h))
    return torch.cat(parts).numpy()


def whole(split: ImageSplit) -> tuple[Tensor, np.ndarray]:
    """All images (rows, 3, H, W) and labels (rows,) of a split."""
    batch = split.load(np.arange(len(split)))
    return batch.images, np.asarray(batch.labels)


def probe(source: str, chains: dict[str, ResidualChain], seed: int) -> dict[str, object]:
    """One data set's row of the table."""
    transform = create_transform(chains["starter"].data_config)
    data = load_data(source, transform=transform, seed=seed)
    (train_x, train_y), (test_x, test_y) = whole(data.train), whole(data.test)
    inputs = {"raw_pixels": (train_x.flatten(1).numpy(), test_x.flatten(1).numpy())}
    for name, chain in chains.items():
        inputs[name] = chain_features(chain, train_x), chain_features(chain, test_x)
    counts = np.bincount(test_y)
    row: dict[str, object] = {
        "data": source,
        "classes": len(data.classes),
        "n_train": len(train_y),
        "n_test": len(test_y),
        "chance": round(float(counts.max() / counts.sum()), 4),
    }
    for name, (train, test) in inputs.items():
        row[name] = fit_and_score((train, train_y), (test, test_y), seed)
    row["beats_raw_pixels"] = (
        row["starter"]["test_accuracy"] > row["raw_pixels"]["test_accuracy"]  # type: ignore[index]
    )
    return row


def render(report: dict) -> str:
    """The report as a Markdown table."""
    columns = ("starter", "raw_pixels", "random_weights")
    lines = ["| data | chance | " + " | ".join(columns) + " |", "|---|---|---|---|---|"]
    for row in report["rows"]:
        cells = [f"{row[column]['test_accuracy']:.3f}" for column in columns]
        lines.append(f"| `{row['data']}` | {row['chance']:.3f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()

    start = time.monotonic()
    torch.manual_seed(options.seed)
    chains = {
        "starter": create_chain("starter"),
        "random_weights": create_chain("starter", pretrained=False),
    }
    rows = []
    for source in list_builtin():
        rows.append(probe(source, chains, options.seed))
        print(f"{source}: done after {time.monotonic() - start:.0f} s", file=sys.stderr)
    report = {
        "rows": rows,
        "sets_beaten": sum(bool(row["beats_raw_pixels"]) for row in rows),
        "sets": len(rows),
        "weights_sha256": chains["starter"].weights_sha256,
        "seed": options.seed,
        "seconds": round(time.monotonic() - start, 1),
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} thread(s)",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "timm": timm.__version__,
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
        },
    }
    print(json.dumps(report, indent=2) if options.json else render(report))


if __name__ == "__main__":
    main()
