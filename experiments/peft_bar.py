"""Compare `pick` with PEFT's own LoRA on one task of each of eight families.

LoRA is PEFT's own, around timm's model, on `qkv` of every block, with as many parameters as a
placement of `pick` may have. It is trained by a loop that does what autoplace's does. Both sides
find their learning rate by the same rule on the same validation images, start from the same head,
see the same images in the same order for the same number of epochs, are trained on training and
validation images for the test, and are scored with the same seeds. The predictor of `pick` has seen
no task of the family. `measure` appends a line for each task; a task that is there is not run
again. `repeat` trains the winner, `pick`'s own LoRA and PEFT's with six further seeds, at the rates
found, because three leave too much to chance.

    python experiments/peft_bar.py measure --epochs 6
    python experiments/peft_bar.py repeat
    python experiments/peft_bar.py report
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
from scipy import stats
from torch.nn import functional

import autoplace
from autoplace.agent import PickResult, Progress, open_task
from autoplace.agent.steps._rate_grid import (
    START,
    best_rate,
    following,
    is_worse,
    short_epochs,
)
from autoplace.agent.steps._refit import lowered
from autoplace.agent.steps._space import search_space
from autoplace.placement import Placement
from autoplace.settings import PickSettings
from autoplace.training import (
    BETAS,
    Images,
    Scores,
    Task,
    Trial,
    WarmUpAndCosine,
    run_trials,
    score,
    split_rows,
)

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from left_out import predictor_without
from machine import describe_machine
from refits import collapse_limits, refit_accuracies

RESULTS = Path(__file__).parent / "results"
# One task of each of eight families.
TASKS = (
    "digits", "fashion-same", "fonts-letters", "emoji-groups", "icons-topics", "charts-kinds",
    "spheres-depth", "cells-density",
)  # fmt: skip
BATCH = 256
SEEDS_IN_ALL = 9  # of `measure` and `repeat` together
FAR, SWAPPED = 1.25, "lora at PEFT's rate"
MACHINE = {key: value for key, value in describe_machine().items() if key in ("device", "versions")}


class PeftTrainer:
    """Trains PEFT's LoRA on a task.

    Parameters
    ----------
    task : Task
        Data and backbone.
    rank : int
        Rank of the factors.
    settings : PickSettings
        Batch size and weight decay.
    """

    def __init__(self, task: Task, rank: int, settings: PickSettings) -> None:
        self._task = task
        self._rank = rank
        self._settings = settings
        fit = task.data.fit.load(np.arange(len(task.data.fit)))
        self._images, self._labels = fit.images.to(task.device), fit.labels.to(task.device)

    def train(
        self, images: Images, rate: float, epochs: int, seed: int
    ) -> tuple[torch.nn.Module, float]:
        """Train a new model on some images; return it with its loss in the last epoch."""
        rows = torch.from_numpy(split_rows(self._task, images).train)
        model = self._model(rows.numpy(), seed)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(
            trained, betas=BETAS, weight_decay=self._settings.weight_decay
        )
        size = self._settings.batch_size
        schedule = WarmUpAndCosine(epochs * -(-len(rows) // size))
        order, step = torch.Generator().manual_seed(seed), 0
        for _ in range(epochs):
            losses = []
            for batch in rows[torch.randperm(len(rows), generator=order)].split(size):
                loss = functional.cross_entropy(model(self._images[batch]), self._labels[batch])
                optimiser.zero_grad()
                loss.backward()
                for group in optimiser.param_groups:
                    group["lr"] = rate * schedule.factor(step)
                optimiser.step()
                losses.append(loss.item())
                step += 1
        return model.eval(), float(np.mean(losses))

    def find_rate(self, epochs: int, seed: int, head_only: Scores) -> float:
        """Find the learning rate as `pick` does, by the validation loss of short trials.

        `head_only` has what head-only reaches on validation.
        """
        val = self._task.rows("val")
        images, labels = self._images[val], self._labels[val].cpu().numpy()
        losses: dict[float, list[float]] = {}
        worse: set[float] = set()
        rates: tuple[float, ...] = START
        while rates:
            for rate in rates:
                model, _ = self.train(Images(), rate, short_epochs(epochs), seed)
                reached = score(predict(model, images).cpu().numpy(), labels)
                losses[rate] = [reached.loss if math.isfinite(reached.loss) else math.inf]
                if math.isfinite(reached.loss) and is_worse([reached], head_only, "accuracy"):
                    worse.add(rate)
            rates = following(losses, worse)
        return best_rate(losses, worse)

    def refit_accuracies(
        self, rate: float, epochs: int, limits: Mapping[int, float]
    ) -> list[float]:
        """Train on training and validation images with each seed; return accuracies on test.

        As in `pick`, a training that collapsed is run again at a lower rate, and the lower training
        loss of the two counts. `limits` has the seeds, and what `collapse_limits` returns.
        """
        test = self._task.data.test.load(np.arange(len(self._task.data.test)))
        images, values = test.images.to(self._task.device), []
        for seed, limit in limits.items():
            model, loss = self.train(Images("all"), rate, epochs, seed)
            if not loss <= limit:  # NaN, too
                other, other_loss = self.train(Images("all"), lowered(rate), epochs, seed)
                model = model if loss <= other_loss else other
            logits = predict(model, images).cpu().numpy()
            values.append(score(logits, test.labels.numpy()).accuracy)
        return values

    def _model(self, rows: np.ndarray, seed: int) -> torch.nn.Module:
        head = self._task.first_head(rows)
        model = copy.deepcopy(self._task.chain.model)
        model.reset_classifier(len(self._task.data.classes))
        with torch.no_grad():
            model.head.weight.copy_(torch.from_numpy(head.weight))
            model.head.bias.copy_(torch.from_numpy(head.bias))
        torch.manual_seed(seed)
        config = peft.LoraConfig(target_modules=["qkv"], r=self._rank, modules_to_save=["head"])
        return peft.get_peft_model(model, config).to(self._task.device).train()


@torch.no_grad()
def predict(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return logits in evaluation mode."""
    model.eval()
    return torch.cat([model(part) for part in images.split(BATCH)])


