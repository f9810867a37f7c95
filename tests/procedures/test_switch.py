"""Switches: their weights, their hard choice in evaluation, and the fresh run on what stayed."""

from __future__ import annotations

import pytest
import torch

from autoplace.model import frozen_activations
from autoplace.placement import Edge, Placement
from autoplace.procedures import ProcedureError, Trainer, parse_procedure
from autoplace.procedures._switch import SwitchConfig, SwitchedModel
from autoplace.settings import TrialSettings
from autoplace.training import Trial, run_trial

SETTINGS = TrialSettings(epochs=3, batch_size=16)
PLACEMENT = "0>1+2>3@bottleneck:r=2+4>4+7>3@linear:r=2+8>9@lora:r=2+9>10@lora:r=2"


def trainer(task, text=PLACEMENT):
    return Trainer(task, Trial(Placement.parse(text), seed=1, learning_rate=0.01), SETTINGS)


@pytest.fixture
def switched(task):
    """Makes a model with switches whose adapters change the output."""

    def make(**options):
        model = trainer(task).fresh_model()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in model.adapters.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        return SwitchedModel(model, SwitchConfig(**options), seed=5)

    return make


@pytest.fixture(scope="module")
def images():
    return torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def activations(model, images):
    return frozen_activations(model.chain, model.chain.embed(images), model.frozen_nodes)


def set_logits(switched, **logits):
    with torch.no_grad():
        for name, parameter in switched.logits.items():
            parameter.copy_(torch.tensor(logits.get(name, logits["other"])))


@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0, 10.0])
def test_the_weights_of_a_switch_sum_to_one_and_are_drawn_for_each_image(switched, tau):
    for weights in switched(tau=tau).weights(batch=64).values():
        assert weights.shape == (64, 2)
        torch.testing.assert_close(weights.sum(1), torch.ones(64))
        assert weights[:, 1].unique().numel() > 1


def test_at_a_low_temperature_the_weights_are_all_or_nothing(switched):
    for weights in switched(tau=1e-6).weights(batch=64).values():
        assert set(weights.flatten().tolist()) == {0.0, 1.0}


def test_the_logits_give_the_odds_of_the_draws(switched):
    model = switched(tau=1e-6)
    set_logits(model, other=[0.0, 1.0])
    with torch.no_grad():
        on = torch.stack([each[:, 1] for each in model.weights(batch=2000).values()]).mean()
    assert on.item() == pytest.approx(torch.tensor(1.0).sigmoid().item(), abs=0.02)


def test_training_draws_from_its_own_generator_and_evaluation_draws_nothing(switched, images):
    first, second = switched(), switched()
    frozen = activations(first.model, images)
    state = torch.get_rng_state()
    assert torch.equal(first.forward_suffix(frozen), second.forward_suffix(frozen))
    assert not torch.equal(first.forward_suffix(frozen), first.forward_suffix(frozen))
    first.eval()
    assert torch.equal(first.forward_suffix(frozen), first.forward_suffix(frozen))
    assert torch.equal(torch.get_rng_state(), state)


def test_with_every_switch_off_the_output_is_the_frozen_one_exactly(task, switched, images):
    model = switched().eval()
    set_logits(model, other=[9.0, -9.0])
    frozen = activations(model.model, images)
    head_only = trainer(task, "head-only").fresh_model().eval()
    with torch.inference_mode():
        assert torch.equal(model.forward_suffix(frozen), head_only(images))


def test_with_every_switch_on_the_output_is_that_of_the_adapters_exactly(switched, images):
    model = switched().eval()
    set_logits(model, other=[-9.0, 9.0])
    frozen = activations(model.model, images)
    with torch.inference_mode():
        assert torch.equal(model.forward_suffix(frozen), model.model.forward_suffix(frozen))


def test_every_switch_gets_a_gradient_from_adapters_that_do_something(switched, images):
    model = switched(tau=1.0)
    model.forward_suffix(activations(model.model, images)).square().sum().backward()
    assert all(logits.grad.abs().min() > 0 for logits in model.logits.values())


def test_the_edges_of_a_block_can_have_one_switch(switched):
    names = list(switched(per="block").logits)
    assert names == ["block 1", "block 2", "block 5"]


def test_the_temperature_falls_to_its_lowest_value():
    config = SwitchConfig(tau=1.0, anneal=0.1, tau_min=0.2)
    found = [config.temperature(step) for step in range(40)]
    assert found[0] == 1.0 and found[-1] == 0.2
    assert found == sorted(found, reverse=True)


def test_the_logits_are_trained_at_their_own_rate(task, switched):
    model = switched()
    before = {name: logits.detach().clone() for name, logits in model.logits.items()}
    trainer(task).train(model)
    moved = [(model.logits[name] - before[name]).abs().max().item() for name in before]
    # AdamW's steps are about as long as the rate: at that of the trial, 0.01, nine steps with
    # warm-up and decay would stay below 0.09.
    assert max(moved) > 0.1


def test_a_fresh_placement_is_trained_on_the_edges_that_stayed_on(task):
    refined = parse_procedure("switch").run(trainer(task))
    logits = refined.chose["logits"]
    kept = [
        edge
        for edge in Placement.parse(PLACEMENT).edges
        if logits[str(edge)][1] > logits[str(edge)][0]
    ]
    assert list(refined.model.placement.edges) == kept
    assert (refined.chose["kept"], refined.chose["of"]) == (len(kept), 6)
    again = run_trial(task, refined.model.placement, SETTINGS, seed=1, learning_rate=0.01)
    assert refined.outcome.step_losses == again.step_losses
    assert refined.parameters == again.parameters


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("switch:tau=0", "tau=0 must be a number above 0"),
        ("switch:tau=hot", "tau=hot must be a number"),
        ("switch:anneal=-1", "at least 0"),
        ("switch:anneal=0.1,tau=0.05", "below tau_min"),
        ("switch:per=layer", "edge, block"),
    ],
)
def test_wrong_options_are_refused(text, told):
    with pytest.raises(ProcedureError, match=told):
        parse_procedure(text)


@pytest.mark.parametrize("adapter", ["0>1@prefix", "0>0@prompt"])
def test_what_adds_tokens_cannot_be_switched_off(task, adapter):
    with pytest.raises(ProcedureError, match="adds tokens"):
        parse_procedure("switch").run(trainer(task, adapter))


def test_an_edge_knows_whether_it_is_on(switched):
    model = switched()
    set_logits(model, **{"7>3": [0.0, 1.0], "other": [1.0, 0.0]})
    assert [edge for edge in model.model.placement.edges if model.is_on(edge)] == [Edge(7, 3)]
