"""The published systems: their edges, their adapters, and that a model can be made of each."""

from __future__ import annotations

import pytest
import torch

from autoplace.adapters import _wirings, check_adapters, count_parameters, list_wirings, wiring
from autoplace.backbones import BackboneShape, create_chain
from autoplace.model import AdaptedModel
from autoplace.placement import Edge, EdgeKind, Placement, PlacementError

VIT_B = BackboneShape.plain(768, heads=12)


@pytest.mark.parametrize("name", list_wirings())
def test_a_model_of_every_system_runs_on_a_real_backbone(name):
    chain = create_chain("starter")
    placement = wiring(name, chain.n_nodes)
    check_adapters(placement, chain.shape)
    assert Placement.parse(str(placement)) == placement
    model = AdaptedModel(chain, placement, ("a", "b")).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 32, 32)).isfinite().all()


@pytest.mark.parametrize("name", list_wirings())
def test_every_block_of_every_system_is_alike(name):
    edges = wiring(name, 25).edges
    first = [edge for edge in edges if edge.target <= 2]
    assert set(edges) == {
        Edge(edge.source + 2 * block, edge.target + 2 * block)
        for edge in first
        for block in range(12)
    }


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("houlsby", "1>1+2>2"),
        ("pfeiffer", "2>2"),
        ("adaptable", "2>2"),
        ("parallel-bottleneck", "1>2"),
        ("adapter-plus", "2>2"),
        ("adaptformer", "1>2"),
        ("convpass", "0>1+1>2"),
        ("convpass-attention", "0>1"),
        ("tiny-attention", "1>1"),
        ("lora", "0>1"),
        ("lora-qkv", "0>1"),
    ],
)
def test_adapters_are_where_the_paper_has_them(name, first):
    assert "+".join(map(str, wiring(name, 3).edges)) == first


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("houlsby", 24 * 8 * (2 * 768 + 1)),
        ("pfeiffer", 12 * 8 * (2 * 768 + 1)),
        ("adapter-plus", 165_984),
        ("adaptformer", 156_768),
        ("convpass", 327_552),
        ("convpass-attention", 163_776),
        ("tiny-attention", 64_644),
        ("lora", 294_912),
    ],
)
def test_systems_have_the_published_parameters_in_vit_b(name, count):
    assert count_parameters(wiring(name, VIT_B.n_nodes), VIT_B) == count


def test_every_system_names_its_paper_and_an_adapter_in_canonical_text():
    for name, known in _wirings._WIRINGS.items():
        assert known.paper.startswith("arXiv "), name
        assert str(known.spec) == known.adapter, name
        assert known.edge_kind in (EdgeKind.SEQUENTIAL, EdgeKind.PARALLEL), name


def test_an_unknown_system_is_refused_with_a_similar_name():
    with pytest.raises(PlacementError, match=r"did you mean 'houlsby'.*known systems: .*pfeiffer"):
        wiring("houlsbi", 25)


def test_systems_whose_kind_is_not_registered_are_not_listed(monkeypatch):
    monkeypatch.setattr(_wirings, "list_adapters", lambda: ["lora"])
    assert list_wirings() == ["lora", "lora-qkv"]
