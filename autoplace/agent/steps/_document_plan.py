"""Log what a pick knows before training to its parent run: heat maps and candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from autoplace.agent.steps._propose import Candidate
from autoplace.agent.steps._record import Record
from autoplace.report import probe_heat_maps


def log_candidates(
    record: Record, edges: pd.DataFrame, candidates: Sequence[Candidate], predicted: np.ndarray
) -> None:
    """Log the probe's heat maps and every candidate with its predicted gain.

    Parameters
    ----------
    record : Record
        The record to log to.
    edges : DataFrame (n², columns)
        The probe's table of edges.
    candidates : sequence of Candidate
        All proposed candidates.
    predicted : ndarray (candidates,)
        Predicted gain of each.
    """
    by_edge = {
        candidate.placement.edges[0]: gain
        for candidate, gain in zip(candidates, predicted, strict=True)
        if len(candidate.placement) == 1
    }
    nodes = {(edge.source, edge.target): gain for edge, gain in by_edge.items()}
    keys = zip(edges["source"], edges["target"], strict=True)
    shown = edges.assign(predicted=[nodes.get((int(i), int(j)), np.nan) for i, j in keys])
    table = pd.DataFrame(
        {
            "placement": [str(candidate.placement) for candidate in candidates],
            "chosen_by": [candidate.chosen_by for candidate in candidates],
            "predicted": predicted,
        }
    )
    record.journal.tell(lambda run: run.log_figure(probe_heat_maps(shown), "figures/probe.png"))
    record.journal.tell(lambda run: run.log_table(table, "candidates.parquet"))
