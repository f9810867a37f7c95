"""The common panel: placements that run on every task, so that tasks can be compared.

It has equally many single edges of the four kinds, spread over the depth, and sets of 2 to n - 1
edges, all with one parameter budget. GGA's sets come from the probes of the tuning sets, so they
are the same on every task. The short panel is the first part of the long one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from autoplace.agent import Progress, open_task, parameter_budget, probe_task
from autoplace.placement import Edge, Placement
from autoplace.placement.generators import every_block, first_k, gga, last_k, random_edges
from autoplace.settings import CollectSettings

sys.path.insert(0, str(Path(__file__).parents[1]))

from tuning_sets import write_tuning_sets

FOLDER = Path(__file__).parent / "panels"
SEED = 11
BUDGET_EDGES = 6  # of rank 8; the budget of the log is the same for every backbone
# Source and target as shares of the depth; the short panel has the first three of each kind.
SINGLES = {
    "sequential": ((0.2, 0.2), (0.55, 0.55), (0.9, 0.9), (0.05, 0.05), (0.4, 0.4), (0.75, 0.75)),
    "parallel": ((0.1, 0.1), (0.5, 0.5), (0.85, 0.85), (0.0, 0.0), (0.3, 0.3), (0.7, 0.7)),
    "long-range": ((0.0, 0.5), (0.3, 0.95), (0.0, 1.0), (0.1, 0.3), (0.5, 0.75), (0.7, 1.0)),
    "recurrent": ((0.5, 0.1), (0.95, 0.4), (1.0, 0.05), (0.3, 0.1), (0.75, 0.5), (1.0, 0.75)),
}


def singles(n_nodes: int, short: bool) -> Iterator[tuple[str, tuple[Edge, ...]]]:
    """Return named single edges, three or six of each kind."""
    last = n_nodes - 1
    for kind, places in SINGLES.items():
        for source, target in places[: 3 if short else 6]:
            i, j = round(source * last), round(target * last)
            if kind == "parallel":
                i = min(i, last - 1)
                j = i + 1
            elif kind == "long-range":
                j = max(j, i + 2)
            elif kind == "recurrent":
                i = max(i, j + 1)
            yield kind, (Edge(i, j),)


def sets(
    n_nodes: int, ranks: np.ndarray, ties: np.ndarray, short: bool
) -> Iterator[tuple[str, tuple[Edge, ...]]]:
    """Return named edge sets; ranks and ties, (n, n), come from the probe."""
    rng = np.random.default_rng(SEED)
    for size in (3, 6):
        yield "gga", gga(ranks, ties, size, 0.6)
    for size in (2, 6, 12, n_nodes - 1):
        yield "random", random_edges(n_nodes, size, rng)
    yield "every-block", every_block(n_nodes)
    yield "first-k", first_k(n_nodes, 6)
    yield "last-k", last_k(n_nodes, 6)
    if short:
        return
    for size in (2, 12):
        yield "gga", gga(ranks, ties, size, 0.6)
    for size in (3, 4, 6, 12, n_nodes - 1):
        yield "random", random_edges(n_nodes, size, rng)
    yield "every-block", every_block(n_nodes, "mlp")
    yield "first-k", first_k(n_nodes, 2)
    yield "last-k", last_k(n_nodes, 2)


def make_panel(backbone: str, work: Path) -> list[tuple[str, Placement]]:
    """Make the long panel, the short one first. work: where the tuning sets are written."""
    settings = CollectSettings(backbone=backbone, edges=BUDGET_EDGES)
    ranks, ties = [], []
    for folder in write_tuning_sets(work):
        task = open_task(str(folder), settings, settings, Progress())
        tables = probe_task(task, settings).tables
        ranks.append(tables.matrix("gradient_rank"))
        ties.append(np.nan_to_num(tables.matrix("stable_rank")))
    n_nodes = task.chain.n_nodes
    budget = parameter_budget(settings, task.chain.shape)
    found: dict[Placement, str] = {}
    for short in (True, False):
        means = (np.mean(ranks, 0), np.mean(ties, 0))
        for name, edges in (*singles(n_nodes, short), *sets(n_nodes, *means, short)):
            placement = budget.fit(edges)
            if placement is not None:
                found.setdefault(placement, name)
        if short:
            length = len(found)
    print(f"{backbone}: {length} placements in the short panel, {len(found)} in the long one")
    return [(name, placement) for placement, name in found.items()]


def write_panel(backbone: str, work: Path) -> None:
    """Write one `name placement` per line, the short panel first."""
    panel = make_panel(backbone, work)
    FOLDER.mkdir(exist_ok=True)
    lines = [f"{name} {placement}\n" for name, placement in panel]
    (FOLDER / f"{backbone}.txt").write_text("".join(lines))


def read_panel(backbone: str, length: int) -> list[tuple[str, Placement]]:
    """Read the first `length` placements of a backbone's panel, each with its name."""
    lines = (FOLDER / f"{backbone}.txt").read_text().splitlines()[:length]
    pairs = (line.split(" ", 1) for line in lines)
    return [(name, Placement.parse(text)) for name, text in pairs]
