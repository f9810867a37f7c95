"""Check what MerA claims: merged adapters start a few-shot run better than those of one run.

One placement is trained on three source tasks. Its adapters then start few-shot runs on targets of
other families: merged by optimal transport, averaged, summed, those of each source alone, and new
ones. All have the same images and epochs, and each its own learning rate, found in the same way.
This is done twice: the sources start from the same initial adapters, as the winners of `pick` do,
or from other ones each, so that their units do not correspond from the start.

    python experiments/merge_few_shot.py measure
    python experiments/merge_few_shot.py report
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import two_steps
from adapter_claims import found_rate, placement_of

import autoplace
from autoplace.agent import Progress, open_task
from autoplace.agent.steps._space import search_space
from autoplace.model import AdaptedModel, save_adapted
from autoplace.settings import PickSettings
from autoplace.training import Trial, run_trials, trained_model

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from machine import describe_machine

RESULTS = Path(__file__).parent / "results"
ROWS, REPORT = RESULTS / "merge_few_shot.jsonl", RESULTS / "merge_few_shot.json"
SOURCES = ("shapes-count", "charts-kinds", "fashion-same")
TARGETS = ("textures-scales", "paths-number", "fonts-styles")
SHOTS = (5, 20)
# The seed of each source.
INITIAL = {"same": (0, 0, 0), "different": (0, 1, 2)}
SEEDS = 3
EPOCHS = 10


def train_sources(folder: Path, seeds: tuple[int, ...]) -> list[str]:
    """Train the placement on every source task, and return the folders of the models."""
    settings = PickSettings(epochs=EPOCHS, adapter="bottleneck")
    folders = []
    for name, seed in zip(SOURCES, seeds, strict=True):
        task = open_task(f"builtin:{name}", settings, settings, Progress())
        placement = placement_of(search_space(task.chain, settings).budget)
        rate = found_rate(task, placement, settings)
        (outcome,) = run_trials(task, [Trial(placement, seed, learning_rate=rate)], settings)
        model = trained_model(task, outcome)
        assert isinstance(model, AdaptedModel)
        save_adapted(model, folder / name, f"# {placement} trained on {name}")
        print(name, rate, outcome.val.accuracy, flush=True)
        folders.append(str(folder / name))
    return folders


def measure(path: Path) -> None:
    """Append a line for each way to start, target and number of shots that is not there yet."""
    lines = path.read_text().splitlines() if path.exists() else []
    known = {(row["initial"], row["target"], row["shots"]) for row in map(json.loads, lines)}
    for initial, seeds in INITIAL.items():
        settings = [(name, shots) for name in TARGETS for shots in SHOTS]
        left = [each for each in settings if (initial, *each) not in known]
        if not left:
            continue
        with tempfile.TemporaryDirectory() as folder:
            sources = train_sources(Path(folder), seeds)
            for name, shots in left:
                row = {"initial": initial} | few_shot(sources, name, shots, folder)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                means = {k: round(float(np.mean(v)), 4) for k, v in row["test"].items()}
                print(initial, name, shots, means, flush=True)


def few_shot(sources: list[str], name: str, shots: int, folder: str) -> dict[str, Any]:
    """Compare all starts on a target."""
    result = autoplace.merge(
        sources, f"builtin:{name}", shots=shots, seeds=SEEDS, epochs=EPOCHS,
        store=f"sqlite:///{folder}/mlflow.db",
    )  # fmt: skip
    names = {f"run {number}": source for number, source in enumerate(SOURCES, start=1)}
    return {
        "target": name,
        "shots": shots,
        "images": result.images,
        "rates": {names.get(s, s): found.rate for s, found in result.rates.items()},
        "test": {names.get(s, s): list(tested.values) for s, tested in result.tested.items()},
        "transport_minus": {names.get(s, s): vars(gap) for s, gap in result.differences.items()},
    }


def report(path: Path) -> dict[str, Any]:
    """Return mean and SD over seeds of every start; a source alone is the mean of the sources."""
    tables = {}
    for row in map(json.loads, path.read_text().splitlines()):
        tests = {name: np.array(values) for name, values in row["test"].items()}
        singles = np.stack([tests.pop(name) for name in SOURCES])
        tests |= {"mean source": singles.mean(0), "best source": singles[singles.mean(1).argmax()]}
        tables[f"{row['initial']}, {row['target']}, {row['shots']} per class"] = {
            name: {"mean": round(float(v.mean()), 4), "sd": round(float(v.std(ddof=1)), 4)}
            for name, v in tests.items()
        }
    return {"tables": tables, "seeds": SEEDS, "epochs": EPOCHS, **describe_machine()}


if __name__ == "__main__":
    two_steps.run(__doc__.splitlines()[0], measure, report, ROWS, REPORT, "tables")
