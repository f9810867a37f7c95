"""Measure how well a rate is found by short trials, and by short and whole ones.

LoRA has one reference, `qkv` of every block. `measure` trains it briefly at many rates with several
seeds, and to the end at some of them. `report` replays searches on these records. Short trials
alone: with one seed and with the mean loss of several, in steps of sqrt(10) (*coarse*), and with
two more rates half a step below and above the best (*half*). Then *whole*
trials around what one seed of short trials finds: at the nearest quarter power of ten and its
neighbours, further while the best is at an edge, and at last half a step beside the best; judged as
finalists are (*score*), or by loss or accuracy alone. Also *always* the same rate. *Lost* is the
accuracy at the best of the rates minus that at the rate found, in points. Both are accuracies on
the measurement split, mean over the seeds of the whole trainings. A rate that was not measured
counts as the nearest that was; *between* interpolates over the logarithm of the rate instead.
*Collapses* are the whole trainings that the refit would run again, by their training loss, and how
far they are behind the best rate, in points. Searches are replayed without the rule that a rate
must not be worse than head-only, because the accuracy of short trials is not recorded.

    python experiments/rate_seeds.py measure
    python experiments/rate_seeds.py report
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from autoplace.agent import Progress, open_task
from autoplace.agent.steps._race import validation_scores
from autoplace.agent.steps._rate_grid import (
    START,
    best_rate,
    extension,
    half_steps,
    short_epochs,
)
from autoplace.agent.steps._refit import training_loss
from autoplace.agent.steps._space import search_space
from autoplace.settings import PickSettings
from autoplace.training import Trial, predict_split, run_trials, score, trained_model
from predictors.vocabulary import Role

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import two_steps
from machine import describe_machine
from refits import fitted_head_loss, has_collapsed

TASKS = (
    "textures-scales", "paths-number", "shapes-orientation", "shapes-location", "shapes-count",
    "shapes-size",
)  # fmt: skip
EPOCHS, BACKBONE = 6, "starter"
GRID = (1e-3, 1.8e-3, 3.2e-3, 5.6e-3, 1e-2, 1.8e-2, 3.2e-2, 5.6e-2, 1e-1)
FINE = (
    1.8e-3, 3.2e-3, 5.6e-3, 7.5e-3, 1e-2, 1.35e-2, 1.8e-2, 2.4e-2, 3.2e-2, 4.2e-2, 5.6e-2,
)  # fmt: skip
SEEDS, WHOLE = 4, 3
IN_USE = "half, 1"  # steps and seeds
ALWAYS = 0.018
MOST = 5  # rates of whole trials before the two between
JUDGED_BY: dict[str, Callable[[float, float], tuple[float, float]]] = {
    "score": lambda accuracy, loss: (accuracy, loss),
    "loss": lambda accuracy, loss: (-loss, loss),
    "accuracy": lambda accuracy, loss: (accuracy, -accuracy),
}


def run_task(name: str) -> dict[str, Any]:
    """Train LoRA on a task, briefly with many seeds and to the end with a few."""
    settings = PickSettings(epochs=EPOCHS, backbone=BACKBONE, precision="float32")
    task = open_task(f"builtin:{name}", settings, settings, Progress(), measure=True)
    lora = search_space(task.chain, settings).lora
    assert lora is not None, "LoRA does not fit the parameter budget"
    brief = [
        Trial(lora, seed, Role.RATE, learning_rate=rate, epochs=short_epochs(EPOCHS))
        for rate in GRID
        for seed in range(SEEDS)
    ]
    whole = [Trial(lora, seed, learning_rate=rate) for rate in FINE for seed in range(WHOLE)]
    losses: dict[float, list[float]] = {rate: [] for rate in GRID}
    for outcome in run_trials(task, brief, settings):
        found = outcome.val.loss if outcome.is_done else math.inf
        losses[outcome.trial.learning_rate].append(found)
    accuracies: dict[float, list[float]] = {rate: [] for rate in FINE}
    trained: dict[float, list[float]] = {rate: [] for rate in FINE}
    validated: dict[float, list[list[float]]] = {rate: [] for rate in FINE}
    for outcome in run_trials(task, whole, settings):
        validated[outcome.trial.learning_rate].append([outcome.val.accuracy, outcome.val.loss])
        trained[outcome.trial.learning_rate].append(training_loss(outcome))
        model = trained_model(task, outcome)
        logits, labels = predict_split(task, model, "measurement")
        accuracies[outcome.trial.learning_rate].append(score(logits, labels).accuracy)
    return {
        "task": name,
        "losses": {str(rate): each for rate, each in losses.items()},
        "validated": {str(rate): each for rate, each in validated.items()},
        "accuracies": {str(rate): each for rate, each in accuracies.items()},
        "trained": {str(rate): each for rate, each in trained.items()},
        "head_only": fitted_head_loss(task, settings),
        **describe_machine(),
    }


def on_grid(rate: float, per_decade: int) -> float:
    """Return the nearest rate of a grid with so many rates to a factor of ten."""
    return float(f"{10 ** (round(per_decade * math.log10(rate)) / per_decade):.2g}")


def beside(rate: float, per_decade: int) -> tuple[float, float]:
    """Return the neighbours of a rate on a grid."""
    step = 10 ** (1 / per_decade)
    return on_grid(rate / step, per_decade), on_grid(rate * step, per_decade)


def next_whole_rates(
    tried: Sequence[float], scores: Mapping[float, tuple[float, float]]
) -> list[float]:
    """Return the rates that whole trials try next: beyond an edge, or between two, or none."""
    if any(rate != on_grid(rate, 4) for rate in tried):
        return []
    best = best_of(scores)
    beyond = [rate for rate in beside(best, 4) if rate not in tried]
    return beyond if beyond and len(tried) < MOST else list(beside(best, 8))


def best_of(scores: Mapping[float, tuple[float, float]]) -> float:
    """Choose a rate by metric and loss, as the winner is chosen among finalists."""
    rates = sorted(scores)
    metrics, losses = np.array([scores[rate] for rate in rates]).T
    return rates[int(validation_scores(metrics, losses).argmax())]


@dataclass(frozen=True)
class Records:
    """What was measured on a task.

    Attributes
    ----------
    losses : dict of float to ndarray (SEEDS,)
        Validation loss of short trials by rate.
    validated : dict of float to ndarray (seeds, 2)
        Accuracy and loss on validation of whole trials by rate.
    means : dict of float to float
        Accuracy on the measurement split in per cent, mean over seeds.
    """

    losses: dict[float, np.ndarray]
    validated: dict[float, np.ndarray]
    means: dict[float, float]

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """Read a row."""
        return cls(
            *({float(rate): np.array(each) for rate, each in row[name].items()}
              for name in ("losses", "validated")),
            {
                float(rate): 100 * float(np.mean(row["accuracies"][rate]))
                for rate in sorted(row["accuracies"], key=float)
            },
        )  # fmt: skip

    @property
    def seeds(self) -> int:
        """Seeds of whole trials."""
        return min(map(len, self.validated.values()))

    def lost(self, rate: float) -> float:
        """Return what a rate loses."""
        return max(self.means.values()) - self.means[self.nearest(rate, self.means)]

    def lost_between(self, rate: float) -> float:
        """Return what a rate loses, by interpolation."""
        logs = np.log10(list(self.means))
        return max(self.means.values()) - float(
            np.interp(np.log10(rate), logs, list(self.means.values()))
        )

    def nearest(self, rate: float, measured: Iterable[float]) -> float:
        """Return the nearest rate that was measured."""
        return min(measured, key=lambda each: abs(math.log(each / rate)))

    def short(self, seeds: Sequence[int], *, halves: bool) -> tuple[float, float]:
        """Search by short trials, as a run would; return the rate and the cost in trainings.

        It ends at the lowest rate that was measured.
        """
        tried: dict[float, list[float]] = {}
        rates = START
        while set(rates) & set(self.losses):
            tried |= {rate: [float(self.losses[rate][list(seeds)].mean())] for rate in rates}
            rates = extension(tried)
        if halves:
            halfway = set(half_steps(tried)) & set(self.losses)
            tried |= {rate: [float(self.losses[rate][list(seeds)].mean())] for rate in halfway}
        return best_rate(tried), len(tried) * len(seeds) * short_epochs(EPOCHS) / EPOCHS

    def whole(self, start: float, seed: int, judged_by: str) -> tuple[float, float]:
        """Search by whole trials; return the rate and the cost in trainings.

        Below the lowest rate that was measured, every training counts as failed.
        """
        tried: list[float] = []
        scores: dict[float, tuple[float, float]] = {}
        lowest = min(self.validated)
        middle = on_grid(max(start, lowest), 4)
        rates = [middle, *beside(middle, 4)]
        while rates:
            tried += rates
            for rate in rates:
                if rate >= lowest:
                    accuracy, loss = self.validated[self.nearest(rate, self.validated)][seed]
                    scores[rate] = JUDGED_BY[judged_by](accuracy, loss)
            rates = next_whole_rates(tried, scores)
        return best_of(scores), len(tried)

    def searches(self) -> dict[str, list[tuple[float, float]]]:
        """Return rate and cost of every search, by name."""
        found: dict[str, list[tuple[float, float]]] = {}
        for halves, count in itertools.product((False, True), (1, 2, 3)):
            found[f"{'half' if halves else 'coarse'}, {count}"] = [
                self.short(some, halves=halves)
                for some in itertools.combinations(range(SEEDS), count)
            ]
        for judged_by in JUDGED_BY:
            found[f"whole trials by {judged_by}"] = [
                (rate, before + cost)
                for start, before in found["coarse, 1"]
                for rate, cost in (self.whole(start, s, judged_by) for s in range(self.seeds))
            ]
        found[f"always {ALWAYS}"] = [(ALWAYS, 0.0)]
        return found


def collapses(row: dict[str, Any]) -> dict[str, list[float]]:
    """Return how far trainings are behind the best rate, collapsed or not, in points."""
    best = max(Records.of(row).means.values())
    found: dict[str, list[float]] = {"collapsed": [], "not collapsed": []}
    for rate, losses in row["trained"].items():
        for loss, accuracy in zip(losses, row["accuracies"][rate], strict=True):
            name = "collapsed" if has_collapsed(loss, row["head_only"]) else "not collapsed"
            found[name].append(round(best - 100 * accuracy, 1))
    return {name: sorted(behind) for name, behind in found.items()}


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what each search finds, costs and loses, by task and in the mean."""
    tables: dict[str, Any] = {}
    lost: dict[str, list[float]] = {}
    between: dict[str, list[float]] = {}
    for row in rows:
        records = Records.of(row)
        searches = {}
        for name, found in records.searches().items():
            rates = [rate for rate, _ in found]
            losses = [records.lost(rate) for rate in rates]
            lost.setdefault(name, []).append(float(np.mean(losses)))
            between.setdefault(name, []).append(
                float(np.mean([records.lost_between(rate) for rate in rates]))
            )
            searches[name] = {
                "lowest": min(rates),
                "highest": max(rates),
                "lost": round(float(np.mean(losses)), 2),
                "most lost": round(max(losses), 2),
                "lost between": round(between[name][-1], 2),
                "cost": round(float(np.mean([cost for _, cost in found])), 1),
            }
        tables[row["task"]] = {
            "searches": searches,
            "accuracies": {
                rate: (100 * np.array(each)).round(1).tolist()
                for rate, each in row["accuracies"].items()
            },
            "means": {rate: round(mean, 1) for rate, mean in records.means.items()},
            "collapses": collapses(row),
        }
    table = pd.DataFrame(lost)
    against, against_between = (
        each.sub(each[IN_USE], axis=0) for each in (table, pd.DataFrame(between))
    )
    costs = {
        name: float(np.mean([each["searches"][name]["cost"] for each in tables.values()]))
        for name in table
    }
    return {
        "epochs": EPOCHS,
        "backbone": BACKBONE,
        "tasks": tables,
        "mean lost": table.mean().round(2).to_dict(),
        "mean cost": {name: round(cost, 1) for name, cost in costs.items()},
        "more than in use, mean": against.mean().round(2).to_dict(),
        "more than in use, standard error": against.sem().round(2).to_dict(),
        "more than in use, between, mean": against_between.mean().round(2).to_dict(),
        "more than in use, between, standard error": against_between.sem().round(2).to_dict(),
        **{key: rows[0][key] for key in describe_machine()},
    }


if __name__ == "__main__":
    two_steps.run_tasks("rate_seeds", __doc__.splitlines()[0], TASKS, run_task, report, "tasks")
