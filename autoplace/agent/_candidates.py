"""Every placement worth predicting for a task, all within one parameter budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np

from autoplace.adapters import edge_parameters, within_budget
from autoplace.errors import UserError
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.placement.generators import (
    EveryBlockStyle,
    every_block,
    first_k,
    gga,
    last_k,
    random_edges,
    single_edges,
)
from autoplace.probing import ProbeTables
from autoplace.settings import PlacementSettings

SET_SIZES = (2, 3, 4, 6, 8, 12, 24)
GAMMAS = (0.0, 0.3, 0.6, 0.9)
RANDOM_SETS = 200


@dataclass(frozen=True)
class Candidate:
    """A placement and the generator that proposed it, e.g. `gga:n=6,gamma=0.6`."""

    placement: Placement
    chosen_by: str


def parameter_budget(settings: PlacementSettings, dim: int) -> int:
    """Adapter parameters that every candidate may have.

    Raises PlacementError for an unknown adapter kind, and UserError when not even one edge of
    rank 1 fits.
    """
    least = edge_parameters(AdapterSpec.of(settings.adapter, r=1), dim)
    if settings.max_params is None:
        spec = AdapterSpec.of(settings.adapter, r=settings.rank)
        return settings.edges * edge_parameters(spec, dim)
    if settings.max_params < least:
        raise UserError(
            f"no candidate fits {settings.max_params} parameters; one edge of rank 1 takes "
            f"{least}, so raise --max-params"
        )
    return settings.max_params


def check_top_k(top_k: int, n_nodes: int) -> None:
    """Raise UserError for more than could ever be proposed, before a probe is spent on it."""
    generated = len(get_args(EveryBlockStyle)) + len(_sizes(n_nodes)) * (len(GAMMAS) + 2)
    most = generated + RANDOM_SETS + n_nodes**2
    if top_k > most:
        raise UserError(
            f"--top-k is {top_k}, but a backbone of {n_nodes} nodes has at most {most} candidates; "
            "give a smaller number"
        )


def propose(
    tables: ProbeTables, settings: PlacementSettings, dim: int, seed: int
) -> list[Candidate]:
    """All distinct candidates; what is proposed twice keeps the first proposer's name.

    Raises as `parameter_budget` does.
    """
    budget = parameter_budget(settings, dim)
    found: dict[Placement, Candidate] = {}
    for name, edges in _edge_sets(tables, seed):
        placement = within_budget(edges, settings.adapter, dim, budget)
        if placement is not None:
            found.setdefault(placement, Candidate(placement, name))
    return list(found.values())


def every_block_baseline(n_nodes: int, settings: PlacementSettings, dim: int) -> Placement | None:
    """What users get without this tool, at the same budget: parallel, or MLPs only if tight.

    None where the budget is too small for either.
    """
    budget = parameter_budget(settings, dim)
    for edges in (every_block(n_nodes, "parallel"), every_block(n_nodes, "mlp")):
        placement = within_budget(edges, settings.adapter, dim, budget)
        if placement is not None:
            return placement
    return None


def _edge_sets(tables: ProbeTables, seed: int) -> Iterator[tuple[str, tuple[Edge, ...]]]:
    ranks, ties = tables.matrix("gradient_rank"), np.nan_to_num(tables.matrix("stable_rank"))
    n_nodes = len(ranks)
    for style in get_args(EveryBlockStyle):
        yield f"every-block:{style}", every_block(n_nodes, style)
    sizes = _sizes(n_nodes)
    for size in sizes:
        for gamma in GAMMAS:
            yield f"gga:n={size},gamma={gamma:g}", gga(ranks, ties, size, gamma)
        yield f"first-k:k={size}", first_k(n_nodes, size)
        yield f"last-k:k={size}", last_k(n_nodes, size)
    rng = np.random.default_rng(seed)
    for _ in range(RANDOM_SETS):
        yield "random", random_edges(n_nodes, int(rng.choice(sizes)), rng)
    for edges in single_edges(n_nodes):
        yield "single", edges


def _sizes(n_nodes: int) -> list[int]:
    return [size for size in SET_SIZES if size <= n_nodes - 1]
