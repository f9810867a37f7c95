"""Both sides of the comparison with PEFT run a training that collapsed again by the same rule."""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import peft_bar
import refits
from refits import collapse_limits, fitted_head_loss, has_collapsed, lowered, refit_accuracies

from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import Images

SETTINGS = PickSettings(epochs=2, precision="float32")
RATES = {"head-only": 1e-3, "bottleneck": 0.01}
PLACEMENT = Placement.parse("3>5@bottleneck:r=4")
NEVER, ALWAYS = math.inf, -math.inf


def own(task, limits, rates=RATES):
    return refit_accuracies(task, PLACEMENT, rates, limits, SETTINGS)


def test_of_two_trainings_of_ours_the_one_with_the_lower_loss_counts(task):
    for rate in (0.003, 0.2):
        both = [{"bottleneck": each} for each in (rate, lowered(rate))]
        losses = [
            refits.training_loss(refits._refit(task, PLACEMENT, rates, (0,), SETTINGS)[0])
            for rates in both
        ]
        reached = [own(task, {0: NEVER}, rates) for rates in both]
        assert reached[0] != reached[1]
        assert own(task, {0: ALWAYS}, both[0]) == reached[losses.index(min(losses))]


def test_of_two_trainings_of_peft_the_one_with_the_lower_loss_counts(task):
    trainer = peft_bar.PeftTrainer(task, 1, SETTINGS)
    for rate in (0.03, 0.1):
        both = rate, lowered(rate)
        losses = [trainer.train(Images("all"), each, 3, 0)[1] for each in both]
        reached = [trainer.refit_accuracies(each, 3, {0: NEVER}) for each in both]
        assert reached[0] != reached[1]
        assert trainer.refit_accuracies(rate, 3, {0: ALWAYS}) == reached[losses.index(min(losses))]


def test_peft_trains_again_where_the_loss_is_not_a_number(task, monkeypatch):
    trainer, rates, train = peft_bar.PeftTrainer(task, 1, SETTINGS), [], peft_bar.PeftTrainer.train

    def diverging(self, images, rate, epochs, seed):
        rates.append(rate)
        model, loss = train(self, images, rate, epochs, seed)
        return model, math.nan if rate == 0.01 else loss

    expected = trainer.refit_accuracies(lowered(0.01), 1, {0: NEVER})
    monkeypatch.setattr(peft_bar.PeftTrainer, "train", diverging)
    assert trainer.refit_accuracies(0.01, 1, {0: 1e9}) == expected
    assert rates == [0.01, lowered(0.01)]


def test_the_limit_is_a_little_above_the_fitted_head(task):
    limits = collapse_limits(task, {"head-only": 1e-4}, (0, 1), SETTINGS)
    head = fitted_head_loss(task, SETTINGS)
    assert set(limits) == {0, 1}
    for limit in limits.values():
        assert head < limit < head + 0.5
    assert not has_collapsed(head, head)
    assert has_collapsed(head + 1, head)
