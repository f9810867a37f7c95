"""Compare P trials one after the other with P trials side by side.

Placements are single edges drawn uniformly, all with the same seed, on images decoded beforehand.
The caches are filled before anything is timed. The timed work is whole trials by `run_trials`, with
validation after each epoch. On a CPU, the losses of every step must agree within 1e-4 (relative),
or the benchmark fails. On a GPU, whose kernels round differently for other batches, the largest
difference is reported.

- `throughput_ratio`: seconds of the trials in turn over seconds side by side, by batch size.
- `operator_ratio`: operators dispatched by the trials in turn over those side by side, not counting
  views. Each operator is at least one kernel launch on a GPU. If launches take most of the time,
  this is about the possible gain. It can be counted without a GPU.

    python experiments/benchmarks/population.py --backbone saliency-vits14 --batch 16 64 --json
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch
from images import task_in_memory
from machine import describe_machine
from measuring import seconds
from subject import add_subject_options, describe_subject
from torch.utils._python_dispatch import TorchDispatchMode

from autoplace.backbones import create_chain
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.settings import InputSettings, PlacementSettings, TrialSettings
from autoplace.training import Task, Trial, run_trials

TOLERANCE = 1e-4


class Dispatched(TorchDispatchMode):
    """Counts the operators that are dispatched while it is active and compute something."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def draw_trials(task: Task, options: argparse.Namespace, count: int) -> list[Trial]:
    """Draw distinct single edges, uniformly from all n²."""
    n_nodes = task.chain.n_nodes
    drawn = np.random.default_rng(options.seed).choice(n_nodes**2, count, replace=False)
    spec = AdapterSpec.of(options.adapter, r=options.rank)
    edges = (Edge(*map(int, divmod(k, n_nodes))) for k in drawn)
    return [
        Trial(Placement.of([edge], spec), options.seed, learning_rate=options.lr) for edge in edges
    ]


def losses(results: list[Any]) -> np.ndarray:
    """Return losses (trials, steps). Raises SystemExit if a trial failed."""
    if not all(result.is_done for result in results):
        raise SystemExit(f"a trial failed: {results}")
    return np.array([result.step_losses for result in results])


def compare(task: Task, options: argparse.Namespace, batch: int, count: int) -> dict[str, Any]:
    """Run both ways with `count` placements; raises SystemExit if losses differ on a CPU."""
    settings = TrialSettings(epochs=options.epochs, batch_size=batch)
    trials = draw_trials(task, options, count)
    found: dict[str, np.ndarray] = {}

    def together() -> None:
        found["together"] = losses(run_trials(task, trials, settings))

    def in_turn() -> None:
        found["in turn"] = losses([run_trials(task, [trial], settings)[0] for trial in trials])

    together()  # fills the cache and does the work of a first call
    ratios, took = [], []
    for _ in range(options.repeats):
        one, other = seconds(in_turn), seconds(together)
        ratios.append(one / other)
        took.append({"in_turn": round(one, 4), "together": round(other, 4)})
    operators = {}
    for name, action in (("in_turn", in_turn), ("together", together)):
        with Dispatched() as dispatched:
            action()
        operators[name] = dispatched.count
    difference = float(np.abs(found["together"] / found["in turn"] - 1).max())
    if task.device.type == "cpu" and not difference <= TOLERANCE:
        raise SystemExit(f"losses differ by {difference:.1e}, more than {TOLERANCE:g} relative")
    return {
        "placements": count,
        "batch": batch,
        "throughput_ratio": round(float(np.median(ratios)), 3),
        "operator_ratio": round(operators["in_turn"] / operators["together"], 3),
        "seconds": took,
        "operators": operators,
        "largest_loss_difference": difference,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the benchmark's document; its ratios are for the most placements, by batch size."""
    where = describe_machine()
    torch.manual_seed(options.seed)
    chain = create_chain(options.backbone, pretrained=options.pretrained)
    inputs = InputSettings(cache_gb=options.cache_gb, precision=options.precision)
    task = task_in_memory(options.data, chain, options.images, options.seed, inputs)
    runs = [
        compare(task, options, batch, count)
        for batch in options.batch
        for count in options.placements
    ]
    most = max(options.placements)
    at_most = [run for run in runs if run["placements"] == most]
    return {
        **{
            ratio: {str(run["batch"]): run[ratio] for run in at_most}
            for ratio in ("throughput_ratio", "operator_ratio")
        },
        "largest_loss_difference": max(run["largest_loss_difference"] for run in runs),
        **describe_subject(chain, options),
        "epochs": options.epochs,
        "precision": task.precision,
        "adapter": str(AdapterSpec.of(options.adapter, r=options.rank)),
        "lr": options.lr,
        "runs": runs,
        **where,
    }


def render(report: dict[str, Any]) -> str:
    """Render a short report for people."""
    lines = [
        f"{run['placements']} placements of {report['model']} side by side, batches of "
        f"{run['batch']}: {run['throughput_ratio']:.2f} times the trials a second, "
        f"1/{run['operator_ratio']:.1f} of the operators"
        for run in report["runs"]
    ]
    lines.append(
        f"(losses differ by {report['largest_loss_difference']:.0e} at most; "
        f"{report['images']} images, {report['epochs']} epochs; {report['device']})"
    )
    return "\n".join(lines)


def main() -> None:
    """Parse options and run."""
    adapter = PlacementSettings()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_subject_options(parser, images=128)
    parser.add_argument("--placements", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--adapter", default="bottleneck")
    parser.add_argument("--rank", type=int, default=adapter.rank)
    parser.add_argument("--precision", default="float32", help="or tf32, bf16, auto")
    parser.add_argument("--cache-gb", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    report = measure(options)
    print(json.dumps(report, indent=2) if options.json else render(report))


if __name__ == "__main__":
    main()
