"""How often the retrain gate promotes honest, useless and harmful new records.

The gate is replayed on the shipped log. Each family in turn provides the new records, and the
present predictor is trained on all others. Honest records are as measured. In useless records, the
gains are shuffled within each task; in harmful records, they are negated. The rule of the gate was
chosen with every other family, in alphabetical order, as the new one. The rates that count are
those of the remaining families. In both halves, all families are used to compare the two
predictors.

    python experiments/retrain_gate.py
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import predictors
from autoplace.agent import training_set

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from machine import describe_machine

RESULT = Path(__file__).parent / "results" / "retrain_gate.json"
SHUFFLES = {"chosen on": 2, "reported on": 4}


def shipped_rows() -> predictors.TrainingSet:
    """Return all rows of the shipped log."""
    log = predictors.read_log(predictors.shipped_log())
    done = log.trials[log.trials["status"] == predictors.Status.DONE].reset_index(drop=True)
    return training_set(done, log.probes.__getitem__)


def records(new: predictors.TrainingSet, number: int, half: str) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a family as each kind of record; number: of the family, for seeds."""
    yield "honest", new
    for shuffle in range(SHUFFLES[half]):
        rng = np.random.default_rng([shuffle, number])
        gains = new.gains.copy()
        for group in sorted(set(new.groups)):
            rows = np.flatnonzero(new.groups == group)
            gains[rows] = gains[rng.permutation(rows)]
        yield "useless", predictors.TrainingSet(new.X, gains, new.groups, new.families)
    negated = new.gains.copy()
    negated[:] = [{trial: -gain for trial, gain in each.items()} for each in new.gains]
    yield "harmful", predictors.TrainingSet(new.X, negated, new.groups, new.families)


def replay(data: predictors.TrainingSet) -> Iterator[dict[str, Any]]:
    """One decision per family and record, with which half of the families it belongs to."""
    for number, family in enumerate(sorted(set(data.families))):
        is_new = data.families == family
        half = "reported on" if number % 2 else "chosen on"
        present = data.select(~is_new)
        for kind, new in records(data.select(is_new), number, half):
            decision = predictors.gate(present, present.union(new))
            print(
                f"{family:9} {kind:8} {decision.promoted!s:5} {decision.difference:+.4f}",
                flush=True,
            )
            yield {
                "half": half,
                "family": family,
                "records": kind,
                "promoted": decision.promoted,
                "difference": round(decision.difference, 4),
                "low": round(decision.low, 4),
                "high": round(decision.high, 4),
            }


def main() -> None:
    """Replay, write the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    started = time.monotonic()
    cases = pd.DataFrame(replay(shipped_rows()))
    by = cases.groupby(["half", "records"])["promoted"]
    rates = by.agg(promoted="sum", cases="size", rate="mean").reset_index()
    machine = describe_machine()
    machine["versions"] |= {name: version(name) for name in ("lightgbm", "pandas", "scipy")}
    report = {
        "shuffles": SHUFFLES,
        "seeds": "numpy.random.default_rng([shuffle, number of the family])",
        "rates": rates.round(3).to_dict(orient="records"),
        "cases": cases.to_dict(orient="records"),
        "seconds": round(time.monotonic() - started, 1),
        **machine,
    }
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    print(rates.to_string(index=False))


if __name__ == "__main__":
    main()
