"""The field of a race: the best predicted of every kind, without near-copies."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.adapters import ParameterBudget
from autoplace.agent.steps._propose import Candidate, propose
from autoplace.agent.steps._select import Footprint, select_field
from autoplace.agent.steps._space import search_space
from autoplace.backbones import BackboneShape, create_chain
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.placement.generators import every_block, near_every_block, random_edges
from autoplace.settings import PlacementSettings

N_NODES = 25
BUDGET = ParameterBudget(AdapterSpec("bottleneck"), BackboneShape.plain(96), 9264)
EVERY_BLOCK = BUDGET.fit(every_block(N_NODES))

edges = st.builds(Edge, st.integers(0, 12), st.integers(0, 12))
specs = st.integers(1, 8).map(lambda r: AdapterSpec.of("bottleneck", r=r))
placements = st.dictionaries(edges, specs, min_size=1, max_size=8).map(
    lambda items: Placement(tuple(items.items()))
)
generators = st.sampled_from(["near-every-block:early-half", "random", "single"])
pools = st.lists(
    st.builds(Candidate, placements, generators), min_size=1, max_size=12, unique_by=str
)


def near_copies(one: Placement, other: Placement) -> bool:
    return Footprint.of(one).is_near(Footprint.of(other))


def fitted(text: str) -> Placement:
    """These edges with the highest common rank within the budget."""
    return BUDGET.fit([Edge.parse(edge) for edge in text.split("+")])


def near(name: str) -> Placement:
    proposals = {each.name.partition(":")[2]: each for each in near_every_block(N_NODES)}
    return BUDGET.fit(*proposals[name][1:])


def scores_for(pool, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(pool))


@pytest.fixture(scope="module")
def candidates(tables):
    settings = PlacementSettings(adapter="bottleneck")
    return propose(tables, search_space(create_chain("starter"), settings), seed=0)


@given(pools, st.integers(0, 10), st.booleans())
def test_the_field_has_no_near_copies_and_ends_early_only_if_nothing_else_is_left(
    pool, size, with_every_block
):
    every = [Placement.of(every_block(13))] if with_every_block else []
    chosen = [c.placement for c in select_field(pool, scores_for(pool), every, size, seed=0)]
    assert len(chosen) <= size
    avoided = [*chosen, *every]
    assert not any(near_copies(a, b) for a, b in combinations(avoided, 2))
    if len(chosen) < size:
        assert all(any(near_copies(c.placement, a) for a in avoided) for c in pool)


@given(pools, st.integers(1, 10))
def test_the_field_is_ordered_by_prediction_from_the_best_of_all(pool, size):
    predicted = scores_for(pool)
    chosen = select_field(pool, predicted, [], size, seed=0)
    positions = [pool.index(candidate) for candidate in chosen]
    assert chosen[0] == pool[int(predicted.argmax())]
    assert positions == sorted(positions, key=lambda index: -predicted[index])


@given(placements, placements)
def test_being_near_copies_is_mutual_and_every_placement_is_one_of_itself(one, other):
    assert near_copies(one, one)
    assert near_copies(one, other) == near_copies(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (fitted("3>5"), fitted("3>6")),
        (fitted("3>5+3>8"), fitted("3>5+4>8")),
        (EVERY_BLOCK, BUDGET.fit(every_block(N_NODES)[:-1])),
        (EVERY_BLOCK, BUDGET.fit(every_block(N_NODES)[1:])),
        (near("all+recurrent-1"), near("all+recurrent-2")),
    ],
)
def test_placements_with_nearly_all_rank_on_the_same_or_neighbouring_edges_are_near(one, other):
    assert near_copies(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (fitted("3>5"), fitted("9>2")),
        (fitted("3>5"), fitted("3>5+3>8")),
        (fitted("4>6"), fitted("4>6+0>12+12>0+9>2+2>9")),
        (EVERY_BLOCK, near("early-half")),
        (EVERY_BLOCK, near("ranks-halving")),
        (EVERY_BLOCK, near("attention")),
        # Recurrence is another function, however little rank it has.
        (EVERY_BLOCK, near("all+recurrent-1")),
        (fitted("3>3"), fitted("4>3")),
        *(
            (EVERY_BLOCK, BUDGET.fit(random_edges(N_NODES, 24, np.random.default_rng(seed))))
            for seed in range(5)
        ),
    ],
)
def test_placements_with_rank_elsewhere_or_otherwise_spread_are_not_near(one, other):
    assert not near_copies(one, other)


def edge_counts(field):
    return [len(candidate.placement) for candidate in field]


@pytest.mark.parametrize(
    "bias",
    [
        lambda c: len(c.placement),
        lambda c: -len(c.placement),
        lambda c: c.chosen_by == "random",
        lambda c: -max(edge.target for edge in c.placement.edges),
        lambda c: 0.0,
    ],
)
def test_a_biased_predictor_cannot_fill_the_field_with_one_kind(candidates, bias):
    predicted = [float(bias(candidate)) for candidate in candidates]
    field = select_field(candidates, predicted, [EVERY_BLOCK], 24, seed=0)
    assert len(field) == 24
    assert sum(c.chosen_by.startswith("near-every-block") for c in field) >= 8
    counts = edge_counts(field)
    for fewest, most in ((1, 1), (2, 4), (5, 11), (12, 99)):
        assert sum(fewest <= count <= most for count in counts) >= 3


def test_the_field_keeps_a_good_predictors_favourites(candidates):
    predicted = scores_for(candidates)
    field = select_field(candidates, predicted, [EVERY_BLOCK], 24, seed=0)
    best = {candidates[i].placement for i in np.argsort(-predicted)[:4]}
    assert best <= {candidate.placement for candidate in field}


def test_the_field_depends_only_on_its_inputs_and_the_seed_only_breaks_ties(candidates):
    def chosen(predicted, seed):
        return select_field(candidates, predicted, [EVERY_BLOCK], 24, seed)

    equal = np.zeros(len(candidates))
    assert chosen(equal, 0) == chosen(equal, 0)
    assert chosen(equal, 0) != chosen(equal, 1)
    predicted = scores_for(candidates)
    assert chosen(predicted, 0) == chosen(predicted, 1)


def test_a_second_best_near_copy_gives_way_and_is_never_added_back():
    pool = [Candidate(Placement.parse(text), "single") for text in ("4>6", "4>7", "10>1")]
    assert select_field(pool, [3.0, 2.0, 1.0], [], 2, seed=0) == [pool[0], pool[2]]
    assert select_field(pool, [3.0, 2.0, 1.0], [], 3, seed=0) == [pool[0], pool[2]]


def test_kinds_get_equal_shares_and_combinations_half_whatever_is_predicted(tables):
    space = search_space(create_chain("starter"), PlacementSettings())
    pool = propose(tables, space, seed=0)
    predicted = [float(candidate.kinds == "bottleneck") for candidate in pool]
    field = select_field(pool, predicted, [space.every_block, space.lora], 24, seed=0)
    counts = Counter(candidate.kinds for candidate in field)
    assert set(counts) == {candidate.kinds for candidate in pool}
    for kinds, count in counts.items():  # of 7 shares: four kinds and six halves
        assert abs(count - 24 / 7 * (0.5 if "+" in kinds else 1.0)) < 1
    names = [candidate.chosen_by for candidate in field if candidate.kinds == "lora"]
    assert sum(name.endswith(":all") for name in names) >= 2


def test_lora_on_other_maps_of_the_same_blocks_is_no_copy():
    one, other = (Placement.parse(f"0>1+2>3+4>5@lora:maps={maps},r=2") for maps in ("qkv", "qv"))
    assert not near_copies(one, other)
    assert near_copies(one, one)
