"""The text form, the edge kinds and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.placement import AdapterSpec, Edge, EdgeKind, Placement, PlacementError

edges = st.builds(Edge, st.integers(0, 24), st.integers(0, 24))
specs = st.builds(
    lambda kind, r: AdapterSpec.of(kind, r=r),
    st.sampled_from(["bottleneck", "linear"]),
    st.integers(1, 64),
)
placements = st.builds(
    lambda items, unroll: Placement(tuple(items.items()), unroll),
    st.dictionaries(edges, specs, max_size=12),
    st.integers(2, 5),
)


@given(placements)
def test_a_placement_parses_back_from_its_text(placement):
    assert Placement.parse(str(placement)) == placement


@given(placements, st.randoms())
def test_the_order_of_the_edges_does_not_change_the_text(placement, random):
    items = list(placement.items)
    random.shuffle(items)
    assert str(Placement(tuple(items), placement.unroll)) == str(placement)


def test_the_designs_example_is_canonical():
    text = "0>5+7>3@bottleneck:r=8"
    assert str(Placement.parse("7>3 + 0>5@bottleneck:r=8")) == text
    assert str(Placement.parse(text + ";T=3")) == text + ";T=3"


def test_passes_without_recurrence_are_dropped():
    assert str(Placement.parse("0>5@bottleneck:r=8;T=4")) == "0>5@bottleneck:r=8"


@pytest.mark.parametrize(
    ("edge", "kind"),
    [("3>3", "sequential"), ("2>3", "parallel"), ("1>3", "long-range"), ("4>3", "recurrent")],
)
def test_kinds_follow_source_and_target(edge, kind):
    assert Edge.parse(edge).kind is EdgeKind(kind)


@pytest.mark.parametrize(
    "text",
    [
        *("", "7-3", "-1>3", "7>3+", "7>3+7>3", "7>3@", "7>3@bottleneck:", "7>3@bottleneck:r"),
        *("7>3@bottleneck:r=8,r=9", "7>3@Bottle neck", "7>3;T=1", "7>3;x"),
    ],
)
def test_nonsense_is_refused_in_one_line(text):
    with pytest.raises(PlacementError) as caught:
        Placement.parse(text)
    assert "\n" not in str(caught.value)


def test_a_node_beyond_the_backbone_is_refused_with_the_range():
    with pytest.raises(PlacementError, match=r"31>3 .* 0\.\.24"):
        Placement.parse("31>3").check(25)
