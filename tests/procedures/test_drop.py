"""Dropped adapters are not run, and one robust model serves every number of dropped blocks."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from autoplace.model import AdaptedModel, Alone, frozen_activations
from autoplace.placement import Placement
from autoplace.procedures import (
    ProcedureError,
    Trainer,
    drop_adapters,
    parse_procedure,
    without_blocks,
)
from autoplace.procedures._drop import RandomlyDropped
from autoplace.procedures._knowledge import WithKnowledge
from autoplace.procedures._switch import SwitchConfig, SwitchedModel
from autoplace.settings import TrialSettings
from autoplace.training import Trial, run_trial

SETTINGS = TrialSettings(epochs=2, batch_size=16)
PLACEMENTS = [
    "0>1+1>2+2>3+9>10+22>23@bottleneck:r=4",
    "2>3@lora:r=2+3>4@lora:r=2+0>14@bottleneck:r=2+20>21@lora:r=2",
    "7>3+0>5+23>11+20>19@linear:r=2",
    "0>0+5>5+21>22@bottleneck:r=2",
]


def trainer(task, text, **options):
    trial = Trial(Placement.parse(text), seed=1, learning_rate=0.01, **options)
    return Trainer(task, trial, SETTINGS)


def moved(model):
    """The model with adapters that change the output."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.adapters.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def activations(model, images):
    return frozen_activations(model.chain, model.chain.embed(images), model.frozen_nodes)


def test_a_block_owns_the_adapters_that_add_to_its_nodes():
    placement = Placement.parse("0>0+0>1+0>2+0>3+9>4+0>5")
    kept = [len(without_blocks(placement, n)) for n in range(4)]
    assert kept == [6, 3, 1, 0]


@pytest.mark.parametrize("text", PLACEMENTS)
def test_every_number_of_dropped_blocks_is_the_smaller_placement(text, task):
    model = moved(trainer(task, text).fresh_model()).eval()
    robust = RandomlyDropped(model, seed=0)
    images = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        frozen = activations(model, images)
        for blocks in range(12):
            smaller = AdaptedModel(model.chain, without_blocks(model.placement, blocks), ("a",) * 3)
            smaller.load_trainable_state(
                {
                    name: tensor
                    for name, tensor in model.trainable_state().items()
                    if name in smaller.trainable_state()
                }
            )
            expected = smaller(images)
            assert torch.allclose(robust.forward_without(frozen, blocks), expected, atol=1e-5)
            assert torch.equal(drop_adapters(model, blocks)(images), expected)


def test_nothing_dropped_is_the_ordinary_training_and_everything_is_head_only(task):
    text = PLACEMENTS[0]
    ordinary = run_trial(task, Placement.parse(text), SETTINGS, 1, learning_rate=0.01)
    head_only = run_trial(task, Placement(), SETTINGS, 1, learning_rate=0.01)
    for blocks, expected in ((0, ordinary), (12, head_only)):
        refined = parse_procedure(f"drop:blocks={blocks}").run(trainer(task, text))
        assert refined.outcome.step_losses == expected.step_losses
        assert refined.parameters == expected.parameters
    model = moved(trainer(task, text).fresh_model()).eval()
    images = torch.randn(2, 3, 32, 32)
    frozen = model.head(model.chain.features(
        frozen_activations(model.chain, model.chain.embed(images), {24})[24]
    ))  # fmt: skip
    assert torch.equal(drop_adapters(model, 12)(images), frozen)


def test_dropped_adapters_get_no_gradient_and_the_frozen_blocks_no_autograd(task):
    model = moved(trainer(task, PLACEMENTS[0]).fresh_model())
    robust = RandomlyDropped(model, seed=0)
    frozen = activations(model, torch.randn(4, 3, 32, 32))
    logits = robust.forward_without(frozen, 3)
    functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    with_gradient = {name.partition(".")[0] for name, p in model.adapters.named_parameters()
                     if p.grad is not None}  # fmt: skip
    assert with_gradient == {"9>10", "22>23"}


def test_a_number_is_drawn_for_each_step_and_none_for_validation(task):
    model = moved(trainer(task, PLACEMENTS[0]).fresh_model())
    robust = RandomlyDropped(model, seed=0)
    asked = []
    ordinary = robust.forward_without
    robust.forward_without = lambda frozen, blocks: asked.append(blocks) or ordinary(frozen, blocks)
    frozen = activations(model, torch.randn(2, 3, 32, 32))
    with torch.no_grad():
        for _ in range(200):
            robust.forward_suffix(frozen)
        assert set(asked) == set(range(12))
        asked.clear()
        robust.eval()
        for _ in range(5):
            robust.forward_suffix(frozen)
        assert asked == [0] * 5


def test_robust_training_trains_every_adapter(task):
    ours = trainer(task, PLACEMENTS[0])
    before = ours.fresh_model().trainable_state()
    refined = parse_procedure("drop:robust").run(ours)
    after = refined.model.trainable_state()
    unchanged = [name for name, tensor in before.items() if torch.equal(after[name], tensor)]
    # Block 0 takes part in one step of twelve, so it may be left out of a short training.
    assert not [name for name in unchanged if name.startswith(("adapters.22>23", "head"))]


def test_kinds_keep_their_rates_inside_the_model_of_a_procedure(task):
    placement = Placement.parse("0>1@lora:r=1+20>22@bottleneck:r=2")
    model = AdaptedModel(task.chain, placement, ("cat", "dog"))
    frozen = {placement.edges[0]: copy.deepcopy(model.adapter(placement.edges[0]))}
    for adapter in frozen.values():
        adapter.requires_grad_(False)
    for around in (
        RandomlyDropped(model, seed=0),
        WithKnowledge(model, frozen),
        SwitchedModel(model, SwitchConfig(), seed=0),
    ):
        expected, found = (Alone(m, 0).parameters_by_group() for m in (model, around))
        for group, parameters in expected.items():
            same = [id(p) for p in found[group]]
            assert set(map(id, parameters)) <= set(same)
            assert group[1] is None or len(parameters) == len(same)


def test_dropping_more_blocks_than_there_are_is_refused(task):
    with pytest.raises(ProcedureError, match="blocks=13 is more than the 12 blocks"):
        parse_procedure("drop:blocks=13").run(trainer(task, PLACEMENTS[0]))


def test_a_model_that_was_dropped_from_shares_its_tensors(task):
    model = trainer(task, PLACEMENTS[0]).fresh_model()
    state = torch.get_rng_state()
    smaller = drop_adapters(model, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert smaller.head is model.head
    assert all(smaller.adapters[name] is model.adapters[name] for name in smaller.adapters)
