"""The refit: a training that collapsed is run again, and only that one."""

from __future__ import annotations

import pytest

from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._record import Record
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.agent.steps._refit import AGAIN, WINNER, refit, training_loss
from autoplace.agent.steps._rounds import Rounds
from autoplace.execution import InProcessExecutor
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import Deadline, Images, Trial
from predictors.vocabulary import HEAD_ONLY

SETTINGS = PickSettings(epochs=2, batch_size=64)
COLLAPSING, SOUND = 1.0, 1e-3


@pytest.fixture
def rounds(new_store, task):
    with (
        Record(new_store(), task, "pick", SETTINGS, None, Progress()) as record,
        TrialRecord(record) as trials,
    ):
        executor = InProcessExecutor(task, SETTINGS, Deadline())
        yield Rounds(executor, trials, Deadline(), task.metric, Progress())


def trial(text, rate):
    return Trial(Placement.parse(text), seed=3, learning_rate=rate)


@pytest.mark.parametrize("on_all", [True, False])
def test_only_what_collapsed_is_run_again_and_the_lower_training_loss_counts(rounds, on_all):
    notes = []
    sides = {
        WINNER: trial("0>1+2>3+9>5", COLLAPSING),
        HEAD_ONLY: trial("head-only", SOUND),
        "lora": trial("20>22", SOUND),
    }
    trained = refit(rounds, sides, 2, on_all, notes.append)
    seeds = {(str(o.placement), o.trial.seed) for o in rounds.ended}
    again = {(text, seed) for text, seed in seeds if seed >= AGAIN}
    winner = str(sides[WINNER].placement)
    assert again == {(winner, 3 + AGAIN), (winner, 4 + AGAIN)}
    assert all(
        f"of {WINNER} with seed {seed} collapsed" in note
        for seed, note in zip((3, 4), notes, strict=True)
    )
    for role, outcomes in trained.items():
        for seed, kept in zip((3, 4), outcomes, strict=True):
            alike = [
                training_loss(o)
                for o in rounds.ended
                if o.placement == sides[role].placement and o.trial.seed in (seed, seed + AGAIN)
            ]
            assert training_loss(kept) == min(alike)
            assert kept.trial.images == (Images("all") if on_all else Images())


def test_nothing_is_run_again_where_training_is_sound(rounds):
    sides = {WINNER: trial("20>22", SOUND), HEAD_ONLY: trial("head-only", SOUND)}
    trained = refit(rounds, sides, 1, True, pytest.fail)
    assert len(rounds.ended) == 2
    assert [o.trial.seed for outcomes in trained.values() for o in outcomes] == [3, 3]