def run_task(name: str, epochs: int, seeds: int, backbone: str) -> dict[str, Any]:
    """Run both sides on a task."""
    # In float32 on both sides, whatever the device could do.
    settings = PickSettings(epochs=epochs, backbone=backbone, precision="float32")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        picked = autoplace.pick(
            f"builtin:{name}", epochs=epochs, seeds=seeds, backbone=backbone,
            precision=settings.precision, store=f"sqlite:///{folder}/store.db",
            predictor=str(predictor_without(name, Path(folder) / "predictor")),
        )  # fmt: skip
        pick_seconds = time.perf_counter() - started
    task = open_task(f"builtin:{name}", settings, settings, Progress())
    space = search_space(task.chain, settings)
    assert space.lora is not None, "LoRA does not fit the parameter budget"
    rank = dict(space.lora.items[0][1].options)["r"]
    rates = {kind: found.rate for kind, found in picked.rates.items()}
    head_only = Trial(Placement(), 0, learning_rate=rates["head-only"])
    (outcome,) = run_trials(task, [head_only], settings)
    started = time.perf_counter()
    trainer = PeftTrainer(task, int(rank), settings)
    rate = trainer.find_rate(epochs, seed=0, head_only=outcome.val)
    limits = collapse_limits(task, rates, range(seeds), settings)
    values = trainer.refit_accuracies(rate, epochs, limits)
    return {
        "task": name, "backbone": backbone, "epochs": epochs, "peft_rank": rank,
        "peft_rate": rate, "peft": values, "peft_seconds": time.perf_counter() - started,
        "winner": list(picked.tested["winner"].values), "placement": str(picked.winner),
        "winner_role": str(picked.winner_role),
        "lora": list(picked.tested["winner" if picked.winner == space.lora else "lora"].values),
        "rates": rates,
        "baselines": {role: each.mean for role, each in picked.tested.items() if role != "winner"},
        "finalists": finalists_of(picked),
        "search_cost": picked.search_cost, "total_cost": picked.total_cost,
        "pick_seconds": pick_seconds, **MACHINE,
    }  # fmt: skip


def finalists_of(picked: PickResult) -> list[dict[str, Any]]:
    """Return what the contenders of the choice reached on validation, the winner first."""
    done = picked.ranking[picked.ranking["status"] == "done"]
    columns = ["placement", "role", "score", "val_metric", "val_loss"]
    return list(json.loads(done[columns].astype({"role": str}).to_json(orient="records")))


