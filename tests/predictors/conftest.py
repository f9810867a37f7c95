"""Probe tables and a placement log with a known rule, small but of the real shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from predictors import (
    LOG_COLUMNS,
    LOG_SCHEMA_VERSION,
    TrainingSet,
    build_features,
    build_training_set,
)
from predictors.vocabulary import FIRST_OPTIMISER

N_NODES = 9
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def _probe_tables(seed: int, n_nodes: int = N_NODES) -> Tables:
    """What the probe room hands over: the edge, node and task tables of one task."""
    rng = np.random.default_rng(seed)
    source, target = (axis.ravel() for axis in np.indices((n_nodes, n_nodes)))
    count = n_nodes**2
    kinds = np.select(
        [source == target, source == target - 1, source < target],
        ["sequential", "parallel", "long-range"],
        "recurrent",
    )
    edges = pd.DataFrame({"source": source, "target": target, "kind": kinds})
    edges["gradient_rank"] = rng.integers(1, 30, count).astype(float)
    for name in ("rank_1e1", "rank_1e3", "stable_rank", "effective_rank", "snr", "energy_r8"):
        edges[name] = rng.random(count)
    for name in ("frobenius_norm", "spectral_norm", "nuclear_norm"):
        edges[name] = np.exp(rng.normal(size=count))
    for i in range(16):
        edges[f"sketch_{i:02d}"] = rng.normal(size=count)
    nodes = pd.DataFrame({"node": np.arange(n_nodes), "separability": rng.random(n_nodes)})
    nodes["activation_norm"], nodes["cotangent_norm"] = rng.random((2, n_nodes))
    task = pd.DataFrame(
        {
            "n_nodes": [n_nodes],
            "dim": [96],
            "tokens": [17],
            "n_classes": [int(rng.integers(2, 12))],
            "n_train": [800],
            "n_probe": [256],
            "head_accuracy": [rng.uniform(0.4, 0.9)],
            "head_loss": [0.9],
            "chance": [0.1],
        }
    )
    return edges, nodes, task


def _placement_rows(placements: list[list[tuple[int, int]]], rank: int = 8) -> pd.DataFrame:
    """The frame of placements: one row per placement and edge."""
    rows = [
        {
            "placement": "+".join(f"{i}>{j}" for i, j in sorted(edges)) + f"@bottleneck:r={rank}",
            "source": i,
            "target": j,
            "adapter_kind": "bottleneck",
            "maps": "",
            "rank": rank,
            "parameters": 96 * 2 * rank,
            "unroll": 2,
        }
        for edges in placements
        for i, j in sorted(edges)
    ]
    return pd.DataFrame(rows)


def _random_placements(
    count: int, seed: int, n_nodes: int = N_NODES
) -> list[list[tuple[int, int]]]:
    """Distinct sets of 1 to 6 edges."""
    rng = np.random.default_rng(seed)
    sets: dict[frozenset[int], None] = {}
    while len(sets) < count:
        size = int(rng.integers(1, 7))
        sets[frozenset(rng.choice(n_nodes**2, size, replace=False).tolist())] = None
    return [[divmod(edge, n_nodes) for edge in chosen] for chosen in sets]


@pytest.fixture(scope="session")
def probe_tables() -> Callable[..., Tables]:
    return _probe_tables


@pytest.fixture(scope="session")
def placement_rows() -> Callable[..., pd.DataFrame]:
    return _placement_rows


@pytest.fixture(scope="session")
def random_placements() -> Callable[..., list[list[tuple[int, int]]]]:
    return _random_placements


@pytest.fixture(scope="session")
def features() -> dict[str, pd.DataFrame]:
    """Features of 40 placements in each of six tasks, by probe key."""
    frames = {}
    for task in range(6):
        tables = _probe_tables(seed=task)
        rows = _placement_rows(_random_placements(40, seed=100 + task))
        frames[f"probe{task}"] = build_features(*tables, rows, backbone="starter")
    return frames


@pytest.fixture(scope="session")
def make_log(features: dict[str, pd.DataFrame]) -> Callable[[], pd.DataFrame]:
    """A log of every placement, three families of two tasks.

    The gain rises with gradient rank and falls with target depth; how much, and from what level,
    differs between tasks. Each call gives a fresh copy.
    """
    rng = np.random.default_rng(7)
    rows = []
    for task, (key, X) in enumerate(features.items()):
        worth = X["gradient_rank_percentile_mean"] - 0.7 * X["target_mean"]
        gains = 0.05 + 0.02 * (task + 1) * worth + rng.normal(0, 0.002, len(X))
        for number, (placement, gain) in enumerate(gains.items()):
            rows.append(
                {
                    **{column.name: None for column in LOG_COLUMNS},
                    "schema_version": LOG_SCHEMA_VERSION,
                    "trial_id": f"{task}-{number}",
                    "task": f"task{task}",
                    "task_name": f"task {task}",
                    "family": f"family{task // 2}",
                    "backbone": "starter",
                    "backbone_sha256": "0" * 64,
                    "n_nodes": N_NODES,
                    "probe_key": key,
                    "placement": placement,
                    "adapter_kind": "bottleneck",
                    "n_edges": placement.count(">"),
                    "parameters": 1536,
                    "learning_rate": 1e-3,
                    "protocol": "found-rate",
                    "optimiser": FIRST_OPTIMISER,
                    "weight_decay": 1e-4,
                    "batch_size": 64,
                    "epochs": 4,
                    "augment": "none",
                    "precision": "float32",
                    "seed": 0,
                    "status": "done",
                    "metric": "accuracy",
                    "val_metric": 0.6 + gain,
                    "head_only_val_metric": 0.6,
                    "test_metric": float(rng.random()),
                    "seconds": 3.0,
                    "versions": "{}",
                }
            )
    return pd.DataFrame(rows).copy


@pytest.fixture(scope="session")
def data(make_log: Callable[[], pd.DataFrame], features: dict[str, pd.DataFrame]) -> TrainingSet:
    return build_training_set(make_log(), features)
