"""The tables and figures of a pick, as its parent run keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from autoplace.agent._plan import Plan
from autoplace.agent._recorder import Recorder
from autoplace.agent._result import PickResult
from autoplace.report import predicted_versus_measured, probe_heat_maps


def ranking_table(plan: Plan, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per trial of the choice, best validation first, with what was predicted of it."""
    predicted = {str(c.placement): g for c, g in zip(plan.candidates, plan.predicted, strict=True)}
    roles = {str(request.placement): request.role for request in plan.requests(0)}
    table = pd.DataFrame(rows)
    for column in ("val_metric", "val_loss", "head_only_val_metric", "parameters", "seconds"):
        if column not in table:
            table[column] = np.nan
    table["role"] = table["placement"].map(roles)
    table["predicted"] = table["placement"].map(predicted).astype(float)
    table["gain"] = table["val_metric"] - table["head_only_val_metric"]
    columns = ["placement", "role", "chosen_by", "predicted", "status", "val_metric", "val_loss",
               "gain", "parameters", "seconds"]  # fmt: skip
    ordered = table.sort_values(["val_metric", "val_loss"], ascending=[False, True])
    return ordered[columns].reset_index(drop=True)


def log_plan(recorder: Recorder, plan: Plan) -> None:
    """The probe's heat maps and every candidate with its predicted gain."""
    edges = plan.probed.tables.edges
    singles = {
        candidate.placement.edges[0]: gain
        for candidate, gain in zip(plan.candidates, plan.predicted, strict=True)
        if len(candidate.placement) == 1
    }
    by_edge = {(edge.source, edge.target): gain for edge, gain in singles.items()}
    keys = zip(edges["source"], edges["target"], strict=True)
    table = edges.assign(predicted=[by_edge.get((int(i), int(j)), np.nan) for i, j in keys])
    recorder.journal.tell(lambda run: run.log_figure(probe_heat_maps(table), "figures/probe.png"))
    candidates = pd.DataFrame(
        {
            "placement": [str(candidate.placement) for candidate in plan.candidates],
            "chosen_by": [candidate.chosen_by for candidate in plan.candidates],
            "predicted": plan.predicted,
        }
    )
    recorder.journal.tell(lambda run: run.log_table(candidates, "candidates.parquet"))


def log_result(recorder: Recorder, result: PickResult) -> None:
    """The ranking, predicted against measured, and the test figures with their intervals."""
    recorder.journal.tell(lambda run: run.log_table(result.ranking, "ranking.json"))
    figure = predicted_versus_measured(result.ranking, result.metric)
    recorder.journal.tell(
        lambda run: run.log_figure(figure, "figures/predicted_versus_measured.png")
    )
    for role, tested in result.tested.items():
        recorder.test_scores(role, {result.metric: tested.mean})
    for role, each in result.differences.items():
        recorder.test_scores(
            f"winner_minus_{role}",
            {"difference": each.difference, "low": each.low, "high": each.high},
        )
    recorder.journal.tell(lambda run: run.log_json(result.to_dict(), "result.json"))
    recorder.journal.tell(lambda run: run.set_tags({"autoplace.winner": result.winner}))
