"""A population computes what its models compute one by one: logits, gradients and tensors."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from autoplace.model import AdaptedModel, Population, frozen_activations
from autoplace.placement import Placement

CLASSES = ("a", "b", "c")
LABELS = torch.tensor([0, 2, 1])
ROWS = st.lists(st.integers(0, 2), min_size=1, max_size=3)


def frozen(model, images):
    """The values that a model's suffix asks for."""
    return frozen_activations(model.chain, model.chain.embed(images), model.frozen_nodes)


def gradients_alone(model, logits, labels):
    """Of every trained tensor by name; of one that no loss reaches, zero."""
    model.zero_grad()
    functional.cross_entropy(logits, labels).backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def stacked_gradients(population, members, logits, labels):
    """Each member's part of the gradients, which are laid out as the tensors are."""
    population.zero_grad()
    sum(map(functional.cross_entropy, logits, labels)).backward()
    for parameter in population.parameters():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.data = grad
    return {member: population.trainable_state(member) for member in members}


@settings(max_examples=25)
@given(data=st.data())
def test_some_members_give_the_logits_and_gradients_of_their_models_each_on_its_own_images(
    chain, images, placements, awaken, data
):
    count = data.draw(st.integers(1, 5))
    models = [
        awaken(AdaptedModel(chain, data.draw(placements), CLASSES), seed=k) for k in range(count)
    ]
    cohorts = data.draw(st.lists(st.sampled_from("ab"), min_size=count, max_size=count))
    members = data.draw(st.permutations(range(count)))[: data.draw(st.integers(1, count))]
    rows = [data.draw(ROWS) for _ in members]
    population = Population(models, cohorts)

    values = [frozen(models[m], images[part]) for m, part in zip(members, rows, strict=True)]
    labels = [LABELS[part] for part in rows]
    logits = population(values, members)
    expected = {}
    for member, given_values, target, found in zip(members, values, labels, logits, strict=True):
        alone = models[member].forward_suffix(given_values)
        torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-4)
        expected[member] = gradients_alone(models[member], alone, target)
    found = stacked_gradients(population, members, logits, labels)
    for member in members:
        assert set(found[member]) == set(expected[member])
        for name, gradient in expected[member].items():
            torch.testing.assert_close(found[member][name], gradient, rtol=1e-3, atol=1e-4)


@settings(max_examples=10)
@given(data=st.data())
def test_a_populations_tensors_are_copies_of_its_models(chain, placements, awaken, data):
    models = [awaken(AdaptedModel(chain, data.draw(placements), CLASSES), seed=k) for k in range(3)]
    population = Population(models, [0, 1, 0])
    for member, model in enumerate(models):
        state = population.trainable_state(member)
        assert set(state) == set(model.trainable_state())
        for name, tensor in model.trainable_state().items():
            assert torch.equal(state[name], tensor)
    before = {name: tensor.clone() for name, tensor in models[0].trainable_state().items()}
    for parameter in population.parameters():
        parameter.data.zero_()
    for name, tensor in models[0].trainable_state().items():
        assert torch.equal(tensor, before[name])


def test_members_of_a_cohort_share_tensors_and_others_do_not(chain):
    def cohorts_of(*cohorts):
        models = [AdaptedModel(chain, Placement.parse("head-only"), CLASSES) for _ in cohorts]
        return {
            cohort: [tuple(p.shape) for p in parameters]
            for (cohort, _), parameters in Population(models, cohorts).parameters_by_group().items()
        }

    width = chain.num_features
    assert cohorts_of(1, 1, 2) == {
        1: [(2, 3, width), (2, 3)],
        2: [(1, 3, width), (1, 3)],
    }
