"""The learning rate for a backbone and a number of edges, chosen on data that is not reported."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class LearningRate:
    """A rate and where it comes from: `given`, `table`, or `untuned` for unknown backbones."""

    value: float
    source: str


def learning_rate(backbone: str, n_edges: int, given: float | None = None) -> LearningRate:
    """`given` where there is one, else the table's rate at the nearest number of edges.

    Numbers of edges are compared on a logarithmic scale. A backbone that was never tuned gets the
    starter's rates, marked `untuned`. The table is made by `experiments/learning_rates.py`.
    """
    if given is not None:
        return LearningRate(given, "given")
    table = _table()
    source = "table" if backbone in table else "untuned"
    rates = table.get(backbone, table["starter"])
    nearest = min(rates, key=lambda count: abs(math.log(max(n_edges, 1) / count)))
    return LearningRate(rates[nearest], source)


@cache
def _table() -> dict[str, dict[int, float]]:
    text = files("autoplace.training").joinpath("learning_rates.json").read_text("utf-8")
    return {
        backbone: {int(count): float(rate) for count, rate in rates.items()}
        for backbone, rates in json.loads(text)["rates"].items()
    }
