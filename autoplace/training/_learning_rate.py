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
    """A peak learning rate and where it comes from.

    Attributes
    ----------
    value : float
        The rate.
    source : str
        `given`, `table`, or `untuned` for a backbone that nobody tuned.

    Examples
    --------
    >>> LearningRate(1e-3, "given").value
    0.001
    """

    value: float
    source: str


def learning_rate(backbone: str, n_edges: int, given: float | None = None) -> LearningRate:
    """Learning rate for a backbone and a number of edges.

    Parameters
    ----------
    backbone : str
        Its name; one that was never tuned gets a cautious rate, marked `untuned`.
    n_edges : int
        0 for head-only. The table's nearest number of edges counts, on a logarithmic scale.
    given : float, optional
        Used as it is.

    Notes
    -----
    The table is made by `experiments/learning_rates.py`.

    Examples
    --------
    >>> learning_rate("starter", 6, given=0.01)
    LearningRate(value=0.01, source='given')
    >>> learning_rate("vit_base_patch16_224", 6).source
    'untuned'
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
