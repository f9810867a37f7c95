"""ARC: one projection for all edges of a type of sub-layer, alone, in a population and on disk."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from autoplace.adapters import ParameterBudget, adapter_rank, count_parameters
from autoplace.backbones import BackboneShape, create_chain, read_maps, replace_maps
from autoplace.model import (
    AdaptedModel,
    Alone,
    Population,
    frozen_activations,
    load_adapted,
    save_adapted,
)
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.placement.generators import every_block

TEXT = "0>1+1>2+4>5+7>8@arc:r=3"
LABELS = torch.tensor([0, 2, 1, 0])


@pytest.fixture(scope="module")
def chain():
    return create_chain("starter")


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def model_of(chain, text=TEXT, seed=0, awake=True):
    torch.manual_seed(seed)
    model = AdaptedModel(chain, Placement.parse(text), ("a", "b", "c")).eval()
    if awake:
        with torch.no_grad():
            for parameter in model.adapters.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return model


def projections(model):
    return {edge: model.adapter(edge).u for edge in model.placement.edges}


def test_the_projection_is_one_tensor_for_each_type_of_sub_layer(chain):
    of = projections(model_of(chain, TEXT + "+9>10@arc:r=4"))
    assert of[Edge(0, 1)] is of[Edge(4, 5)]
    assert of[Edge(1, 2)] is of[Edge(7, 8)]
    assert len({id(u) for u in of.values()}) == 3  # other options: a projection of its own


@torch.no_grad()
def test_in_attention_alone_a_new_adapter_changes_nothing(chain, images):
    plain = AdaptedModel(chain, Placement(), ("a", "b", "c")).eval()
    model = model_of(chain, "0>1+4>5+8>9@arc", awake=False)
    plain.head = model.head
    assert torch.equal(model(images), plain(images))
    both = model_of(chain, "0>1+3>4@arc", awake=False)
    plain.head = both.head
    assert not torch.equal(both(images), plain(images))
    both.adapter(Edge(3, 4)).c.zero_()
    assert torch.equal(both(images), plain(images))


def test_the_gradient_of_the_projection_is_the_sum_over_its_edges(chain, images):
    shared, apart = model_of(chain), model_of(chain)
    for edge in apart.placement.edges:
        adapter = apart.adapter(edge)
        adapter.u = torch.nn.Parameter(adapter.u.detach().clone())
    for model in (shared, apart):
        functional.cross_entropy(model(images), LABELS).backward()
    gradients = {edge: u.grad for edge, u in projections(apart).items()}
    for one, other in ((Edge(0, 1), Edge(4, 5)), (Edge(1, 2), Edge(7, 8))):
        found = shared.adapter(one).u.grad
        torch.testing.assert_close(found, gradients[one] + gradients[other])


def test_a_population_trains_shared_projections_as_models_alone_do(chain, images):
    def members():
        return [model_of(chain, seed=1), model_of(chain, seed=2), model_of(chain, "4>5@arc:r=3")]

    population = Population(members(), cohorts=[0, 0, 0])
    alone = [Alone(model, 0) for model in members()]
    frozen = [
        frozen_activations(chain, chain.embed(images), nodes) for nodes in population.frozen_nodes
    ]
    optimisers = [
        torch.optim.AdamW(each.parameters_by_cohort()[0], lr=0.01) for each in [population, *alone]
    ]
    for _ in range(3):
        logits = population(frozen, members=[0, 1, 2])
        logits += [each([own], members=[0])[0] for each, own in zip(alone, frozen, strict=True)]
        sum(functional.cross_entropy(each, LABELS) for each in logits).backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
    moment = optimisers[0].state
    for member, model in enumerate(alone):
        expected = model.trainable_state(0)
        found = population.trainable_state(member)
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)
        moments = population.trainable_state(member, lambda p: moment[p]["exp_avg_sq"])
        own = model.trainable_state(0, lambda p, o=optimisers[member + 1]: o.state[p]["exp_avg_sq"])
        for name, tensor in own.items():
            torch.testing.assert_close(moments[name], tensor, rtol=1e-3, atol=1e-8)


@torch.no_grad()
def test_the_projection_is_saved_once_and_shared_again_after_loading(chain, images, tmp_path):
    model = model_of(chain)
    names = [name for name in model.trainable_state() if name.endswith(".u")]
    assert names == ["adapters.0>1.u", "adapters.1>2.u"]
    loaded = load_adapted(save_adapted(model, tmp_path, card="# test\n"))
    assert torch.equal(loaded(images), model(images))
    of = projections(loaded)
    assert of[Edge(0, 1)] is of[Edge(4, 5)]


@torch.no_grad()
def test_a_folded_model_gives_the_same_values(chain, images):
    model = model_of(chain)
    changed = {}
    for edge in model.placement.edges:
        changed[edge.target] = read_maps(chain, edge.target)
        model.adapter(edge).fold(changed[edge.target])
    folded = AdaptedModel(replace_maps(chain, changed), Placement(), model.classes)
    folded.head = model.head
    torch.testing.assert_close(folded(images), model(images), rtol=1e-5, atol=1e-5)


def test_a_budget_counts_the_projection_once_and_gives_all_edges_one_rank():
    shape, edges = BackboneShape.plain(96), every_block(13)
    budget = ParameterBudget(AdapterSpec("arc"), shape, 3000)
    placement = budget.fit(edges, weights=range(1, 13))
    (rank,) = {adapter_rank(spec) for _, spec in placement}
    assert count_parameters(placement, shape) == 2 * 96 * rank + 12 * (rank + 96) <= 3000
    assert 2 * 96 * (rank + 1) + 12 * (rank + 1 + 96) > 3000
