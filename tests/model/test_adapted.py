"""Identity at the start, the meaning of recurrence, and the suffix against the whole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoplace.model import AdaptedModel, frozen_activations
from autoplace.placement import EdgeKind, Placement, PlacementError

CLASSES = ("a", "b", "c")


def by_definition(model, images):
    """Pass by pass, written out from the definition, sharing no code with the model's own run."""
    chain, previous = model.chain, None
    for _ in range(model.placement.unroll if model.placement.is_recurrent else 1):
        values = []
        for node in range(chain.n_nodes):
            raw = chain.embed(images) if node == 0 else chain.step(node, values[node - 1])
            total = raw.clone()
            for edge in model.placement.edges:
                if edge.target != node:
                    continue
                if edge.kind is EdgeKind.RECURRENT:
                    read = None if previous is None else previous[edge.source]
                else:
                    read = raw if edge.source == node else values[edge.source]
                if read is not None:
                    total += model.adapters[str(edge)](read)
            values.append(total)
        previous = values
    return model.head(chain.features(previous[-1]))


@settings(max_examples=25)
@given(data=st.data())
def test_a_fresh_model_is_the_frozen_chain_bit_for_bit_until_one_step(
    chain, images, placements, data
):
    placement = data.draw(placements)
    model = AdaptedModel(chain, placement, CLASSES)
    with torch.no_grad():
        hidden = chain.embed(images)
        for node in range(1, chain.n_nodes):
            hidden = chain.step(node, hidden)
        frozen_logits = model.head(chain.features(hidden))
        assert torch.equal(model(images), frozen_logits)
        known = frozen_activations(chain, chain.embed(images), model.frozen_nodes)
        assert torch.equal(model.forward_suffix(known), frozen_logits)
    if not len(placement):
        return
    optimiser = torch.optim.SGD(model.adapters.parameters(), lr=10.0)
    model(images).square().sum().backward()
    optimiser.step()
    assert not torch.equal(model(images), frozen_logits)


@settings(max_examples=25)
@given(data=st.data())
def test_the_suffix_and_the_whole_run_mean_what_the_definition_says(
    chain, images, placements, awaken, data
):
    model = awaken(AdaptedModel(chain, data.draw(placements), CLASSES))
    with torch.no_grad():
        expected = by_definition(model, images)
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)
        known = frozen_activations(chain, chain.embed(images), model.frozen_nodes)
        suffix = model.forward_suffix(known)
        torch.testing.assert_close(suffix, expected, rtol=1e-4, atol=1e-4)


def test_the_suffix_of_an_edge_into_the_last_node_runs_no_block(chain):
    calls = []
    model = AdaptedModel(chain, Placement.parse("3>24"), CLASSES)
    assert model.frozen_nodes == (3, 24)
    step, chain.step = chain.step, lambda *args: calls.append(args)
    try:
        model.forward_suffix({node: torch.randn(2, 17, 96) for node in model.frozen_nodes})
    finally:
        chain.step = step
    assert not calls


def test_a_recurrent_edge_alone_needs_one_pass_only(chain):
    model = AdaptedModel(chain, Placement.parse("20>10@bottleneck:r=2"), CLASSES)
    assert model.frozen_nodes == (10, 20)


def test_only_adapters_and_head_are_trainable_and_saved(chain, awaken):
    model = AdaptedModel(chain, Placement.parse("7>3+0>5@bottleneck:r=4"), CLASSES)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable == set(model.trainable_state())
    other = awaken(AdaptedModel(chain, model.placement, CLASSES))
    model.load_trainable_state(other.trainable_state())
    assert torch.equal(model.adapters["7>3"].up.weight, other.adapters["7>3"].up.weight)
    with pytest.raises(RuntimeError, match="differ"):
        model.load_trainable_state({})


def test_a_placement_that_does_not_fit_is_refused(chain):
    with pytest.raises(PlacementError, match=r"0\.\.24"):
        AdaptedModel(chain, Placement.parse("31>3"), CLASSES)
