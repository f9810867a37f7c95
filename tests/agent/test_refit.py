"""The refit: a training that collapsed is run again, and only that one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._record import Record
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.agent.steps._refit import (
    WINNER,
    collapsed_roles,
    lowered,
    lowered_rates,
    refit,
    training_loss,
)
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
    """Trains nothing: training losses of the last epoch by placement and rate; None: it fails."""

    losses: dict[tuple[str, float], float | None]

    def run(self, jobs, until=None):
        for trial in jobs:
            yield TrialStarted(trial)
            loss = self.losses.get((str(trial.placement), trial.learning_rate))
            if (
                str(trial.placement),
                trial.learning_rate,
            ) not in self.losses:  # the time was up before
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
    rates = (SOUND, COLLAPSING)
    again = [
        (str(o.placement), o.trial.learning_rate, o.trial.seed)
        for o in rounds.ended
        if o.trial.learning_rate not in rates
    ]
    winner = str(sides[WINNER].placement), lowered(COLLAPSING)
    assert sorted(again) == [(*winner, 3), (*winner, 4)]
    assert len(notes) == 2
    for role, outcomes in trained.items():
        for seed, kept in zip((3, 4), outcomes, strict=True):
            alike = [
                training_loss(o)
                for o in rounds.ended
                if o.placement == sides[role].placement and o.trial.seed == seed
            ]
            assert training_loss(kept) == min(alike)
            assert kept.trial.images == (Images("all") if on_all else Images())
            assert kept.state


AGAIN = lowered(SOUND)
# The loss of the second training, and which of the two counts. Head-only starts at a loss of 1.
CASES = {
    "a second training that is sound": (
        {AGAIN: 0.5},
        AGAIN,
        "repeated at a learning rate of 0.000562 (training loss 0.5)",
    ),
    "one that is worse": ({AGAIN: 3.0}, SOUND, "(training loss 3), and the one with the lower"),
    "one that fails": (
        {AGAIN: None},
        SOUND,
        "a second one did not finish, so the first result counts",
    ),
    "one for which there is no time": (
        {},
        SOUND,
        "a second one did not finish, so the first result counts",
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("role", [WINNER, "lora"])
def test_what_comes_of_the_second_training_decides_which_counts(rounds, case, role):
    again, kept, words = CASES[case]
    edge, notes = "20>22@bottleneck:r=8", []
    losses = {(edge, SOUND): 2.0, (HEAD_ONLY, SOUND): 0.1, ("1>2@bottleneck:r=8", SOUND): 1.04}
    losses |= {(edge, rate): loss for rate, loss in again.items()}
    sides = {WINNER: trial("1>2"), HEAD_ONLY: trial("head-only"), "lora": trial("1>2")}
    sides[role] = trial("20>22")
    trained = refit(rounds(Told(losses)), sides, 1, True, notes.append)
    assert [outcome.trial.learning_rate for outcome in trained[role]] == [kept]
    (note,) = notes
    assert f"the final training of {role} with seed 3 collapsed" in note
    still = collapsed_roles({each: outcomes[0] for each, outcomes in trained.items()})
    assert still == ([role] if kept == SOUND else [])
    assert words in note


def test_every_rate_of_a_mixture_is_lowered(rounds):
    mixed = replace(trial("0>1@lora:r=1+0>5@bottleneck:r=2"), rates=(("bottleneck", 0.1),))
    losses = {(HEAD_ONLY, SOUND): 0.1, (str(mixed.placement), SOUND): 2.0}
    losses[str(mixed.placement), AGAIN] = 0.5
    sides = {WINNER: mixed, HEAD_ONLY: trial("head-only")}
    (kept,) = refit(rounds(Told(losses)), sides, 1, True, lambda note: None)[WINNER]
    assert kept.trial.rates == (("bottleneck", lowered(0.1)),)
    first = replace(kept, trial=replace(mixed, seed=9))
    assert lowered_rates([first, kept], mixed.learning_rate) == {3: AGAIN}


@dataclass
class Unlucky(Told):
    """A training fails with some seeds of some placements."""

    failing: dict[str, set[int]] = field(default_factory=dict)

    def run(self, jobs, until=None):
        for event in super().run(jobs, until):
            if isinstance(event, Outcome) and event.trial.seed in self.failing.get(
                str(event.placement), ()
            ):
                yield Outcome(event.trial, 0, Status.FAILED, reason="bad luck")
            else:
                yield event


@pytest.mark.parametrize(
    ("failing", "seeds", "roles"),
    [
        ({"1>2@bottleneck:r=8": {3}}, [4, 5], {WINNER, HEAD_ONLY, "every-block", "lora"}),
        ({"1>2@bottleneck:r=8": {3, 4, 5}}, [3, 4, 5], {WINNER, HEAD_ONLY, "lora"}),
        ({"1>2@bottleneck:r=8": {3}, "2>5@bottleneck:r=8": {4, 5}}, [3, 4, 5], {WINNER, HEAD_ONLY}),
    ],
)
def test_failing_baselines_never_cost_the_winner_all_of_its_seeds(rounds, failing, seeds, roles):
    notes = []
    sides = {WINNER: trial("20>22"), HEAD_ONLY: trial("head-only")}
    sides |= {"every-block": trial("1>2"), "lora": trial("2>5")}
    told = {(str(side.placement), SOUND): 0.1 for side in sides.values()}
    trained = refit(rounds(Unlucky(told, failing)), sides, 3, True, notes.append)
    assert set(trained) == roles
    assert [outcome.trial.seed for outcome in trained[WINNER]] == seeds
    few = ["final trainings failed; only 2 of 3 seeds count"]
    assert notes == (few if len(seeds) < 3 else [])


def test_head_only_as_the_winner_is_the_measure_too(rounds):
    edge = "1>2@bottleneck:r=8"
    losses = {(HEAD_ONLY, SOUND): 0.1, (edge, SOUND): 2.0, (edge, AGAIN): 0.5}
    sides = {WINNER: trial("head-only"), "every-block": trial("1>2")}
    trained = refit(rounds(Told(losses)), sides, 1, True, lambda note: None)
    assert {role: [o.trial.learning_rate for o in each] for role, each in trained.items()} == {
        WINNER: [SOUND],
        "every-block": [AGAIN],
    }


def test_nothing_is_run_again_where_training_is_sound_or_there_is_no_measure(rounds):
    sound = {("1>2@bottleneck:r=8", SOUND): 0.9, (HEAD_ONLY, SOUND): 0.1}
    sides = {WINNER: trial("1>2"), HEAD_ONLY: trial("head-only")}
    for losses, some in ((sound, sides), ({("1>2@bottleneck:r=8", SOUND): 9.0}, [WINNER])):
        known = rounds(Told(losses))
        refit(known, {role: sides[role] for role in some}, 1, True, pytest.fail)
        assert len(known.ended) == len(some)
