"""Shared adapters are one module on several edges, and the least important ones make room."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from autoplace.adapters import count_parameters
from autoplace.model import frozen_activations
from autoplace.placement import Edge, Placement
from autoplace.procedures import ProcedureError, Trainer, parse_procedure
from autoplace.procedures._knowledge import WithKnowledge, joined_model
from autoplace.procedures._share import importance, share_adapters, share_plan
from autoplace.settings import TrialSettings
from autoplace.training import Trial, run_trial

SETTINGS = TrialSettings(epochs=3, batch_size=16)
EVERY = "+".join(f"{node}>{node + 1}" for node in range(24)) + "@bottleneck:r=2"
MIXED = "0>1+1>2+2>3+3>4@bottleneck:r=3+7>3+23>0@linear:r=2+4>5+6>7@lora:r=2+8>9@lora:maps=qkv,r=2"


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


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.9])
def test_so_many_adapters_are_trained_as_the_rate_leaves(task, rate):
    refined = parse_procedure(f"share:rate={rate}").run(trainer(task, EVERY))
    pruned = int(rate * 24)
    assert refined.parameters == (24 - pruned) * 2 * (2 * 96 + 1)
    assert refined.chose["stored"] == refined.chose["trained"] == refined.parameters
    assert len(refined.chose["shared"]) == pruned
    for edge, donor in refined.chose["shared"].items():
        pair = (refined.model.adapters[name].state_dict() for name in (edge, donor))
        for one, other in zip(*(each.values() for each in pair), strict=True):
            assert torch.equal(one, other)
    scores = refined.chose["importance"]
    assert max(scores[e] for e in refined.chose["shared"]) <= min(
        score for e, score in scores.items() if e not in refined.chose["shared"]
    )


@pytest.mark.parametrize("text", [EVERY, MIXED])
def test_at_a_rate_of_zero_it_is_the_dense_run_bit_for_bit(task, text):
    refined = parse_procedure("share:rate=0").run(trainer(task, text))
    dense = run_trial(task, Placement.parse(text), SETTINGS, seed=1, learning_rate=0.01)
    assert refined.outcome.step_losses == dense.step_losses
    for name, tensor in refined.model.trainable_state().items():
        assert torch.equal(tensor, dense.state[name])


def test_a_shared_adapter_is_one_module_that_is_trained_once(task):
    model = trainer(task, "0>1+2>3+7>5@bottleneck:r=3").fresh_model()
    share_adapters(model, {Edge(0, 1): Edge(2, 3), Edge(7, 5): Edge(2, 3)})
    assert model.adapter(Edge(0, 1)) is model.adapter(Edge(2, 3)) is model.adapter(Edge(7, 5))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == 3 * (2 * 96 + 1) + sum(p.numel() for p in model.head.parameters())


def test_the_gradient_of_a_shared_adapter_is_the_sum_over_separate_copies(task):
    images, labels = torch.randn(6, 3, 32, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    shared = moved(trainer(task, "0>1+2>3+7>5@bottleneck:r=3").fresh_model())
    share_adapters(shared, {Edge(0, 1): Edge(2, 3), Edge(7, 5): Edge(2, 3)})
    separate = trainer(task, "0>1+2>3+7>5@bottleneck:r=3").fresh_model()
    for edge in separate.placement.edges:
        separate.adapters[str(edge)] = copy.deepcopy(shared.adapter(edge))
    for model in (shared, separate):
        logits = model.forward_suffix(activations(model, images))
        functional.cross_entropy(logits, labels).backward()
    for name, parameter in shared.adapter(Edge(2, 3)).named_parameters():
        copies = [dict(a.named_parameters())[name].grad for a in separate.adapters.values()]
        torch.testing.assert_close(parameter.grad, sum(copies), rtol=1e-4, atol=1e-6)


def test_a_new_adapter_has_no_importance_and_a_trained_one_has(task):
    given = trainer(task, MIXED)
    model = given.fresh_model()
    batches = given.calibration(model.frozen_nodes)
    assert set(importance(model, batches).values()) == {0.0}
    given.train(model)
    sums, absolutes = (importance(model, batches, score) for score in ("sum", "absolute"))
    assert all(0 < sums[edge] <= absolutes[edge] for edge in sums)


def test_importance_is_the_first_order_change_of_the_loss_without_the_adapter(task):
    given = trainer(task, "0>1+20>21@bottleneck:r=2")
    model = given.fresh_model()
    given.train(model)
    model.eval()
    batches = given.calibration(model.frozen_nodes)
    (edge, score), *_ = importance(model, batches).items()

    def loss(scale: float) -> float:
        changed = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in changed.adapter(edge).parameters():
                parameter.mul_(scale)
            parts = [
                functional.cross_entropy(
                    changed.forward_suffix(batch.values), batch.labels, reduction="sum"
                )
                for batch in batches
            ]
        return float(sum(parts) / sum(len(batch.labels) for batch in batches))

    slope = (loss(1.01) - loss(0.99)) / 0.02
    assert score == pytest.approx(abs(slope), rel=0.05)


def test_a_pruned_edge_gets_the_nearest_adapter_of_its_own_type_or_else_of_the_other():
    placement = Placement.parse("0>1+1>2+2>3+3>4+4>5")
    scores = dict(zip(placement.edges, [5.0, 1.0, 2.0, 4.0, 3.0], strict=True))

    def plan(count, donor="nearest"):
        found = share_plan(placement, scores, count, donor)
        return {str(edge): str(other) for edge, other in found.items()}

    assert plan(2) == {"1>2": "3>4", "2>3": "0>1"}  # of two at one distance, the first
    assert plan(2, "strongest") == {"1>2": "3>4", "2>3": "0>1"}
    assert plan(4) == {"1>2": "0>1", "2>3": "0>1", "4>5": "0>1", "3>4": "0>1"}


def test_ties_are_broken_by_depth_and_the_last_of_a_kind_stays():
    placement = Placement.parse("4>5+0>1@bottleneck:r=2+2>3@linear:r=2")
    equal = dict.fromkeys(placement.edges, 0.0)
    assert share_plan(placement, equal, 1) == {Edge(0, 1): Edge(4, 5)}
    assert share_plan(placement, equal, 3) == {Edge(0, 1): Edge(4, 5)}


@pytest.mark.parametrize(
    "text",
    [
        "0>1+2>3@bottleneck:r=3",
        "4>4+7>3@linear:r=2",
        "2>3+4>5@lora:alpha=3,r=2",
        "1>2+3>4@adaptformer:r=3",
        "2>2+4>4@adapter-plus:r=3",
    ],
)
def test_frozen_knowledge_and_the_joined_adapter_compute_the_sum_of_both(task, text):
    model = moved(trainer(task, text).fresh_model()).eval()
    first, second = model.placement.edges
    pruned = share_adapters(model, {first: second})
    both, images = WithKnowledge(model, pruned).eval(), torch.randn(3, 3, 32, 32)
    joined = joined_model(model, pruned)
    ranks = [dict(spec.options)["r"] for _, spec in model.placement]
    assert [dict(spec.options)["r"] for _, spec in joined.placement] == [2 * ranks[0], ranks[1]]
    with torch.inference_mode():
        trained = both.forward_suffix(activations(model, images))
        assert not torch.allclose(trained, model(images), atol=1e-5)
        torch.testing.assert_close(joined(images), trained, rtol=1e-4, atol=1e-4)


def test_knowledge_is_stored_and_not_trained(task):
    refined = parse_procedure("share:kappa=frozen").run(trainer(task, EVERY))
    each = 2 * (2 * 96 + 1)
    assert (refined.chose["trained"], refined.chose["stored"]) == (12 * each, 24 * each)
    own = count_parameters(refined.model.placement, refined.model.chain.shape)
    assert own == 12 * each + 12 * 2 * each  # a pruned edge has shared and frozen units


@pytest.mark.parametrize(
    ("procedure", "text", "told"),
    [
        ("share:rate=1", EVERY, "from 0 to below 1"),
        ("share:rate=-0.1", EVERY, "from 0 to below 1"),
        ("share:warm_up=0", EVERY, "at least 1"),
        ("share:warm_up=3", EVERY, "leaves none of the 3 epochs"),
        ("share:kappa=merged", EVERY, "none, frozen"),
        ("share", "0>1@bottleneck:r=2+2>3@linear:r=2", "only 0 can"),
        ("share", "head-only", "head-only has none"),
        ("share:kappa=frozen", "1>2+3>4@ssf", "ssf.*use kappa=none"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_training(task, procedure, text, told):
    with pytest.raises(ProcedureError, match=told):
        parse_procedure(procedure).run(trainer(task, text))