def repeat(row: dict[str, Any]) -> dict[str, list[float]]:
    """Train what a row compares with further seeds.

    Where the rates of both LoRAs are more than a factor of `FAR` apart, `pick`'s is also trained at
    PEFT's rate, which tells apart rate and code.
    """
    settings = PickSettings(epochs=row["epochs"], backbone=row["backbone"], precision="float32")
    task = open_task(f"builtin:{row['task']}", settings, settings, Progress())
    lora = search_space(task.chain, settings).lora
    assert lora is not None, "LoRA does not fit the parameter budget"
    rate, peft_rate = row["rates"]["lora"], row["peft_rate"]
    trainer = PeftTrainer(task, row["peft_rank"], settings)
    further = range(len(row["peft"]), SEEDS_IN_ALL)
    winner = Placement.parse(row["placement"])
    limits = collapse_limits(task, row["rates"], further, settings)
    own = refit_accuracies(task, lora, row["rates"], limits, settings)
    found = {
        "winner": own
        if winner == lora
        else refit_accuracies(task, winner, row["rates"], limits, settings),
        "lora": own,
        "peft": trainer.refit_accuracies(peft_rate, row["epochs"], limits),
    }
    if max(rate / peft_rate, peft_rate / rate) > FAR:
        found[SWAPPED] = refit_accuracies(task, lora, {"lora": peft_rate}, limits, settings)
    return found


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the differences in points with an interval over tasks."""
    differences = {row["task"]: difference(row, "winner") for row in rows}
    values = np.array([each["mean"] for each in differences.values()])
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error if len(values) > 1 else float("nan")
    return {
        "tasks": len(values),
        "epochs": rows[0]["epochs"],
        "mean_difference": round(float(values.mean()), 2),
        "interval": [round(float(values.mean()) + sign * half, 2) for sign in (-1, 1)],
        "median": round(float(np.median(values)), 2),
        "worst": round(float(values.min()), 2),
        "by_task": {
            row["task"]: {
                **{
                    side: round(float(np.mean(trainings(row, side))), 4)
                    for side in ("winner", "lora", "peft", SWAPPED)
                    if trainings(row, side)
                },
                "difference": differences[row["task"]],
                "difference of pick's own LoRA": difference(row, "lora"),
                "seeds": len(trainings(row, "peft")),
                "placement": row["placement"],
                "rates": {"lora": row["rates"]["lora"], "peft": row["peft_rate"]},
                "device": row["device"],
            }
            for row in rows
        },
        "versions": {row["device"]: row["versions"] for row in rows},
    }


def trainings(row: dict[str, Any], side: str) -> list[float]:
    """Return the test accuracies of a side."""
    return [*row.get(side, []), *row.get("further", {}).get(side, [])]


def difference(row: dict[str, Any], side: str) -> dict[str, float] | None:
    """Return how far a side is ahead of PEFT's, in points, with its standard error over seeds."""
    own, other = (100 * np.array(trainings(row, each)) for each in (side, "peft"))
    if not len(own):
        return None
    errors = [float(each.std(ddof=1) / np.sqrt(len(each))) for each in (own, other)]
    return {
        "mean": round(float(own.mean() - other.mean()), 2),
        "error": round(float(np.hypot(*errors)), 2),
    }


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "repeat", "report"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone", default="starter")
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--rows", type=Path, default=RESULTS / "peft_bar.jsonl")
    options = parser.parse_args()
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    rows = [json.loads(line) for line in lines]
    if options.what == "measure":
        for name in options.tasks:
            if any(row["task"] == name and row["epochs"] == options.epochs for row in rows):
                continue
            row = run_task(name, options.epochs, options.seeds, options.backbone)
            with options.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(report([row])["by_task"]), flush=True)
    elif options.what == "repeat":
        torch.set_num_threads(1)  # as trials side by side run on a CPU
        for row in rows:
            if "further" not in row and row["task"] in options.tasks:
                row["further"] = repeat(row)
                options.rows.write_text("".join(json.dumps(each) + "\n" for each in rows))
                print(json.dumps(report([row])["by_task"]), flush=True)
    else:
        document = report(rows)
        options.rows.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n")
        print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
