"""The next predictor: trained on all records, promoted only if it is better."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import predictors
from autoplace.agent._predicting import features_of, predictor_in_charge
from autoplace.agent._progress import Progress
from autoplace.errors import UserError
from autoplace.placement import Placement
from autoplace.probing import ProbeTables
from autoplace.settings import StoreSettings
from autoplace.tracking import (
    Store,
    fetch_probe,
    promote,
    push_unsent,
    read_records,
    register_predictor,
)

THIS = "this predictor"


@dataclass(frozen=True)
class RetrainResult:
    """What came of a retrain; `scores`: mean per predictor over tasks of left-out families."""

    rows: int
    new_rows: int
    set_aside: int
    families: tuple[str, ...]
    scores: pd.DataFrame
    promoted: bool
    version: int | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; not-a-number becomes null."""
        table = self.scores.reset_index().astype(object)
        return {
            "rows": self.rows,
            "new_rows": self.new_rows,
            "set_aside": self.set_aside,
            "families": list(self.families),
            "scores": table.where(table.notna(), None).to_dict(orient="records"),
            "promoted": self.promoted,
            "version": self.version,
            "reason": self.reason,
        }


def retrain(settings: StoreSettings, progress: Progress | None = None) -> RetrainResult:
    """Train a challenger on the present predictor's rows and the store's records; gate it.

    The gate leaves each family out in turn and fits the same recipe twice: on the present
    predictor's own rows and on all rows, both without that family. Neither has seen the family it
    is scored on, so what is compared is what the new records add. The challenger is promoted when
    its mean rank correlation within tasks is higher and its regret@5 is not worse.

    Raises UserError when the records hold nothing new, or too few families to judge by.
    """
    progress = progress or Progress()
    store = Store(settings.store)
    store.check()
    progress.stage("Reading the records")
    caught_up = push_unsent(store)
    if caught_up:
        progress.note(f"{caught_up} runs that had lost MLflow were sent to it from their ledgers")
    records = read_records(store)
    log, set_aside = _usable(records)
    present = predictors.load_training_set(predictor_in_charge(store, None).folder)
    if log.empty:
        raise UserError(
            f"{store.address} holds no finished trials to learn from; "
            "run 'autoplace collect' or 'autoplace pick' first"
        )
    everything = present.union(training_set(log, partial(fetch_probe, store)))
    new_rows = len(everything) - len(present)
    if not new_rows:
        raise UserError(
            "the records hold no placement the present predictor has not learnt from; "
            "collect more first"
        )
    progress.stage("Comparing on left-out families")
    scores = gate(present, everything)
    better, reason = _verdict(scores)
    version = None
    if better:
        predictor = predictors.create_predictor("lightgbm").fit(
            everything.X, everything.y, everything.groups
        )
        with tempfile.TemporaryDirectory(prefix="autoplace-") as temporary:
            folder = predictors.save_predictor(
                predictor,
                Path(temporary) / "predictor",
                predictor_card(everything, scores),
                everything,
            )
            version = register_predictor(store, folder, {"rows": len(everything)})
        promote(store, version)
    families = tuple(sorted(set(everything.families)))
    return RetrainResult(
        len(everything), new_rows, set_aside, families, scores, better, version, reason
    )


def training_set(
    log: pd.DataFrame, tables_of: Callable[[str], Mapping[str, pd.DataFrame]]
) -> predictors.TrainingSet:
    """Features and gains of a placement log; tables_of: a probe's tables by its key."""
    features = {}
    for key, rows in log[log["placement"] != "head-only"].groupby("probe_key"):
        tables = ProbeTables(**tables_of(str(key)))
        placements = [Placement.parse(text) for text in sorted(set(rows["placement"]))]
        features[str(key)] = features_of(placements, tables, str(rows["backbone"].iloc[0]))
    return predictors.build_training_set(log, features)


def gate(present: predictors.TrainingSet, everything: predictors.TrainingSet) -> pd.DataFrame:
    """Mean scores on left-out families, one row per predictor, baselines included.

    Raises PredictorError for fewer than two families.
    """
    challengers = {name: predictors.create_predictor(name) for name in predictors.list_predictors()}
    scores = predictors.evaluate(challengers, everything)
    scores["predictor"] = scores["predictor"].replace({"lightgbm": "challenger"})
    recipe = {"present": predictors.create_predictor("lightgbm")}
    presents = [
        table
        for family in sorted(set(everything.families))
        if len(table := predictors.score_left_out(recipe, present, everything, family))
    ]
    if presents:
        # Only tasks on which both could be fitted compare like with like.
        scores = pd.concat([scores, *presents], ignore_index=True)
        shared = set(scores.loc[scores["predictor"] == "present", "task"])
        scores = scores[scores["task"].isin(shared)]
    # A predictor that says the same of every placement orders nothing: no correlation.
    scores = scores.fillna({"spearman": 0.0})
    return scores.groupby("predictor")[["spearman", "regret@1", "regret@5"]].mean()


def predictor_card(data: predictors.TrainingSet, scores: pd.DataFrame) -> str:
    """Markdown: what a predictor was trained on and how it did on left-out families."""
    families = ", ".join(sorted(set(data.families)))
    scores = scores.drop(index="present", errors="ignore").rename(index={"challenger": THIS})
    better = [name for name, row in scores.iterrows() if row["spearman"] > scores["spearman"][THIS]]
    lines = [
        "# Placement predictor",
        "",
        f"LightGBM on {len(data)} placements of {len(set(data.groups))} tasks; "
        f"families: {families}; backbones: {', '.join(sorted(set(data.X['backbone'])))}.",
        "Predicts the gain in the validation metric over head-only. The order within a task is",
        "what it is trained for; the level of a prediction is a guess.",
        "",
        "Means over tasks of families left out of the fit:",
        "",
        "| predictor | Spearman | regret@1 | regret@5 |",
        "|---|---|---|---|",
    ]
    for name, row in scores.sort_values("spearman", ascending=False).iterrows():
        lines.append(
            f"| {name} | {row['spearman']:.3f} | {row['regret@1']:.4f} | {row['regret@5']:.4f} |"
        )
    if better:
        lines += ["", f"On left-out families it orders worse than: {', '.join(map(str, better))}."]
    return "\n".join([*lines, ""])


def _usable(records: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The finished rows that are in order, and how many were set aside."""
    done = records[records["status"] == "done"]
    kept, _ = predictors.sort_out(done)
    kept = kept[kept["probe_key"].notna()].reset_index(drop=True)
    adapted = kept["placement"] != "head-only"
    return (kept if adapted.any() else kept.iloc[:0]), len(done) - len(kept)


def _verdict(scores: pd.DataFrame) -> tuple[bool, str]:
    challenger = scores.loc["challenger"]
    if "present" not in scores.index:
        return True, "the present predictor knows no family but the ones left out"
    present = scores.loc["present"]
    told = (
        f"Spearman {challenger['spearman']:.3f} against {present['spearman']:.3f}, "
        f"regret@5 {challenger['regret@5']:.4f} against {present['regret@5']:.4f}"
    )
    better = (
        challenger["spearman"] > present["spearman"]
        and challenger["regret@5"] <= present["regret@5"]
    )
    return bool(better), told
