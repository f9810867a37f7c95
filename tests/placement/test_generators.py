"""What each generator promises about the edge sets it proposes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.placement import Edge, EdgeKind, PlacementError
from autoplace.placement.generators import (
    NEAR_EVERY_BLOCK,
    candidate_edge_sets,
    early_fans,
    every_block,
    first_k,
    gga,
    last_k,
    near_every_block,
    random_edges,
    set_sizes,
    single_edges,
)

N = 25


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return rng.integers(0, 50, (N, N)).astype(float), rng.random((N, N))


def test_single_edges_are_all_edges_once():
    assert len({edges[0] for edges in single_edges(N)}) == N * N


def test_gga_without_discount_takes_the_highest_scores(scores):
    rank, ties = scores
    best = sorted(np.ndindex(N, N), key=lambda ij: (rank[ij], ties[ij]), reverse=True)[:6]
    assert gga(rank, ties, 6, gamma=0.0) == tuple(Edge(i, j) for i, j in best)


def test_ggas_discount_spreads_the_edges(scores):
    _, smooth = np.indices((N, N))  # best next to best: without a discount all sit in one corner
    flat = smooth.astype(float)
    near = gga(flat, np.zeros((N, N)), 6, gamma=0.0)
    far = gga(flat, np.zeros((N, N)), 6, gamma=0.9)
    spread = lambda edges: min(a.distance(b) for a in edges for b in edges if a != b)  # noqa: E731
    assert spread(far) > spread(near)


def test_gga_is_invariant_to_shifting_the_scores(scores):
    rank, ties = scores
    assert gga(rank - 100, ties, 8) == gga(rank, ties, 8)


def test_gga_never_takes_an_edge_twice_even_when_all_scores_are_equal():
    flat = np.zeros((3, 3))
    assert len(set(gga(flat, flat, 9))) == 9
    with pytest.raises(PlacementError):
        gga(flat, flat, 10)


@pytest.mark.parametrize(
    ("style", "count", "kind"),
    [("parallel", 24, "parallel"), ("sequential", 24, "sequential"), ("mlp", 12, "parallel")],
)
def test_every_block_covers_the_network_with_one_kind(style, count, kind):
    edges = every_block(N, style)
    assert len(set(edges)) == count
    assert {edge.kind for edge in edges} == {EdgeKind(kind)}


def test_first_and_last_k_are_the_ends_of_every_block():
    assert first_k(N, 6) == every_block(N)[:6]
    assert last_k(N, 6) == every_block(N)[-6:]
    assert first_k(N, 99) == last_k(N, 99) == every_block(N)


def test_random_edges_are_distinct_and_reach_all_kinds():
    rng = np.random.default_rng(0)
    seen = [edge for _ in range(50) for edge in random_edges(N, 6, rng)]
    assert {edge.kind for edge in seen} == set(EdgeKind)
    assert len(set(random_edges(4, 16, rng))) == 16


def test_candidates_come_from_every_generator_in_a_fixed_order(scores):
    names = [name.partition(":")[0] for name, *_ in candidate_edge_sets(*scores, seed=0)]
    assert list(dict.fromkeys(names)) == [
        "every-block", "near-every-block", "early-fan", "gga", "first-k", "last-k", "random",
        "single",
    ]  # fmt: skip


def test_candidates_depend_on_the_seed_only_in_their_random_sets(scores):
    first, again, other = (list(candidate_edge_sets(*scores, seed)) for seed in (0, 0, 1))
    assert first == again
    changed = {ours[0] for ours, theirs in zip(first, other, strict=True) if ours != theirs}
    assert changed == {"random"}


def test_a_tie_without_a_value_counts_as_the_lowest(scores):
    _, ties = scores
    holes = np.where(ties < 0.5, np.nan, ties)
    filled = np.nan_to_num(holes)
    flat = np.zeros((N, N))
    with_holes = list(candidate_edge_sets(flat, holes, seed=0))
    assert with_holes == list(candidate_edge_sets(flat, filled, seed=0))


@pytest.mark.parametrize("n_nodes", [3, 5, 13, 25, 81])
def test_set_sizes_are_those_of_the_candidates_of_several_edges(n_nodes):
    scores = np.random.default_rng(0).random((n_nodes, n_nodes))
    proposed = candidate_edge_sets(scores, scores, seed=0)
    assert {len(e) for name, e, _ in proposed if name.startswith("gga")} == set(set_sizes(n_nodes))
    assert max(set_sizes(n_nodes)) < n_nodes


depths = st.integers(1, 40).map(lambda blocks: 2 * blocks + 1)


@given(depths)
def test_what_is_near_every_block_is_distinct_named_after_it_and_not_it(n_nodes):
    proposals = near_every_block(n_nodes)
    names = [proposal.name for proposal in proposals]
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"{NEAR_EVERY_BLOCK}:") for name in names)
    plain = (every_block(n_nodes), (1.0,) * (n_nodes - 1))
    assert len({plain, *(proposal[1:] for proposal in proposals)}) == len(proposals) + 1


@given(depths)
def test_early_fans_are_distinct_long_range_edges_from_the_first_quarter(n_nodes):
    proposals = early_fans(n_nodes)
    assert len({proposal.name for proposal in proposals}) == len(proposals)
    assert len({frozenset(proposal.edges) for proposal in proposals}) == len(proposals)
    edges = {edge for proposal in proposals for edge in proposal.edges}
    assert {edge.kind for edge in edges} <= {EdgeKind.LONG_RANGE}
    last = n_nodes - 1
    assert all(edge.source <= last / 4 + 1 for edge in edges)
    assert all(edge.target - edge.source <= max(2, last / 3 + 1) for edge in edges)


@given(depths)
def test_generated_edges_are_distinct_fit_the_backbone_and_have_positive_weights(n_nodes):
    for proposal in near_every_block(n_nodes) + early_fans(n_nodes):
        assert len(set(proposal.edges)) == len(proposal.edges) > 1
        assert all(max(edge.source, edge.target) < n_nodes for edge in proposal.edges)
        if proposal.weights is not None:
            assert len(proposal.weights) == len(proposal.edges)
            assert min(proposal.weights) > 0


def test_what_is_near_every_block_drops_late_edges_moves_rank_and_adds_recurrence():
    proposals = {each.name.partition(":")[2]: each for each in near_every_block(N)}
    assert proposals["early-half"].edges == every_block(N)[:12]
    assert proposals["mlp-early-half"].edges == every_block(N, "mlp")[:6]
    falling = proposals["ranks-halving"]
    assert falling.edges == every_block(N)
    assert falling.weights == tuple(sorted(falling.weights, reverse=True))
    added = set(proposals["all+recurrent-4"].edges) - set(every_block(N))
    assert len(added) == 4
    assert {edge.kind for edge in added} == {EdgeKind.RECURRENT}
    assert max(edge.target for edge in added) <= 6


def test_the_fan_that_did_well_in_the_issue_is_proposed():
    assert any(proposal.edges == (Edge(3, 5), Edge(3, 8)) for proposal in early_fans(N))
