"""Log the result of a pick to its parent run: ranking, figures and test metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from autoplace.agent.steps._contest import Contest
from autoplace.agent.steps._pick_result import PickResult
from autoplace.agent.steps._propose import Candidate
from autoplace.agent.steps._record import Record
from autoplace.report import predicted_versus_measured
from predictors.vocabulary import Role


def ranking_table(
    contest: Contest, candidates: Sequence[Candidate], predicted: np.ndarray, metric: str
) -> pd.DataFrame:
    """Make the ranking: one row per placement, best on validation first, with predicted gains."""
    gains = {c.placement: gain for c, gain in zip(candidates, predicted, strict=True)}
    reference = np.nan if contest.head_only is None else contest.head_only.val.of(metric)
    rows = []
    for outcome in contest.outcomes:
        if outcome.trial.role is Role.REPEAT:
            continue
        done = outcome.is_done
        value = outcome.val.of(metric) if done else np.nan
        rows.append(
            {
                "placement": str(outcome.placement),
                "role": str(outcome.trial.role),
                "chosen_by": str(outcome.trial.chosen_by),
                "predicted": float(gains.get(outcome.placement, np.nan)),
                "status": str(outcome.status),
                "val_metric": value,
                "val_loss": outcome.val.loss if done else np.nan,
                "gain": value - reference,
                "parameters": outcome.parameters if done else np.nan,
                "seconds": outcome.seconds if done else np.nan,
            }
        )
    table = pd.DataFrame(rows)
    return table.sort_values(["val_metric", "val_loss"], ascending=[False, True], ignore_index=True)


def log_result(record: Record, result: PickResult) -> None:
    """Log the ranking, the figure of predicted and measured gains, and the test metrics."""
    figure = predicted_versus_measured(result.ranking, result.metric)
    metrics = {
        f"test/{role}/{result.metric}": tested.mean for role, tested in result.tested.items()
    }
    for role, each in result.differences.items():
        for name in ("difference", "low", "high"):
            metrics[f"test/winner_minus_{role}/{name}"] = getattr(each, name)
    record.journal.tell(lambda run: run.log_table(result.ranking, "ranking.json"))
    record.journal.tell(lambda run: run.log_figure(figure, "figures/predicted_versus_measured.png"))
    record.journal.tell(lambda run: run.log_metrics(metrics))
    record.journal.tell(lambda run: run.log_json(result.to_dict(), "result.json"))
    record.journal.tell(lambda run: run.set_tags({"autoplace.winner": result.winner}))
