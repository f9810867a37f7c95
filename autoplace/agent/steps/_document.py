"""Log the result of a pick to its parent run: ranking, figures and test metrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from autoplace.agent.steps._choose import Contender, order
from autoplace.agent.steps._contest import Contest
from autoplace.agent.steps._entrants import Entrants
from autoplace.agent.steps._pick_result import PickResult
from autoplace.agent.steps._record import Record
from autoplace.report import confusion_matrix, predicted_versus_measured
from predictors.vocabulary import Role


def ranking_table(contest: Contest, entrants: Entrants, metric: str) -> pd.DataFrame:
    """Make the ranking: finalists and baselines, the winner first, then what dropped out."""
    scored = order(contest.contenders, metric)
    contenders = {str(contender.placement): contender for contender, _ in scored}
    scores = {str(contender.placement): score for contender, score in scored}
    place = {placement: number for number, placement in enumerate(contenders)}
    reference = np.nan if contest.head_only is None else contest.head_only.metric(metric)
    rows = []
    for outcome in contest.ended:
        if outcome.trial.role not in (Role.HEAD_ONLY, Role.EVERY_BLOCK, Role.LORA, Role.CANDIDATE):
            continue
        contender = contenders.get(str(outcome.placement))
        measured = contender or (Contender([outcome], np.nan) if outcome.epochs else None)
        value = np.nan if measured is None else measured.metric(metric)
        rows.append(
            {
                "placement": str(outcome.placement),
                "role": str(outcome.trial.role),
                "chosen_by": str(outcome.trial.chosen_by),
                "predicted": entrants.prior(outcome.placement),
                "status": str(outcome.status),
                "epochs": len(outcome.epochs),
                "folds": len(contender.outcomes) if contender else 0,
                "score": scores.get(str(outcome.placement), np.nan),
                "val_metric": value,
                "val_loss": np.nan if measured is None else measured.loss,
                "gain": value - reference if contender else np.nan,
                "parameters": outcome.parameters,
                "seconds": outcome.seconds,
            }
        )
    table = pd.DataFrame(rows)
    return (
        table.assign(place=table["placement"].map(place))
        .sort_values(
            ["place", "epochs", "val_metric", "val_loss"],
            ascending=[True, False, False, True],
            ignore_index=True,
        )
        .drop(columns="place")
    )


def log_result(record: Record, result: PickResult, confusions: np.ndarray) -> None:
    """Log the ranking, figures, the report per class, and the test metrics.

    Parameters
    ----------
    record : Record
        The record to log to.
    result : PickResult
        The result.
    confusions : ndarray (classes, classes)
        Test images by true and predicted class.
    """
    figures = {
        "predicted_versus_measured": predicted_versus_measured(result.ranking, result.metric),
        "confusion_matrix": confusion_matrix(confusions, record.task.data.classes),
    }
    metrics = {
        f"test/{_key(role)}/{result.metric}": tested.mean for role, tested in result.tested.items()
    }
    for role, each in result.differences.items():
        for name in ("difference", "low", "high"):
            metrics[f"test/winner_minus_{_key(role)}/{name}"] = getattr(each, name)
    metrics |= {f"learning_rate/{kind}": found.rate for kind, found in result.rates.items()}
    record.journal.tell(lambda run: run.log_table(result.ranking, "ranking.json"))
    record.journal.tell(lambda run: run.log_table(result.per_class, "per_class.json"))
    for name, figure in figures.items():
        _log_figure(record, name, figure)
    record.journal.tell(lambda run: run.log_metrics(metrics))
    record.journal.tell(lambda run: run.set_tags({"autoplace.winner": result.winner}))
    log_costs(record, result)


def log_costs(record: Record, result: PickResult) -> None:
    """Log what the pick has cost so far, and the result with it."""
    costs = {"search_cost": result.search_cost, "total_cost": result.total_cost}
    record.journal.tell(lambda run: run.log_metrics(costs))
    record.journal.tell(lambda run: run.log_json(result.to_dict(), "result.json"))


def _key(role: str) -> str:
    return role.replace(" ", "-")


def _log_figure(record: Record, name: str, figure: Figure) -> None:
    record.journal.tell(lambda run: run.log_figure(figure, f"figures/{name}.png"))
