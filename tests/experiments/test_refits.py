"""Both sides of the comparison with PEFT run a training that collapsed again by the same rule."""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import peft_bar
import refits
from refits import SEED_OFFSET, collapse_limits, fitted_head_loss, has_collapsed, refit_accuracies

from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import Images

SETTINGS = PickSettings(epochs=2, precision="float32")
RATES = {"head-only": 1e-3, "bottleneck": 0.01}
PLACEMENT = Placement.parse("3>5@bottleneck:r=4")
NEVER, ALWAYS = math.inf, -math.inf


def own(task, limits):
    return refit_accuracies(task, PLACEMENT, RATES, limits, SETTINGS)


def test_of_two_trainings_of_ours_the_one_with_the_lower_loss_counts(task):
    done = refits._refit(task, PLACEMENT, RATES, (0, SEED_OFFSET), SETTINGS)
    best = min(done, key=lambda seed: refits.training_loss(done[seed]))
    first, second = own(task, {0: NEVER}), own(task, {SEED_OFFSET: NEVER})
    assert first != second
    assert own(task, {0: ALWAYS}) == (first if best == 0 else second)


def test_of_two_trainings_of_peft_the_one_with_the_lower_loss_counts(task):
    trainer = peft_bar.PeftTrainer(task, 1, SETTINGS)
    losses = {s: trainer.train(Images("all"), 0.05, 3, s)[1] for s in (0, SEED_OFFSET)}
    best = min(losses, key=losses.get)
    first, second = (trainer.refit_accuracies(0.05, 3, {seed: NEVER}) for seed in (0, SEED_OFFSET))
    assert first != second
    assert trainer.refit_accuracies(0.05, 3, {0: ALWAYS}) == (first if best == 0 else second)


def test_peft_trains_again_where_the_loss_is_not_a_number(task, monkeypatch):
    trainer, seeds, train = peft_bar.PeftTrainer(task, 1, SETTINGS), [], peft_bar.PeftTrainer.train

    def diverging(self, images, rate, epochs, seed):
        seeds.append(seed)
        model, loss = train(self, images, rate, epochs, seed)
        return model, loss if seed else math.nan

    expected = trainer.refit_accuracies(0.01, 1, {SEED_OFFSET: NEVER})
    monkeypatch.setattr(peft_bar.PeftTrainer, "train", diverging)
    assert trainer.refit_accuracies(0.01, 1, {0: 1e9}) == expected
    assert seeds == [0, SEED_OFFSET]


def test_the_limit_is_a_little_above_the_fitted_head(task):
    limits = collapse_limits(task, {"head-only": 1e-4}, (0, 1), SETTINGS)
    head = fitted_head_loss(task, SETTINGS)
    assert set(limits) == {0, 1}
    for limit in limits.values():
        assert head < limit < head + 0.5
    assert not has_collapsed(head, head)
    assert has_collapsed(head + 1, head)
