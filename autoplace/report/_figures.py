"""Figures from tables: heat maps of a probe, and predicted against measured gains."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

TITLES = {
    "gradient_rank": "gradient rank",
    "stable_rank": "stable rank",
    "log_frobenius_norm": "log10 of the gradient's norm",
    "snr": "signal-to-noise",
    "predicted": "predicted gain over head-only",
}


def probe_heat_maps(edges: pd.DataFrame) -> Figure:
    """Draw one n x n map for each statistic of a probe, with sources down and targets across.

    Parameters
    ----------
    edges : DataFrame
        The probe's table of edges. If it has a column `predicted`, there is one more map.

    Returns
    -------
    Figure
        A matplotlib figure; save it with `savefig`.

    Examples
    --------
    >>> import pandas as pd
    >>> edges = pd.DataFrame({"source": [0, 0, 1, 1], "target": [0, 1, 0, 1]})
    >>> statistics = ["gradient_rank", "stable_rank", "frobenius_norm", "snr"]
    >>> figure = probe_heat_maps(edges.assign(**dict.fromkeys(statistics, 1.0)))
    >>> [axis.get_title() for axis in figure.axes if axis.get_title()]
    ['gradient rank', 'stable rank', "log10 of the gradient's norm", 'signal-to-noise']
    """
    table = edges.assign(log_frobenius_norm=np.log10(edges["frobenius_norm"].clip(lower=1e-30)))
    columns = [column for column in TITLES if column in table]
    figure = Figure(figsize=(4.4 * len(columns), 4.2), layout="constrained")
    for axis, column in zip(
        figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True
    ):
        grid = table.pivot(index="source", columns="target", values=column).to_numpy(float)
        image = axis.imshow(grid, cmap="viridis", origin="upper")
        axis.plot([-0.5, len(grid) - 0.5], [-0.5, len(grid) - 0.5], color="white", lw=0.6)
        axis.set(title=TITLES[column], xlabel="target node", ylabel="source node")
        figure.colorbar(image, ax=axis, shrink=0.8)
    figure.suptitle("Every edge of the backbone (below the diagonal: recurrent)")
    return figure


def predicted_versus_measured(ranking: pd.DataFrame, metric: str) -> Figure:
    """Draw predicted against measured gains over head-only.

    Parameters
    ----------
    ranking : DataFrame
        Columns `placement`, `role`, `predicted` and `gain`; rows without a prediction or a gain
        are left out.
    metric : str
        Name of the metric, for the labels of the axes.

    Returns
    -------
    Figure
        A matplotlib figure; save it with `savefig`.

    Examples
    --------
    >>> import pandas as pd
    >>> ranking = pd.DataFrame(
    ...     {"placement": ["7>3"], "role": ["candidate"], "predicted": [0.02], "gain": [0.03]}
    ... )
    >>> figure = predicted_versus_measured(ranking, "accuracy")
    >>> figure.axes[0].get_xlabel()
    'predicted gain in accuracy'
    """
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    axis = figure.subplots()
    shown = ranking.dropna(subset=["predicted", "gain"])
    for role, rows in shown.groupby("role"):
        axis.scatter(rows["predicted"], rows["gain"], label=role)
    for placement, x, y in shown[["placement", "predicted", "gain"]].to_numpy().tolist():
        label = placement if len(placement) < 28 else placement[:25] + "…"
        axis.annotate(label, (x, y), fontsize=6, xytext=(3, 3), textcoords="offset points")
    axis.margins(x=0.25)  # room for the labels
    axis.axline((0, 0), slope=1, color="grey", lw=0.8, ls="--")
    axis.set(
        xlabel=f"predicted gain in {metric}",
        ylabel=f"measured gain in validation {metric}",
        title="Predicted and measured gain over head-only",
    )
    if len(shown):
        axis.legend()
    return figure
