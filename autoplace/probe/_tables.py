"""The probe's three tables: edges, nodes and task, as data frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from autoplace.placement import Edge
from autoplace.probe._gradients import GradientSum
from autoplace.probe._separability import separability
from autoplace.probe._spectrum import narrow_sketch, spectrum_statistics


@dataclass(frozen=True)
class ProbeTables:
    """What was measured before any training: data frames, no tensors.

    edges: one row per edge (n²); nodes: one row per node; task: one row.
    """

    edges: pd.DataFrame
    nodes: pd.DataFrame
    task: pd.DataFrame

    def matrix(self, column: str) -> np.ndarray:
        """(n, n) of one column of `edges`; entry [i, j] belongs to Edge(i, j)."""
        return self.edges.pivot(index="source", columns="target", values=column).to_numpy(float)


class NodeSums:
    """Gathers, over micro-batches, what the node table says of each node."""

    def __init__(self, n_nodes: int) -> None:
        self._activation = np.zeros(n_nodes)
        self._cotangent = np.zeros(n_nodes)
        self._count = 0
        self._pooled: list[np.ndarray] = []

    def add(self, hidden: Tensor, cotangents: Tensor, normalised: Tensor) -> None:
        """hidden, cotangents, normalised: (n, batch, tokens, dim)."""
        self._activation += hidden.square().sum((1, 2, 3)).double().cpu().numpy()
        self._cotangent += cotangents.square().sum((1, 2, 3)).double().cpu().numpy()
        self._count += hidden[0].numel()
        self._pooled.append(normalised.mean(2).float().cpu().numpy())

    def table(self, labels: np.ndarray, seed: int) -> pd.DataFrame:
        """One row per node: separability of its token means, root mean squares of h and D."""
        pooled = np.concatenate(self._pooled, axis=1)
        return pd.DataFrame(
            {
                "node": np.arange(len(pooled)),
                "separability": separability(pooled, labels, seed),
                "activation_norm": np.sqrt(self._activation / self._count),
                "cotangent_norm": np.sqrt(self._cotangent / self._count),
            }
        )


def edge_table(gradients: GradientSum, seed: int) -> pd.DataFrame:
    """One row per edge: its kind, the statistics of its gradient, and a sketch of it."""
    statistics = spectrum_statistics(gradients.total)
    statistics["snr"] = gradients.signal_to_noise()
    sketch = narrow_sketch(gradients.total, seed)
    n_nodes = len(sketch)
    source, target = (index.ravel() for index in np.indices((n_nodes, n_nodes)))
    columns = {
        "source": source,
        "target": target,
        "kind": [str(Edge(int(i), int(j)).kind) for i, j in zip(source, target, strict=True)],
    }
    columns |= {name: value.double().cpu().numpy().ravel() for name, value in statistics.items()}
    flat = sketch.double().cpu().numpy().reshape(n_nodes * n_nodes, -1)
    columns |= {f"sketch_{k:02d}": flat[:, k] for k in range(flat.shape[1])}
    return pd.DataFrame(columns)
