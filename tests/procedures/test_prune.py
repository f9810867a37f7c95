"""Pruned weights: exactly so many, zero to the end; scores are what their papers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from autoplace.placement import Placement
from autoplace.procedures import ProcedureError, Trainer, parse_procedure, widen
from autoplace.procedures._masks import apportion, held_at_zero, keep_highest
from autoplace.procedures._saliency import grasp_scores, prunable, snip_scores
from autoplace.settings import TrialSettings
from autoplace.training import Trial, run_trial

SETTINGS = TrialSettings(epochs=2, batch_size=16, weight_decay=0.1)
PLACEMENT = Placement.parse("20>21@lora:r=2+20>22@bottleneck:r=3+22>10@linear:r=2")
WEIGHTS = 2 * 2 * (96 + 96) + 2 * 3 * 96 + 2 * 2 * 96
SCORES = ("random", "magnitude", "snip", "grasp", "er")


def trainer(task, placement=PLACEMENT, settings=SETTINGS):
    return Trainer(task, Trial(placement, seed=1, learning_rate=0.01), settings)


def non_zero(model):
    return sum(int((p != 0).sum()) for p in prunable(model.adapters).values())


@pytest.mark.parametrize("sparsity", [0, 0.4, 0.8, 0.97])
@pytest.mark.parametrize("scope", ["global", "matrix"])
@pytest.mark.parametrize("score", SCORES)
def test_exactly_the_asked_number_of_weights_is_kept(score, scope, sparsity, task):
    procedure = parse_procedure(f"prune:score={score},scope={scope},sparsity={sparsity}")
    fresh = trainer(task).fresh_model()
    masks = procedure.prune(fresh, trainer(task))
    kept = round((1 - sparsity) * WEIGHTS)
    assert sum(int(mask.sum()) for mask in masks.values()) == kept
    assert non_zero(fresh) == kept
    if scope == "matrix" and score != "er":
        for mask in masks.values():
            assert abs(int(mask.sum()) - (1 - sparsity) * mask.numel()) < 1


@pytest.mark.parametrize("score", SCORES)
def test_pruned_weights_are_zero_after_adamw_with_weight_decay(score, task):
    procedure = parse_procedure(f"prune:score={score},sparsity=0.8")
    masks = procedure.prune(trainer(task).fresh_model(), trainer(task))
    refined = procedure.run(trainer(task))
    for name, parameter in prunable(refined.model.adapters).items():
        assert not parameter[~masks[name]].any(), name
        assert parameter[masks[name]].all(), name
        assert parameter.grad is not None and not parameter.grad[~masks[name]].any()
    kept = round(0.2 * WEIGHTS)
    assert (refined.chose["kept"], refined.chose["of"]) == (kept, WEIGHTS)
    assert refined.parameters == kept + 3  # the bottleneck's biases are never pruned


def test_a_pause_keeps_pruned_weights_at_zero_and_changes_nothing(task):
    procedure, models = parse_procedure("prune:sparsity=0.8"), []
    for stop in (None, 1):
        model = trainer(task).fresh_model()
        masks = procedure.prune(model, trainer(task))
        with held_at_zero(prunable(model.adapters), masks):
            paused = stop and trainer(task).train(model, until=stop)
            assert trainer(task).train(model, after=paused).is_done
        models.append(model)
    assert non_zero(models[1]) == round(0.2 * WEIGHTS)
    for ours, theirs in zip(models[1].parameters(), models[0].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_no_sparsity_is_the_dense_run_bit_for_bit(task):
    dense = run_trial(task, PLACEMENT, SETTINGS, seed=1, learning_rate=0.01)
    for score in SCORES:
        pruned = parse_procedure(f"prune:score={score},init=zero,sparsity=0").run(trainer(task))
        assert pruned.outcome.step_losses == dense.step_losses
        for name, tensor in dense.state.items():
            assert torch.equal(pruned.model.state_dict()[name], tensor), name


def test_biases_norms_and_scales_are_not_pruned(task):
    model = trainer(task).fresh_model()
    assert all(p.ndim > 1 for p in prunable(model.adapters).values())
    left = set(dict(model.adapters.named_parameters())) - set(prunable(model.adapters))
    assert left == {"20>22.down.bias"}


def test_large_sparse_has_as_many_weights_as_the_dense_placement(task):
    assert str(widen(PLACEMENT, 4)) == "20>21@lora:r=8+20>22@bottleneck:r=12+22>10@linear:r=8"
    for factor in (2, 4):
        procedure = parse_procedure(f"prune:score=er,sparsity={1 - 1 / factor},widen={factor}")
        refined = procedure.run(trainer(task))
        assert refined.model.placement == widen(PLACEMENT, factor)
        assert non_zero(refined.model) == refined.chose["kept"] == WEIGHTS


def scored(task, score):
    """A model with matrices far from zero, so that float32 can tell losses apart; its scores."""
    ours = trainer(task)
    model = ours.fresh_model()
    parse_procedure("prune:score=random,sparsity=0").prune(model, ours)
    with torch.no_grad():
        for parameter in prunable(model.adapters).values():
            parameter.mul_(10)
    batches = ours.calibration(model.frozen_nodes)
    return model, batches, score(model, prunable(model.adapters), batches)


def mean_loss(model, batches):
    parts = [
        functional.cross_entropy(model.forward_suffix(b.values), b.labels, reduction="sum")
        for b in batches
    ]
    return torch.stack(parts).sum() / sum(len(b.labels) for b in batches)


def test_calibration_has_32_images_of_each_class_or_all_it_has(task):
    batches = trainer(task).calibration((20,))
    drawn = torch.cat([batch.labels for batch in batches]).bincount()
    assert drawn.tolist() == [min(32, n) for n in np.bincount(task.data.train.labels)]
    assert {batch.values[20].shape[1:] for batch in batches} == {(17, 96)}


def test_snip_is_the_finite_difference_in_the_mask(task):
    model, batches, scores = scored(task, snip_scores)
    step = 0.05
    with torch.no_grad():
        for name, parameter in prunable(model.adapters).items():
            index = scores[name].flatten().argmax()
            weight, losses = parameter.flatten()[index].item(), []
            for mask in (1 + step, 1 - step):
                parameter.view(-1)[index] = weight * mask
                losses.append(mean_loss(model, batches).double())
            parameter.view(-1)[index] = weight
            difference = abs(losses[0] - losses[1]) / (2 * step)
            assert scores[name].max().item() == pytest.approx(difference.item(), rel=0.02), name


def test_grasp_is_the_weight_times_the_change_of_the_squared_gradient(task):
    """W ⊙ Hg is half the derivative of |g|² in the mask."""
    model, batches, scores = scored(task, grasp_scores)
    weights = list(prunable(model.adapters).values())
    step = 0.05
    for name, parameter in prunable(model.adapters).items():
        index = scores[name].abs().flatten().argmax()
        weight, squares = parameter.flatten()[index].item(), []
        for mask in (1 + step, 1 - step):
            with torch.no_grad():
                parameter.view(-1)[index] = weight * mask
            gradients = torch.autograd.grad(mean_loss(model, batches), weights)
            squares.append(sum(g.double().square().sum() for g in gradients))
        with torch.no_grad():
            parameter.view(-1)[index] = weight
        difference = (squares[0] - squares[1]) / (2 * step) / 2
        assert scores[name].flatten()[index].item() == pytest.approx(difference.item(), rel=0.02)


def test_scores_do_not_change_the_model(task):
    for score in (snip_scores, grasp_scores):
        model, _, scores = scored(task, score)
        assert model.training
        assert all(p.grad is None for p in model.parameters())
        assert all(torch.isfinite(each).all() for each in scores.values())


@pytest.mark.parametrize("score", ["magnitude", "snip", "grasp"])
def test_zero_up_projections_are_refused_before_training(score, task):
    procedure = parse_procedure(f"prune:score={score},init=zero")
    with pytest.raises(ProcedureError, match=r"starts at zero, so score=.* use init=normal"):
        procedure.check(PLACEMENT, task.chain.shape)


ARC = Placement.parse("20>21+22>23@arc:r=2")  # scaled by zero at first


def test_a_projection_that_is_scaled_by_zero_is_refused(task):
    procedure = parse_procedure("prune:score=snip,init=zero")
    with pytest.raises(ProcedureError, match="c of the adapter on 20>21 starts at zero"):
        procedure.check(ARC, task.chain.shape)


def test_with_drawn_scales_every_projection_has_scores(task):
    given = trainer(task, ARC)
    model = given.fresh_model()
    masks = parse_procedure("prune:score=snip,sparsity=0.5").prune(model, given)
    scores = snip_scores(model, prunable(model.adapters), given.calibration(model.frozen_nodes))
    assert all(int((scores[name] > 0).sum()) == int(mask.sum()) for name, mask in masks.items())


@pytest.mark.parametrize("score", ["random", "er"])
def test_random_scores_do_not_mind_zeros(score, task):
    parse_procedure(f"prune:score={score},init=zero").check(PLACEMENT, task.chain.shape)


def test_a_sparsity_that_leaves_nothing_is_refused(task):
    procedure = parse_procedure("prune:sparsity=0.99999")
    with pytest.raises(ProcedureError, match="leaves none of the 1728 weights; lower it"):
        procedure.check(PLACEMENT, task.chain.shape)


def test_several_rounds_prune_more_each_time(task):
    procedure = parse_procedure("prune:rounds=3,sparsity=0.8")
    matrices = prunable(trainer(task).fresh_model().adapters)
    assert [procedure._keep(matrices, number) for number in (1, 2, 3)] == [
        round(0.2 ** (1 / 3) * WEIGHTS),
        round(0.2 ** (2 / 3) * WEIGHTS),
        round((1 - 0.8) * WEIGHTS),
    ]


def test_equal_scores_are_not_pruned_together():
    masks = keep_highest({"a": torch.ones(4, 2), "b": torch.ones(3, 3)}, 9)
    assert [int(mask.sum()) for mask in masks.values()] == [8, 1]


@pytest.mark.parametrize("total", [0, 1, 57, 203, 310])
def test_shares_sum_to_the_total_and_fit(total):
    sizes, weights = [100, 200, 10], [20.0, 30.0, 7.0]
    counts = apportion(total, sizes, weights)
    assert sum(counts) == total
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))


def test_er_gives_equal_matrices_equal_density_and_small_ones_more(task):
    placement = Placement.parse("2>12+20>22@bottleneck:r=8")
    masks = parse_procedure("prune:score=er,sparsity=0.5").prune(
        trainer(task, placement).fresh_model(), trainer(task, placement)
    )
    assert {int(mask.sum()) for mask in masks.values()} == {8 * 96 // 2}
    mixed = Placement.parse("2>12@bottleneck:r=32+20>22@bottleneck:r=2")
    masks = parse_procedure("prune:score=er,sparsity=0.5").prune(
        trainer(task, mixed).fresh_model(), trainer(task, mixed)
    )
    density = {name: float(mask.float().mean()) for name, mask in masks.items()}
    assert density["20>22.up.weight"] > density["2>12.up.weight"]


def test_a_failed_training_says_why(task):
    ours = trainer(task)
    wild = replace(ours, trial=replace(ours.trial, learning_rate=1e30))
    with pytest.raises(ValueError, match="the loss became NaN or infinite"):
        parse_procedure("prune").run(wild)
