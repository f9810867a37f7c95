"""Compare designs of the search at their cost: field, rungs, finalists, folds, and the margin.

`measure` trains the whole field of a pick to the end on each task, and the baselines with it, and
records validation after every epoch, what each reaches on test, and its scores on parts of the
measurement split as large as validation. `report` replays designs on these records: which
candidates would have stayed, which would have won, and what that gains over LoRA in every block. In
each draw, a field of the design's size is drawn from the candidates; a design with all of them has
one race for each task.

A part of the measurement split stands for a further fold. It has other images, but not another
training. What the winner gains is that of the training which was compared, with its luck; a pick
trains the winner anew for the test. The tasks are of families that are not in the comparison with
PEFT's LoRA, and the predictor has seen no task of the family.

    python experiments/race_designs.py measure
    python experiments/race_designs.py report
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from direct import Direct, plan_pick

from autoplace.agent.steps._choose import Contender, order
from autoplace.agent.steps._race import Rung, keep_kinds, plan_rungs, rank
from autoplace.agent.steps._rates import find_rates, with_rates
from autoplace.agent.steps._rounds import Rounds
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import (
    Epoch,
    Outcome,
    Scores,
    Task,
    Trial,
    predict_split,
    score,
    trained_model,
)
from predictors.vocabulary import Role, Status

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import two_steps
from machine import describe_machine

TASKS = ("textures-scales", "paths-number", "shapes-orientation", "shapes-location")
EPOCHS, BACKBONE, PART, N_TEST = 6, "starter", 200, 2000
DRAWS = 200


def run_task(name: str) -> dict[str, Any]:
    """Train the field and the baselines of a task to the end."""
    settings = PickSettings(epochs=EPOCHS, backbone=BACKBONE, precision="float32")
    plan, task = plan_pick(name, settings)
    direct, entrants = Direct(task, settings), plan.entrants
    rounds = cast(Rounds, direct)
    head = find_rates(rounds, {"head-only": [Placement()]}, settings, seed=0)[0]["head-only"]
    head_only = replace(entrants.head_only, learning_rate=head.rate)
    done = direct.run("Head-only", [head_only])
    asked = {kind: entrants.references_of(kind) for kind in entrants.kinds}
    found, errors = find_rates(rounds, asked, settings, seed=0)
    assert not errors, errors
    through = list(entrants.may_win)
    through += [
        t for t in entrants.favourite(found) if t.placement not in {b.placement for b in through}
    ]
    settled = {trial.placement for trial in through}
    field = [trial for trial in entrants.field if trial.placement not in settled]
    rates = {kind: search.rate for kind, search in found.items()}
    trials = [with_rates(trial, rates) for trial in (*through, *field)]
    outcomes = [*done, *direct.run("All to the end", trials)]
    return {
        "task": name,
        "rates": rates,
        "trials": [trial_row(task, outcome, entrants.prior(outcome.placement))
                   for outcome in outcomes if outcome.is_done],
        **describe_machine(),
    }  # fmt: skip


def trial_row(task: Task, outcome: Outcome, prior: float) -> dict[str, Any]:
    """Return what a trial reached, as JSON values."""
    model = trained_model(task, outcome)
    logits, labels = predict_split(task, model, "measurement")
    parts = range(0, len(labels) - PART + 1, PART)
    return {
        "placement": str(outcome.placement),
        "role": str(outcome.trial.role),
        "chosen_by": outcome.trial.chosen_by,
        "prior": prior,
        "val": [[e.val.accuracy, e.val.loss] for e in outcome.epochs if e.val is not None],
        "parts": [
            [each.accuracy, each.loss]
            for each in (score(logits[k : k + PART], labels[k : k + PART]) for k in parts)
        ],
        "test": score(*predict_split(task, model, "test")).accuracy,
    }


@dataclass(frozen=True)
class Design:
    """A design of the search.

    Attributes
    ----------
    field : int
        Candidates that start.
    top_k : int
        Candidates that are trained to the end.
    rungs : tuple of int
        Epochs after which candidates drop out, by the same factor each time.
    second_fold : int
        Contenders that are compared on a second fold, the best on the first: 0 for none, -1 for
        all of them.
    margin : bool
        Whether LoRA in every block wins unless the best is clearly ahead in the metric.
    """

    field: int
    top_k: int
    rungs: tuple[int, ...] = ()
    second_fold: int = 0
    margin: bool = True

    def plan(self) -> list[Rung]:
        """Return the rungs."""
        count, ratio = len(self.rungs), self.top_k / self.field
        sizes = (
            [round(self.field * ratio ** (k / count)) for k in range(count + 1)] if count else []
        )
        return [
            Rung(epoch, started, kept)
            for epoch, started, kept in zip(self.rungs, sizes[:-1], sizes[1:], strict=True)
        ]


IN_USE = Design(24, 2, (1, 2), -1)
DESIGNS = [
    replace(design, margin=margin)
    for design in (
        IN_USE,
        *(replace(IN_USE, second_fold=count) for count in (0, 3)),
        *(Design(24, top_k, (1,)) for top_k in (2, 8)),
        *(Design(24, top_k, (3,)) for top_k in (2, 8)),
        *(Design(each, each) for each in (2, 4, 8, 12, 24)),
        Design(24, 24, second_fold=-1),
    )
    for margin in (True, False)
]


@dataclass(frozen=True)
class Trained:
    """A trial of the records.

    Attributes
    ----------
    outcome : Outcome
        With its validation after every epoch.
    prior : float
        Predicted gain over head-only.
    parts : list of Scores
        On the parts of the measurement split.
    test : float
        Accuracy on test.
    """

    outcome: Outcome
    prior: float
    parts: list[Scores]
    test: float

    @classmethod
    def of(cls, row: dict[str, Any]) -> Trained:
        """Read a trial."""
        trial = Trial(Placement.parse(row["placement"]), 0, Role(row["role"]), row["chosen_by"])
        epochs = [Epoch(trial, n, 0.0, scores(v)) for n, v in enumerate(row["val"], start=1)]
        outcome = Outcome(trial, parameters=0, status=Status.DONE, epochs=epochs)
        return cls(outcome, row["prior"], [scores(each) for each in row["parts"]], row["test"])

    def after(self, epoch: int) -> Outcome:
        """Return the outcome as it was after so many epochs."""
        return replace(self.outcome, epochs=self.outcome.epochs[:epoch])

    def truth(self, part: int) -> float:
        """Return the accuracy over all images of test and of all parts but one."""
        others = [each.accuracy for number, each in enumerate(self.parts) if number != part]
        weights = [N_TEST] + [PART] * len(others)
        return float(np.average([self.test, *others], weights=weights))

    @property
    def by_image(self) -> np.ndarray:
        """Hits whose standard errors are those over as many images as validation has.

        Images were not recorded; so the errors are taken from the spread over the parts.
        """
        return np.sqrt(len(self.parts)) * np.array([each.accuracy for each in self.parts])

    def on_part(self, part: int) -> Outcome:
        """Return an outcome as if the part were a further fold."""
        trial = self.outcome.trial
        return replace(self.outcome, epochs=[Epoch(trial, EPOCHS, 0.0, self.parts[part])])


def scores(values: Sequence[float]) -> Scores:
    """Make scores of accuracy and loss; the other metrics are not used."""
    accuracy, loss = values
    return Scores(accuracy, accuracy, accuracy, loss)


def compete(
    design: Design, field: Sequence[Trained], baselines: Sequence[Trained], part: int
) -> tuple[Trained, float]:
    """Return the winner, and the cost of the search after the rates, in trainings."""
    known = {each.outcome.trial: each for each in (*field, *baselines)}
    left, epochs, before = list(field), 0, 0
    rungs = design.plan()
    for number, rung in enumerate(rungs, start=1):
        epochs += len(left) * (rung.epoch - before)
        before = rung.epoch
        ranked = rank([each.after(rung.epoch) for each in left], "accuracy")
        last = number == len(rungs)
        kept = ranked[: rung.kept] if last else keep_kinds(ranked, rung.kept)
        left = [known[outcome.trial] for outcome in kept]
    epochs += len(left) * (EPOCHS - before)
    trained = [*baselines, *left]
    finals = [
        Contender([each.outcome], each.prior, each.by_image if design.margin else None)
        for each in trained
    ]
    adapted = sum(bool(len(each.placement)) for each in finals)
    cost = epochs / EPOCHS + adapted - len(left)  # head-only costs next to nothing
    ranked_finals = order(finals, "accuracy")
    count = len(finals) if design.second_fold < 0 else design.second_fold
    if count:
        best = [contender for contender, _ in ranked_finals][:count]
        cost += sum(bool(len(each.placement)) for each in best)
        both = [
            replace(each, outcomes=[*each.outcomes, known[each.outcomes[0].trial].on_part(part)])
            for each in best
        ]
        ranked_finals = order(both, "accuracy")
    return known[ranked_finals[0][0].outcomes[0].trial], cost


def replay(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return gain over LoRA in points, and cost, of each design on each task."""
    found = []
    for row in rows:
        trained = [Trained.of(each) for each in row["trials"]]
        baselines = [t for t in trained if is_baseline(t)]
        (lora,) = (t for t in baselines if t.outcome.trial.role is Role.LORA)
        settled = {t.outcome.placement for t in baselines}
        field = [t for t in trained if not is_baseline(t) and t.outcome.placement not in settled]
        for design in DESIGNS:
            rng = np.random.default_rng(0)  # the same draws for every design
            for _ in range(DRAWS):
                drawn = rng.permutation(len(field))[: design.field]
                part = int(rng.integers(len(lora.parts)))
                winner, cost = compete(design, [field[k] for k in drawn], baselines, part)
                gain = 100 * (winner.truth(part) - lora.truth(part))
                found.append(
                    {**vars(design), "task": row["task"], "gain": gain, "cost": cost,
                     "baseline": is_baseline(winner)}
                )  # fmt: skip
    return pd.DataFrame(found)


