"""The refit: a training that collapsed is run again, and only that one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from autoplace.agent.steps import _refit
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._record import Record
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.agent.steps._refit import SEED_OFFSET, WINNER, refit, training_loss
from autoplace.agent.steps._rounds import Rounds
from autoplace.execution import Executor, InProcessExecutor, TrialStarted
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import Deadline, Epoch, Images, Outcome, Trial
from predictors.vocabulary import HEAD_ONLY, Status

SETTINGS = PickSettings(epochs=2, batch_size=64)
COLLAPSING, SOUND = 1.0, 1e-3


@dataclass
class Told(Executor):
    """Trains nothing: training losses of the last epoch by placement and seed; None: it fails."""

    losses: dict[tuple[str, int], float | None]

    def run(self, jobs, until=None):
        for trial in jobs:
            yield TrialStarted(trial)
            loss = self.losses.get((str(trial.placement), trial.seed))
            if (str(trial.placement), trial.seed) not in self.losses:  # the time was up before
                yield Outcome(trial, 0, Status.INTERRUPTED)
            elif loss is None:
                yield Outcome(trial, 0, Status.FAILED, reason="bad luck")
            else:
                epochs = [Epoch(trial, 1, 1.0, None), Epoch(trial, 2, loss, None)]
                yield Outcome(trial, 0, Status.DONE, epochs=epochs)


@pytest.fixture
def rounds(new_store, task):
    with (
        Record(new_store(), task, "pick", SETTINGS, None, Progress()) as record,
        TrialRecord(record) as trials,
    ):

        def with_executor(executor):
            return Rounds(executor, trials, Deadline(), task.metric, Progress())

        yield with_executor


def trial(text, rate=SOUND):
    return Trial(Placement.parse(text), seed=3, learning_rate=rate)


@pytest.mark.parametrize("on_all", [True, False])
def test_only_what_collapsed_is_run_again_and_the_lower_training_loss_counts(rounds, task, on_all):
    notes = []
    sides = {
        WINNER: trial("0>1+2>3+9>5", COLLAPSING),
        HEAD_ONLY: trial("head-only"),
        "lora": trial("20>22"),
    }
    rounds = rounds(InProcessExecutor(task, SETTINGS, Deadline()))
    trained = refit(rounds, sides, 2, on_all, notes.append)
    again = {(str(o.placement), o.trial.seed) for o in rounds.ended if o.trial.seed >= SEED_OFFSET}
    winner = str(sides[WINNER].placement)
    assert again == {(winner, 3 + SEED_OFFSET), (winner, 4 + SEED_OFFSET)}
    assert len(notes) == 2
    for role, outcomes in trained.items():
        for seed, kept in zip((3, 4), outcomes, strict=True):
            alike = [
                training_loss(o)
                for o in rounds.ended
                if o.placement == sides[role].placement
                and o.trial.seed in (seed, seed + SEED_OFFSET)
            ]
            assert training_loss(kept) == min(alike)
            assert kept.trial.images == (Images("all") if on_all else Images())
            assert kept.state


# The loss of the second training, and which of the two counts. Head-only starts at a loss of 1.
CASES = {
    "a second training that is sound": (
        {103: 0.5},
        103,
        "repeated with seed 103 (training loss 0.5)",
    ),
    "one that is worse": ({103: 3.0}, 3, "repeated with seed 103 (training loss 3)"),
    "one that fails": ({103: None}, 3, "a second one did not finish, so the first result counts"),
    "one for which there is no time": (
        {},
        3,
        "a second one did not finish, so the first result counts",
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("role", [WINNER, "lora"])
def test_what_comes_of_the_second_training_decides_which_counts(rounds, case, role):
    again, kept, words = CASES[case]
    edge, notes = "20>22@bottleneck:r=8", []
    losses = {(edge, 3): 2.0, (HEAD_ONLY, 3): 0.1, ("1>2@bottleneck:r=8", 3): 1.04}
    losses |= {(edge, seed): loss for seed, loss in again.items()}
    sides = {WINNER: trial("1>2"), HEAD_ONLY: trial("head-only"), "lora": trial("1>2")}
    sides[role] = trial("20>22")
    trained = refit(rounds(Told(losses)), sides, 1, True, notes.append)
    assert [outcome.trial.seed for outcome in trained[role]] == [kept]
    (note,) = notes
    assert f"the final training of {role} with seed 3 collapsed" in note
    assert words in note


def test_a_second_training_never_has_the_seed_of_another_first_one(rounds, monkeypatch):
    monkeypatch.setattr(_refit, "SEED_OFFSET", 1)  # as if many more seeds were asked for
    edge, seeds = "20>22@bottleneck:r=8", (3, 4, 5)
    losses = {(HEAD_ONLY, seed): 0.1 for seed in seeds} | {(edge, seed): 2.0 for seed in seeds}
    losses |= {(edge, seed): 0.5 for seed in (6, 7, 8)}
    sides = {WINNER: trial("20>22"), HEAD_ONLY: trial("head-only")}
    trained = refit(rounds(Told(losses)), sides, len(seeds), True, lambda note: None)
    assert [outcome.trial.seed for outcome in trained[WINNER]] == [6, 7, 8]


def test_head_only_as_the_winner_is_the_measure_too(rounds):
    losses = {(HEAD_ONLY, 3): 0.1, ("1>2@bottleneck:r=8", 3): 2.0, ("1>2@bottleneck:r=8", 103): 0.5}
    sides = {WINNER: trial("head-only"), "every-block": trial("1>2")}
    trained = refit(rounds(Told(losses)), sides, 1, True, lambda note: None)
    assert {role: [o.trial.seed for o in each] for role, each in trained.items()} == {
        WINNER: [3],
        "every-block": [103],
    }


def test_nothing_is_run_again_where_training_is_sound_or_there_is_no_measure(rounds):
    sound = {("1>2@bottleneck:r=8", 3): 0.9, (HEAD_ONLY, 3): 0.1}
    sides = {WINNER: trial("1>2"), HEAD_ONLY: trial("head-only")}
    for losses, some in ((sound, sides), ({("1>2@bottleneck:r=8", 3): 9.0}, [WINNER])):
        known = rounds(Told(losses))
        refit(known, {role: sides[role] for role in some}, 1, True, pytest.fail)
        assert len(known.ended) == len(some)
