"""Compare rules of who wins a close comparison: the best on validation, or a baseline.

`measure` runs picks up to the choice, with two folds, on tasks of families that are not in the
comparison with PEFT's LoRA, and on two samples of images of each; the predictor has not seen the
family. Then it records each contender's losses and hits on parts of the measurement split after
each fold, and the accuracy on test after training anew as `pick` does. `report` replays the choice:
in each draw, every fold is validated on other parts, together as large as validation. What a rule
gains over LoRA in every block is that of the final trainings, so it does not profit from the luck
of those that were compared.

    python experiments/margins.py measure
    python experiments/margins.py report
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from direct import Direct, plan_pick
from race_designs import scores
from rate_seeds import BACKBONE, EPOCHS, TASKS

from autoplace.agent import Progress
from autoplace.agent.steps._choose import CLEARLY, Contender, order
from autoplace.agent.steps._contest import Organiser
from autoplace.agent.steps._rounds import Rounds
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import (
    Deadline,
    Epoch,
    Outcome,
    Task,
    Trial,
    metric_by_image,
    predict_split,
    trained_model,
)
from predictors.vocabulary import LOG_LOSS, Role, Status

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import two_steps
from machine import describe_machine
from refits import collapse_limits, refit_accuracies

CELLS = [f"{name}:{seed}" for seed in (0, 1) for name in TASKS]  # task and sample of images
PART, VAL = 50, 200  # images
REFITS, DRAWS = 2, 200
METRIC = "accuracy"
NEVER = 1000.0  # standard errors: more than any lead
# Of the loss and of the accuracy.
ERRORS = (
    (NEVER, 0.5), (NEVER, 1.0), (NEVER, 1.5), (NEVER, 2.0), (1.0, NEVER), (2.0, NEVER),
    (1.0, 1.0), (1.0, 2.0), (2.0, 2.0),
)  # fmt: skip


class Search(Organiser):
    """A contest that ends with the choice."""

    def _refit(self, seeds: int) -> None:
        pass


def run_cell(cell: str) -> dict[str, Any]:
    """Run a pick up to the choice; return what its contenders reach."""
    name, seed = cell.split(":")
    settings = PickSettings(epochs=EPOCHS, backbone=BACKBONE, precision="float32", seed=int(seed))
    plan, task = plan_pick(name, settings)
    rounds = cast(Rounds, Direct(task, settings))
    contest = Search(
        task, plan.entrants, settings, rounds, Deadline(), 1.0, lambda: 0.0, Progress(),
        lambda _, decide: decide(),
    ).run()  # fmt: skip
    rates = {kind: found.rate for kind, found in contest.rates.items()}
    limits = collapse_limits(task, rates, range(int(seed), int(seed) + REFITS), settings)
    return {
        "task": cell,
        "rates": rates,
        "contenders": [
            {
                "placement": str(each.placement),
                "role": str(each.role),
                "chosen_by": each.outcomes[0].trial.chosen_by,
                "prior": each.prior,
                "val": [[o.val.accuracy, o.val.loss] for o in each.outcomes],
                "folds": [on_parts(task, outcome) for outcome in each.outcomes],
                "test": refit_accuracies(task, each.placement, rates, limits, settings),
            }
            for each in contest.contenders
        ],
        **describe_machine(),
    }


def on_parts(task: Task, outcome: Outcome) -> list[list[float]]:
    """Return loss and accuracy on each part of the measurement split."""
    logits, labels = predict_split(task, trained_model(task, outcome), "measurement")
    losses, hits = (metric_by_image(each, labels, logits) for each in (LOG_LOSS, METRIC))
    parts = [slice(k, k + PART) for k in range(0, len(labels) - PART + 1, PART)]
    return [[round(float(each[k].mean()), 5) for each in (-losses, hits)] for k in parts]


@dataclass(frozen=True)
class Replayed(Contender):
    """A contender of the records.

    `by_image`, whose metric is accuracy, and `losses` are of parts of the measurement split, scaled
    as if they were of images.
    """

    losses: np.ndarray | None = None


@dataclass(frozen=True)
class Rule:
    """Who wins instead of the best on validation.

    Attributes
    ----------
    incumbents : tuple of Role
        Baselines that win if no other is clearly ahead of them; of several, the one with the best
        score.
    loss, accuracy : float
        Standard errors by which another must be ahead in the loss, or in the accuracy; `NEVER`
        if a lead in it does not count.
    best_only : bool
        Whether only the best by score can beat them; else each whose score is better than theirs.
    """

    incumbents: tuple[Role, ...] = ()
    loss: float = NEVER
    accuracy: float = NEVER
    best_only: bool = False

    def choose(self, contenders: Sequence[Replayed]) -> Replayed:
        """Return the winner."""
        unknown = [replace(each, by_image=None) for each in contenders]
        ranked = [each for each, _ in order(unknown, METRIC)]
        known = {each.placement: each for each in contenders}
        best = known[ranked[0].placement]
        head = next(each for each in contenders if not len(each.placement))
        usual = [each for each in contenders if each.role in self.incumbents]
        usual = [each for each in usual if not each.is_worse(head, METRIC)]
        if not len(best.placement) or not usual:
            return best
        in_order = [known[each.placement] for each in ranked if len(each.placement)]
        first = next(k for k, each in enumerate(in_order) if each in usual)
        better = in_order[: 1 if self.best_only else max(first, 1)]
        clear = (each for each in better if not self.is_near(in_order[first], each))
        return next(clear, in_order[first])

    def is_near(self, contender: Replayed, better: Replayed) -> bool:
        """Whether a better one is not clearly ahead."""
        root = np.sqrt(len(contender.losses) * len(contender.outcomes))
        loss = (contender.losses - better.losses).std() / root
        accuracy = (contender.by_image - better.by_image).std() / root
        return bool(
            contender.loss - better.loss <= self.loss * loss
            and better.metric(METRIC) - contender.metric(METRIC) <= self.accuracy * accuracy
        )


INCUMBENTS = ((Role.LORA,), (Role.EVERY_BLOCK, Role.LORA))
IN_USE = Rule(INCUMBENTS[0], NEVER, CLEARLY)
RULES = [
    Rule(),
    *(Rule(roles, *errors) for roles in INCUMBENTS for errors in ERRORS),
    replace(IN_USE, best_only=True),
]


def replay(row: dict[str, Any]) -> pd.DataFrame:
    """Return what each rule gains over LoRA in points in each draw, and who wins."""
    rng = np.random.default_rng(0)
    test = {each["placement"]: 100 * float(np.mean(each["test"])) for each in row["contenders"]}
    (lora,) = (each["placement"] for each in row["contenders"] if each["role"] == Role.LORA)
    parts = np.array([each["folds"] for each in row["contenders"]])  # contender, fold, part, score
    found = []
    for _ in range(DRAWS):
        drawn = rng.permutation(parts.shape[2])[: parts.shape[1] * (VAL // PART)]
        folds = drawn.reshape(parts.shape[1], -1)
        contenders = [
            contender(each, own, folds) for each, own in zip(row["contenders"], parts, strict=True)
        ]
        for number, rule in enumerate(RULES):
            winner = rule.choose(contenders)
            found.append({"rule": number, "gain": test[str(winner.placement)] - test[lora],
                          "winner": str(winner.role)})  # fmt: skip
    return pd.DataFrame(found)


def contender(row: dict[str, Any], parts: np.ndarray, folds: np.ndarray) -> Replayed:
    """Make a contender that was validated on some parts of the measurement split.

    Parameters
    ----------
    row : dict
        What was recorded of it.
    parts : ndarray (folds, parts, 2)
        Its losses and accuracies.
    folds : ndarray (folds, count)
        Which of the parts each fold is validated on.
    """
    trial = Trial(Placement.parse(row["placement"]), 0, Role(row["role"]), row["chosen_by"])
    outcomes = []
    for own, drawn in zip(parts, folds, strict=True):
        loss, accuracy = own[drawn].mean(axis=0)
        val = scores((accuracy, loss))
        outcomes.append(Outcome(trial, 0, status=Status.DONE, epochs=[Epoch(trial, 1, 0.0, val)]))
    # Parts of images vary less than images; scaled so that standard errors are those of one fold.
    scale = np.sqrt(parts.shape[1] * PART / VAL)
    losses, hits = scale * parts[0].T
    return Replayed(outcomes, row["prior"], hits, losses)


def report(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what each rule gains, over all tasks and on each."""
    assert IN_USE in RULES, "another is in use"
    drawn = pd.concat([replay(row).assign(task=row["task"]) for row in rows])
    gains = drawn.groupby(["rule", "task"])["gain"].mean().unstack()
    above = gains.sub(gains.loc[RULES.index(Rule())], axis=1)  # gains over no margin
    shares = drawn.groupby("rule")["winner"].value_counts(normalize=True).unstack(fill_value=0)
    rules = [
        {
            **asdict(rule),
            "gain": round(float(gains.loc[number].mean()), 2),
            "error": round(float(gains.loc[number].sem()), 2),
            "worst": round(float(gains.loc[number].min()), 2),
            "more than without": round(float(above.loc[number].mean()), 2),
            "error of that": round(float(above.loc[number].sem()), 2),
            "by_task": gains.loc[number].round(2).to_dict(),
            "winners": shares.loc[number].round(2).to_dict(),
        }
        for number, rule in enumerate(RULES)
    ]
    return {
        "draws": DRAWS,
        "epochs": EPOCHS,
        "refits": REFITS,
        "test": {
            row["task"]: {
                f"{each['role']} {each['placement']}": round(100 * float(np.mean(each["test"])), 1)
                for each in row["contenders"]
            }
            for row in rows
        },
        "rules": rules,
        **{key: rows[0][key] for key in describe_machine()},
    }


if __name__ == "__main__":
    two_steps.run_tasks("margins", __doc__.splitlines()[0], CELLS, run_cell, report, "rules")
