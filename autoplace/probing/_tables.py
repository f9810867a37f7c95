"""The probe's three tables: edges, nodes and task, as data frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from autoplace.placement import Edge
from autoplace.probing._gradients import GradientSum
from autoplace.probing._separability import separability
from autoplace.probing._sketch import Sketch
from autoplace.probing._spectrum import OverlapSketch, spectrum_statistics


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
    """Gathers, over passes, what the node table says of each node.

    Attributes
    ----------
    tokens
        Tokens of an image in the stream, known after the first pass.
    """

    def __init__(self, n_nodes: int) -> None:
        self._activation = np.zeros(n_nodes)
        self._cotangent = np.zeros(n_nodes)
        self._count = np.zeros(n_nodes)
        self._pooled: list[Tensor] = []  # (n, batch, dim) of each pass
        self._labels: list[Tensor] = []
        self.tokens = 0

    def begin(self, labels: Tensor, hidden: Tensor) -> None:
        """Begin a pass over images of these classes (batch,); hidden: any node's, for its shape.

        What is kept of the pass gets its place here and not node by node: small blocks would come
        to lie between large ones that are freed meanwhile, where the next pass needs the room.
        """
        batch, self.tokens, dim = hidden.shape
        self._labels.append(labels)
        self._pooled.append(hidden.new_empty(len(self._count), batch, dim, dtype=torch.float32))

    def add(self, node: int, hidden: Tensor, cotangents: Tensor, normalised: Tensor) -> None:
        """hidden, cotangents, normalised: (batch, tokens, dim) of one node in the pass begun."""
        self._activation[node] += float(torch.linalg.vector_norm(hidden).double()) ** 2
        self._cotangent[node] += float(torch.linalg.vector_norm(cotangents).double()) ** 2
        self._count[node] += hidden.numel()
        self._pooled[-1][node] = normalised.mean(1)

    def table(self, seed: int) -> pd.DataFrame:
        """One row per node: separability of its token means, root mean squares of h and D.

        D is of the mean loss, as in the table of edges.
        """
        labels = torch.cat(self._labels).numpy()
        pooled = torch.cat(self._pooled, 1).cpu().numpy()
        return pd.DataFrame(
            {
                "node": range(len(self._count)),
                "separability": separability(pooled, labels, seed),
                "activation_norm": np.sqrt(self._activation / self._count),
                "cotangent_norm": np.sqrt(self._cotangent / self._count) / len(labels),
            }
        )


def edge_table(
    gradients: GradientSum, n_rows: int, sketch: Sketch, dim: int, seed: int
) -> pd.DataFrame:
    """One row per edge: its kind, the statistics of its gradient, and a sketch of it.

    gradients: of the loss summed over n_rows images, as `sketch` shows them; the table is of the
    mean. dim: width of the stream.
    """
    overlap = OverlapSketch(sketch, dim, seed)
    snr = gradients.signal_to_noise()
    parts = []
    for source, total in enumerate(gradients.total):  # in turn: copies of all would take memory
        mean = total / n_rows
        columns = spectrum_statistics(sketch.spectral(mean)) | {"snr": snr[source]}
        narrow = overlap.of_source(source, mean)
        columns |= {f"sketch_{k:02d}": narrow[:, k] for k in range(narrow.shape[1])}
        kinds = [str(Edge(source, target).kind) for target in range(len(total))]
        table = {"source": source, "target": np.arange(len(total)), "kind": kinds}
        values = {name: value.double().cpu().numpy() for name, value in columns.items()}
        parts.append(pd.DataFrame(table | values))
    return pd.concat(parts, ignore_index=True)