def is_baseline(trained: Trained) -> bool:
    """Whether a trial reaches the finals without a race."""
    trial = trained.outcome.trial
    return trial.role is not Role.CANDIDATE or trial.chosen_by.startswith("everywhere:")


def report(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return every design with its cost and gain, the cheapest first."""
    assert IN_USE.plan() == plan_rungs(IN_USE.field, IN_USE.top_k, EPOCHS), "another is in use"
    by = list(vars(IN_USE))
    found = ["gain", "cost", "baseline"]
    tasks = replay(rows).groupby([*by, "task"], as_index=False)[found].mean()
    table = tasks.groupby(by)["gain"].agg(["mean", "sem", "min"]).round(2)
    table[found[1:]] = tasks.groupby(by)[found[1:]].mean().round(2)
    in_use = tasks.loc[(tasks[by] == pd.Series(vars(IN_USE))).all(axis=1)].set_index("task")["gain"]
    table["by_task"] = tasks.groupby(by).apply(
        lambda own: dict(zip(own["task"], own["gain"].round(2), strict=True))
    )
    table["against_in_use"] = tasks.groupby(by).apply(
        lambda own: paired(own.set_index("task")["gain"] - in_use)
    )
    table = table.sort_values("cost").reset_index()
    return {
        "tasks": [row["task"] for row in rows],
        "draws": DRAWS,
        "epochs": EPOCHS,
        "designs": table.rename(columns={"mean": "gain", "sem": "error", "min": "worst"}).to_dict(
            "records"
        ),
        **{key: rows[0][key] for key in describe_machine()},
    }


def paired(differences: pd.Series) -> list[float]:
    """Return mean and standard error over tasks."""
    return [round(float(differences.mean()), 2), round(float(differences.sem()), 2)]


if __name__ == "__main__":
    two_steps.run_tasks("race_designs", __doc__.splitlines()[0], TASKS, run_task, report, "designs")
