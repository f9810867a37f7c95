"""What runs on a task besides the panel: every adapter kind, and fresh candidates of `pick`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from autoplace.adapters import ParameterBudget, is_inside, list_adapters, list_wirings, wiring
from autoplace.agent.steps._propose import Candidate, propose
from autoplace.agent.steps._space import SearchSpace
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.placement.generators import every_block
from autoplace.probing import ProbeTables
from autoplace.training import Trial
from predictors.vocabulary import Role

Named = tuple[str, Placement]
FRESH = "fresh:"  # precedes the name of the generator in `chosen_by`
# More kinds than `pick` varies, so that the log can say which of them it should vary.
FRESH_KINDS = ("bottleneck", "lora", "arc", "adapterbias", "bitfit")


def of_kinds(budget: ParameterBudget, elsewhere: Sequence[Edge]) -> list[Named]:
    """Return placements of every adapter kind at one parameter budget, with their names.

    A kind is where its published systems have it, or in every block; and in the early half of
    these places; and, on the stream, on the edges `elsewhere`, inside sub-layers in the late half.
    Bottlenecks have other places in the panel. The first placement of every kind comes first, then
    the second of each, and so on.
    """
    by_kind: dict[str, list[tuple[str, AdapterSpec, list[Edge]]]] = defaultdict(list)
    for name in list_wirings():
        published = wiring(name, budget.shape.n_nodes)
        (spec,) = {spec for _, spec in published}
        by_kind[spec.kind].append((f"published:{name}", spec, list(published.edges)))
    for kind in list_adapters():
        spec = AdapterSpec(kind)
        known = by_kind[kind]
        if not known:
            known.append((f"every-block:{kind}", spec, _everywhere(budget, spec)))
        _, spec, edges = known[0]
        half = len(edges) // 2
        if kind == "bottleneck" or not half:
            continue
        known.append((f"early-half:{kind}", spec, edges[:half]))
        if is_inside(spec):
            known.append((f"late-half:{kind}", spec, edges[half:]))
        else:
            known.append((f"random:{kind}", spec, list(elsewhere)))
    rounds = zip_longest(*(by_kind[kind] for kind in list_adapters()))
    fitted = [
        (name, _fit(budget, spec, edges))
        for each in rounds
        for name, spec, edges in filter(None, each)
    ]
    return [(name, placement) for name, placement in fitted if placement is not None]


def _everywhere(budget: ParameterBudget, spec: AdapterSpec) -> list[Edge]:
    """List the places of a kind in every block; for a kind at the embedding, only that."""
    edges = [edge for edge in every_block(budget.shape.n_nodes) if _serves(budget, spec, edge)]
    return edges or [Edge(0, 0)]


def _serves(budget: ParameterBudget, spec: AdapterSpec, edge: Edge) -> bool:
    return budget.fit([edge], specs=[spec]) is not None


def _fit(budget: ParameterBudget, spec: AdapterSpec, edges: Sequence[Edge]) -> Placement | None:
    """Fit a kind on the edges, or on those of the most blocks, evenly spread, that fit."""
    blocks = sorted({(edge.target + 1) // 2 for edge in edges})
    for count in range(len(blocks), 0, -1):
        spread = {blocks[k * len(blocks) // count] for k in range(count)}
        chosen = [edge for edge in edges if (edge.target + 1) // 2 in spread]
        placement = budget.fit(chosen, specs=[spec] * len(chosen))
        if placement is not None:
            return placement
    return None


def fresh(tables: ProbeTables, space: SearchSpace, seed: int) -> Iterator[Trial]:
    """Draw distinct candidates of `FRESH_KINDS` as `pick` proposes them for a task, without end.

    The adapter kinds, the generator and the candidate are each drawn uniformly, because most
    candidates are single edges. The propensity is the probability of one draw.
    """
    groups: dict[str, dict[str, list[Candidate]]] = defaultdict(lambda: defaultdict(list))
    space = replace(space, kinds=tuple(AdapterSpec(kind) for kind in FRESH_KINDS))
    for candidate in propose(tables, space, seed):
        generator = candidate.chosen_by.partition(":")[0]
        groups[candidate.kinds][generator].append(candidate)
    rng = np.random.default_rng(seed)
    seen: set[Placement] = set()
    while True:
        generators = groups[str(rng.choice(sorted(groups)))]
        candidates = generators[str(rng.choice(sorted(generators)))]
        drawn = candidates[int(rng.integers(len(candidates)))]
        if drawn.placement not in seen:
            seen.add(drawn.placement)
            propensity = 1 / len(groups) / len(generators) / len(candidates)
            yield Trial(drawn.placement, 0, Role.SAMPLE, FRESH + drawn.chosen_by, propensity)
