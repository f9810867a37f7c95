"""What is fine-tuned are the best predicted, but not near-copies of one another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.agent.steps._select import near_copies, select_diverse
from autoplace.errors import UserError
from autoplace.placement import Edge, Placement

N_NODES = 13
edges = st.builds(Edge, st.integers(0, N_NODES - 1), st.integers(0, N_NODES - 1))
placements = st.sets(edges, min_size=1, max_size=6).map(Placement.of)
pools = st.lists(placements, min_size=1, max_size=12, unique=True)


def scores_for(pool: list[Placement], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(pool))


@given(pools, st.data())
def test_k_distinct_placements_are_selected_best_predicted_first(pool, data):
    k = data.draw(st.integers(1, len(pool)))
    predicted = scores_for(pool)
    chosen = select_diverse(pool, predicted, k)
    assert len(set(chosen)) == len(chosen) == k
    assert list(predicted[chosen]) == sorted(predicted[chosen], reverse=True)
    assert chosen[0] == int(predicted.argmax())


@given(pools, st.data())
def test_near_copies_are_selected_only_where_nothing_else_is_left(pool, data):
    k = data.draw(st.integers(1, len(pool)))
    chosen = [pool[i] for i in select_diverse(pool, scores_for(pool), k)]
    pairs = [(a, b) for number, a in enumerate(chosen) for b in chosen[:number]]
    if any(near_copies(a, b) for a, b in pairs):
        others = [p for p in pool if p not in chosen]
        assert all(any(near_copies(p, c) for c in chosen) for p in others)


@given(placements, placements)
def test_being_near_copies_is_mutual_and_every_placement_is_one_of_itself(one, other):
    assert near_copies(one, one)
    assert near_copies(one, other) == near_copies(other, one)


def test_neighbouring_edges_are_near_copies_and_distant_ones_are_not():
    near, far = Placement.parse("4>6"), Placement.parse("9>2")
    assert near_copies(Placement.parse("5>7"), near)
    assert not near_copies(far, near)
    # One edge among many is not what the many do.
    assert not near_copies(near, Placement.parse("4>6+0>12+12>0+9>2+2>9"))


def test_the_second_best_gives_way_when_it_is_a_near_copy_of_the_best():
    pool = [Placement.parse(text) for text in ("4>6", "4>7", "10>1")]
    assert select_diverse(pool, [3.0, 2.0, 1.0], 2) == [0, 2]
    assert select_diverse(pool, [3.0, 2.0, 1.0], 3) == [0, 1, 2]


@pytest.mark.parametrize("k", [0, -1, 4])
def test_a_top_k_outside_the_candidates_is_refused_with_the_range(k):
    pool = [Placement.parse(text) for text in ("4>6", "4>7", "10>1")]
    with pytest.raises(UserError, match=rf"--top-k is {k}.* from 1 to 3"):
        select_diverse(pool, [3.0, 2.0, 1.0], k)
