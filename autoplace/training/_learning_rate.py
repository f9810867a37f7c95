"""The learning rate for a backbone and a number of edges, chosen on data that is not reported."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

UNTUNED_RATE = 1e-3  # AdamW's usual rate; wide backbones diverge at what suits the starter


@dataclass(frozen=True)
class LearningRate:
    """A rate and where it comes from: `given`, `table`, or `untuned` for unknown backbones."""

    value: float
    source: str


def learning_rate(backbone: str, n_edges: int, given: float | None = None) -> LearningRate:
    """`given` where there is one, else the table's rate at the nearest number of edges.

    Numbers of edges are compared on a logarithmic scale. A backbone that was never tuned gets a
    cautious rate, marked `untuned`. The table is made by `experiments/learning_rates.py`.
    """
    if given is not None:
        return LearningRate(given, "given")
    rates = _table().get(backbone)
    if rates is None:
        return LearningRate(UNTUNED_RATE, "untuned")
    if n_edges == 0:
        return LearningRate(rates[0], "table")
    tuned = (count for count in rates if count)
    nearest = min(tuned, key=lambda count: abs(math.log(n_edges / count)))
    return LearningRate(rates[nearest], "table")


@cache
def _table() -> dict[str, dict[int, float]]:
    text = files("autoplace.training").joinpath("learning_rates.json").read_text("utf-8")
    return {
        backbone: {int(count): float(rate) for count, rate in rates.items()}
        for backbone, rates in json.loads(text)["rates"].items()
    }
