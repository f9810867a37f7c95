"""Optimal transport between the hidden units of two adapters."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

Solver = Literal["exact", "sinkhorn"]

# Of Sinkhorn: the entropy's weight, where the largest cost is 1, and when to stop.
_REGULARISATION, _ITERATIONS, _TOLERANCE = 1e-2, 10_000, 1e-9


def transport_plan(cost: np.ndarray, solver: Solver = "exact") -> np.ndarray:
    """Move units to units at the lowest cost; each unit of a side has the same mass.

    Parameters
    ----------
    cost : ndarray of shape (units, anchor_units)
        Cost of moving the mass of each unit to each anchor unit.
    solver : {"exact", "sinkhorn"}, default="exact"
        `exact` finds the best plan; with equal numbers of units it is a permutation. `sinkhorn`
        adds the plan's entropy, on costs that are scaled to at most 1 by their logarithm.

    Returns
    -------
    ndarray of shape (units, anchor_units)
        The plan: rows sum to 1 / units, columns to 1 / anchor_units.

    Examples
    --------
    >>> transport_plan(np.array([[5.0, 1.0], [1.0, 5.0]]))
    array([[0. , 0.5],
           [0.5, 0. ]])
    >>> transport_plan(np.array([[0.0, 1.0], [0.0, 1.0], [9.0, 0.0]])).sum(0)
    array([0.5, 0.5])
    """
    units, anchors = cost.shape
    if solver == "exact" and units == anchors:
        plan = np.zeros_like(cost)
        plan[linear_sum_assignment(cost)] = 1 / units
        return plan
    import ot  # here, because it takes seconds to import

    rows, columns = np.full(units, 1 / units), np.full(anchors, 1 / anchors)
    if solver == "exact":
        exact: np.ndarray = ot.emd(rows, columns, cost)
        return exact
    scaled = np.log1p(cost)
    scaled /= scaled.max() or 1.0
    plan = ot.sinkhorn(
        rows,
        columns,
        scaled,
        _REGULARISATION,
        method="sinkhorn_log",
        numItermax=_ITERATIONS,
        stopThr=_TOLERANCE,
        warn=False,
    )
    return _rounded(plan, rows, columns)


def _rounded(plan: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Make the sums of a plan exact (Altschuler et al. 2017, arXiv 1705.09634, algorithm 2)."""
    plan = plan * np.minimum(1, rows / plan.sum(1))[:, None]
    plan = plan * np.minimum(1, columns / plan.sum(0))
    # Rounding may leave less than nothing.
    missing_rows = np.maximum(rows - plan.sum(1), 0)
    missing_columns = np.maximum(columns - plan.sum(0), 0)
    missing = missing_rows.sum()
    if missing > 0:
        plan = plan + np.outer(missing_rows, missing_columns) / missing
    return plan
