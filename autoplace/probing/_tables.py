"""The tables of the probe: edges, nodes, task and sites, as data frames."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from autoplace.placement import Edge
from autoplace.probing._gradients import GradientSum
from autoplace.probing._separability import separability
from autoplace.probing._sites import SITE_COLUMNS
from autoplace.probing._sketch import Sketch
from autoplace.probing._spectrum import OverlapSketch, spectrum_statistics


@dataclass(frozen=True)
class ProbeTables:
    """The result of the probe.

    Parameters
    ----------
    edges : DataFrame
        One row for each of the n² edges.
    nodes : DataFrame
        One row for each node.
    task : DataFrame
        One row.
    sites : DataFrame
        One row for each map inside each sub-layer; see `SiteSums.table`. It is empty for a probe
        that was stored before there was this table.

    Examples
    --------
    >>> import pandas as pd
    >>> edges = pd.DataFrame(
    ...     {"source": [0, 0, 1, 1], "target": [0, 1, 0, 1], "snr": [1.0, 2.0, 3.0, 4.0]}
    ... )
    >>> tables = ProbeTables(edges, nodes=pd.DataFrame(), task=pd.DataFrame())
    >>> tables.matrix("snr")
    array([[1., 2.],
           [3., 4.]])
    """

    edges: pd.DataFrame
    nodes: pd.DataFrame
    task: pd.DataFrame
    sites: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SITE_COLUMNS)))

    def matrix(self, column: str) -> np.ndarray:
        """Return a column of `edges` as (n, n); entry [i, j] belongs to Edge(i, j)."""
        return self.edges.pivot(index="source", columns="target", values=column).to_numpy(float)


class NodeSums:
    """Sums over passes from which the table of nodes is computed.

    Parameters
    ----------
    n_nodes : int
        Number of nodes.

    Attributes
    ----------
    tokens : int
        Tokens of an image in the stream; known after the first pass.
    """

    def __init__(self, n_nodes: int) -> None:
        self._activation = np.zeros(n_nodes)
        self._cotangent = np.zeros(n_nodes)
        self._count = np.zeros(n_nodes)
        self._pooled: list[Tensor] = []  # (n, batch, dim) of each pass
        self._labels: list[Tensor] = []
        self.tokens = 0

    def begin(self, labels: Tensor, hidden: Tensor) -> None:
        """Begin a pass.

        Memory for the pooled values of all nodes is allocated here. Allocated node by node, the
        small blocks would fragment the memory that large tensors free during the pass and the
        next pass needs.

        Parameters
        ----------
        labels : Tensor of shape (batch,)
            Classes of the images.
        hidden : Tensor of shape (batch, tokens, dim)
            Value of any node, for its shape.
        """
        batch, self.tokens, dim = hidden.shape
        self._labels.append(labels)
        self._pooled.append(hidden.new_empty(len(self._count), batch, dim, dtype=torch.float32))

    def add(self, node: int, hidden: Tensor, cotangents: Tensor, normalised: Tensor) -> None:
        """Add one node of the pass; the tensors have the shape (batch, tokens, dim)."""
        self._activation[node] += float(torch.linalg.vector_norm(hidden).double()) ** 2
        self._cotangent[node] += float(torch.linalg.vector_norm(cotangents).double()) ** 2
        self._count[node] += hidden.numel()
        self._pooled[-1][node] = normalised.mean(1)

    def table(self, seed: int) -> pd.DataFrame:
        """Create a table with one row per node.

        Columns are the separability of the token means, and the root mean squares of h and of
        D = d loss / d h. The loss is the mean over images, as in the table of edges.
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
    """Create a table with one row per edge: its kind, and statistics and a sketch of its gradient.

    Parameters
    ----------
    gradients : GradientSum
        Sketched gradients of the loss summed over images; the table is of the mean.
    n_rows : int
        Number of images.
    sketch : Sketch
        Sketch of the gradients.
    dim : int
        Width of the stream.
    seed : int
        Seed of the projection to the columns `sketch_00` to `sketch_15`.
    """
    overlap = OverlapSketch(sketch, dim, seed)
    snr = gradients.signal_to_noise()
    parts = []
    for source, total in enumerate(gradients.total):  # one source at a time, to save memory
        mean = total / n_rows
        columns = spectrum_statistics(sketch.spectral(mean)) | {"snr": snr[source]}
        narrow = overlap.of_source(source, mean)
        columns |= {f"sketch_{k:02d}": narrow[:, k] for k in range(narrow.shape[1])}
        kinds = [str(Edge(source, target).kind) for target in range(len(total))]
        table = {"source": source, "target": np.arange(len(total)), "kind": kinds}
        values = {name: value.double().cpu().numpy() for name, value in columns.items()}
        parts.append(pd.DataFrame(table | values))
    return pd.concat(parts, ignore_index=True)
