"""One body of tests over all procedures: text form, training, saving, and refusals."""

from __future__ import annotations

import json

import pytest
import torch

from autoplace.errors import UserError
from autoplace.model import load_adapted, save_adapted
from autoplace.placement import Placement
from autoplace.procedures import (
    ProcedureError,
    Trainer,
    list_procedures,
    parse_procedure,
)
from autoplace.settings import TrialSettings
from autoplace.training import Trial, predict_split

SETTINGS = TrialSettings(epochs=2, batch_size=16)
PLACEMENT = Placement.parse(
    "2>12@bottleneck:r=4+8>8@linear:r=2+14>15@lora:r=2+20>21@bottleneck:r=4+22>10@linear:r=2"
)
VARIANTS = [
    "prune",
    "prune:score=random,sparsity=0.8",
    "prune:score=magnitude,scope=matrix",
    "prune:rounds=3,score=snip",
    "prune:score=grasp,sparsity=0.5,widen=2",
    "prune:score=er,init=zero",
    "drop:blocks=0",
    "drop:blocks=6",
    "drop:robust",
    "share",
    "share:donor=strongest,rate=0.3,score=absolute",
    "share:kappa=frozen",
    "switch",
    "switch:anneal=0.1,per=block,tau=1.0",
]


def trainer(task, placement=PLACEMENT, **options):
    return Trainer(task, Trial(placement, seed=1, learning_rate=0.01), SETTINGS, **options)


def test_every_procedure_is_tried():
    assert {text.partition(":")[0] for text in VARIANTS} == set(list_procedures())


@pytest.mark.parametrize("text", VARIANTS)
def test_the_text_form_gives_the_same_procedure_back(text):
    procedure = parse_procedure(text)
    again = parse_procedure(str(procedure))
    assert (type(again), again.config, str(again)) == (
        type(procedure),
        procedure.config,
        str(procedure),
    )


@pytest.mark.parametrize("text", VARIANTS)
def test_a_placement_of_several_kinds_is_trained_saved_and_read_back(text, task, tmp_path):
    epochs = []
    procedure = parse_procedure(text)
    refined = procedure.run(trainer(task, report=epochs.append))
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert refined.outcome.is_done and not refined.model.training
    about = {"text": str(procedure), **refined.chose}
    again = load_adapted(save_adapted(refined.model, tmp_path, "# a card\n", procedure=about))
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(again(images), refined.model(images))
    assert json.loads((tmp_path / "placement.json").read_text())["procedure"] == about
    logits, labels = predict_split(task, refined.model, "val")
    assert logits.shape == (len(labels), 3)


@pytest.mark.parametrize("text", VARIANTS)
def test_a_run_repeats_bit_for_bit_and_leaves_the_random_state_alone(text, task):
    state = torch.get_rng_state()
    first, second = (parse_procedure(text).run(trainer(task)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.outcome.step_losses == second.outcome.step_losses
    assert first.parameters == second.parameters
    assert first.chose == second.chose


@pytest.mark.parametrize("name", list_procedures())
def test_head_only_is_refused(name, task):
    procedure = parse_procedure(next(text for text in VARIANTS if text.startswith(name)))
    with pytest.raises(ProcedureError, match="head-only has none"):
        procedure.run(trainer(task, Placement()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prone", "unknown procedure 'prone'; did you mean 'prune'"),
        ("prune:spersity=0.5", "no option 'spersity'; did you mean 'sparsity'"),
        ("prune:", "'' in 'prune:' is not an option"),
        ("prune:sparsity=", "'sparsity=' in .* is not an option"),
        ("prune:sparsity=0.5,sparsity=0.5", "twice"),
        ("prune:sparsity=1", "sparsity=1 must be"),
        ("prune:sparsity=-0.1", "sparsity=-0.1 must be"),
        ("prune:sparsity=nan", "sparsity=nan must be"),
        ("prune:sparsity=half", "sparsity=half must be"),
        ("prune:sparsity", "sparsity=True must be"),
        ("prune:score=snap", "score=snap is not one of random, magnitude, snip"),
        ("prune:widen=0", "widen=0 must be"),
        ("drop", "drop:blocks=5 or drop:robust"),
        ("drop:blocks=2,robust", "drop:blocks=5 or drop:robust"),
        ("drop:robust=yes", "robust takes no value"),
        ("drop:blocks=-1", "blocks=-1 must be"),
    ],
)
def test_bad_text_is_refused_in_one_or_two_lines(text, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_procedure(text)
    assert len(str(caught.value)) < 200
