"""The retrain gate promotes records that help, and neither noise nor lies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from predictors import (
    GateDecision,
    PredictorError,
    TrainingSet,
    create_predictor,
    evaluate,
    gate,
    list_predictors,
    predictor_card,
)

Parts = tuple[TrainingSet, TrainingSet]


@pytest.fixture(scope="module")
def parts(data: TrainingSet) -> Parts:
    """Twelve rows of each of five families, that the present predictor knows, and a new family.

    The new family has 40 rows. The gain falls with the mean target and with the mean span, because
    the gate's recipe learns from the placement alone; how much differs between families.
    """
    families = np.array([group.partition(":")[0] for group in data.groups], dtype=object)
    worth = -data.X["target_mean"] - 0.7 * data.X["span_mean"]
    scale = 0.02 * (1 + np.array([int(name.removeprefix("task")) for name in families]))
    noise = np.random.default_rng(7).normal(0, 0.002, len(data))
    gains = 0.05 + scale * worth.to_numpy() + noise
    own = TrainingSet.of_gains(data.X, gains, data.groups, families)
    is_new = families == "task5"
    rank = pd.Series(np.arange(len(data))).groupby(families).cumcount().to_numpy()
    return own.select(~is_new & (rank < 12)), own.select(is_new)


def changed(data: TrainingSet, y: np.ndarray) -> TrainingSet:
    return TrainingSet.of_gains(data.X, y, data.groups, data.families)


@pytest.fixture(scope="module")
def honest(parts: Parts) -> GateDecision:
    return gate(parts[0], parts[0].union(parts[1]))


def test_honest_records_that_help_are_promoted(honest: GateDecision) -> None:
    assert honest.promoted
    assert 0 < honest.low < honest.difference < honest.high
    assert "on 5 left-out families" in honest.reason
    assert f"{honest.difference:+.3f}" in honest.reason


@pytest.mark.parametrize("seed", range(2))
def test_labels_shuffled_within_tasks_are_not_promoted(parts: Parts, seed: int) -> None:
    present, new = parts
    shuffled = changed(new, np.random.default_rng(seed).permutation(new.y))
    decision = gate(present, present.union(shuffled))
    assert not decision.promoted
    assert decision.low < 0


def test_negated_labels_are_not_promoted(parts: Parts) -> None:
    present, new = parts
    decision = gate(present, present.union(changed(new, -new.y)))
    assert not decision.promoted
    assert decision.difference < 0 and decision.high < 0.05


def test_the_decision_is_deterministic(parts: Parts, honest: GateDecision) -> None:
    again = gate(parts[0], parts[0].union(parts[1]))
    pd.testing.assert_frame_equal(again.scores, honest.scores)
    assert dataclasses.replace(again, scores=honest.scores) == honest


def test_scores_are_the_means_of_an_evaluation(parts: Parts, honest: GateDecision) -> None:
    everything = parts[0].union(parts[1])
    table = evaluate({name: create_predictor(name) for name in list_predictors()}, everything)
    table = table.assign(predictor=table["predictor"].replace({"lightgbm": "challenger"}))
    table = table.fillna({"spearman": 0.0})
    means = table.groupby("predictor")[["spearman", "regret@1", "regret@5"]].mean()
    pd.testing.assert_frame_equal(honest.scores.drop(index="present"), means)
    assert honest.scores.loc["present"].notna().all()


def test_a_family_that_both_know_as_well_is_not_used(parts: Parts) -> None:
    present, new = parts
    assert "on 5 left-out" in gate(present, present.union(new)).reason
    more = present.select(present.families == "task0")
    gains = more.gains.copy()
    gains[:] = [{trial: -gain for trial, gain in each.items()} for each in gains]
    corrected = TrainingSet(more.X, gains, more.groups, more.families)
    assert "on 4 left-out" in gate(present, present.union(corrected)).reason


def test_tasks_whose_spread_is_noise_do_not_count(parts: Parts, honest: GateDecision) -> None:
    present, new = parts
    # Two trials of every placement that differ by far more than placements do.
    noisy = present.gains.copy()
    noisy[:] = [
        {f"{row}-{sign}": gain + sign for sign in (-1.0, 1.0) for gain in each.values()}
        for row, each in enumerate(present.gains)
    ]
    present = TrainingSet(present.X, noisy, present.groups, present.families)
    np.testing.assert_allclose(present.y, parts[0].y)
    decision = gate(present, present.union(new))
    assert not decision.promoted and np.isnan(decision.difference)
    assert decision.reason.startswith("only 0 left-out families can tell")


def test_few_families_cannot_tell(parts: Parts) -> None:
    present, new = parts
    few = present.select(np.isin(present.families, ["task0", "task1", "task2"]))
    decision = gate(few, few.union(new))
    assert not decision.promoted
    assert decision.reason.startswith("only 3 left-out families can tell")


def test_nothing_new_is_not_promoted_and_no_predictor_is_easily_beaten(parts: Parts) -> None:
    present = parts[0]
    assert not gate(present, present).promoted
    first = gate(None, present)
    assert first.promoted and "no present predictor" in first.reason
    assert "present" not in first.scores.index and "challenger" in first.scores.index


def test_one_family_is_not_enough(parts: Parts) -> None:
    with pytest.raises(PredictorError, match="two are needed"):
        gate(None, parts[1])


def test_a_card_says_what_was_learnt_from_and_what_orders_better(
    parts: Parts, honest: GateDecision
) -> None:
    everything = parts[0].union(parts[1])
    scores = honest.scores.copy()
    scores.loc["ridge", "spearman"] = scores.loc["challenger", "spearman"] + 0.01
    card = predictor_card(everything, scores)
    assert f"{len(everything)} placements of 6 tasks ({len(everything)} trials)" in card
    assert f"| found-rate | {len(everything)} | {len(everything)} |" in card
    assert "task0, task1" in card and "ridge" in card.splitlines()[-1]
    assert "| this predictor |" in card and "present |" not in card
    for name in set(scores.index) - {"challenger", "present"}:
        assert f"| {name} |" in card
