"""The placement log refuses rows one by one, with reasons."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from predictors import LOG_COLUMNS, PredictorError, reject_rows, upgrade_log, validate_log


def test_a_good_log_is_accepted(make_log) -> None:
    assert reject_rows(make_log()).empty
    validate_log(make_log())


def test_a_log_read_back_from_json_lines_is_accepted(make_log) -> None:
    lines = [json.dumps(row) for row in make_log().to_dict(orient="records")]
    validate_log(pd.DataFrame([json.loads(line) for line in lines]))


def test_a_log_read_back_from_parquet_is_accepted(make_log, tmp_path) -> None:
    make_log().to_parquet(tmp_path / "log.parquet")
    validate_log(pd.read_parquet(tmp_path / "log.parquet"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"val_metric": None}, "val_metric is missing"),
        ({"val_metric": 1.2}, r"val_metric is not a number within \[0, 1\]"),
        ({"val_metric": "high"}, "val_metric is not a number"),
        ({"val_loss": float("inf")}, "val_loss is not a number"),
        ({"head_only_val_metric": None}, "head_only_val_metric is missing"),
        ({"epochs": 2.5}, "epochs is not a whole number"),
        ({"learning_rate": -1.0}, "learning_rate is not a number"),
        ({"task": " "}, "task is missing"),
        ({"schema_version": 99}, "schema_version is not 2"),
        ({"trial_id": "0-3"}, "trial_id occurred before"),
        ({"status": "finished"}, "status is none of"),
        ({"metric": "auc"}, "metric is none of"),
        ({"failure_reason": "?"}, "the trial did not fail"),
        ({"status": "failed"}, "failed without a failure_reason"),
        ({"status": "failed", "failure_reason": "NaN"}, "val_metric is given though .* not done"),
        ({"status": "running"}, "test_metric is given though the trial is not done"),
        ({"placement": "head-only"}, "n_edges contradicts placement"),
        ({"n_edges": 0}, "n_edges contradicts placement"),
        ({"family": "elsewhere"}, "two families"),
        ({"propensity": 1.5}, "propensity is not a number"),
        ({"versions": "torch 2"}, "versions is not a JSON object"),
        ({"versions": "[]"}, "versions is not a JSON object"),
    ],
)
def test_a_bad_row_is_named_with_its_reason(make_log, change: dict, reason: str) -> None:
    log = make_log().astype(object)
    for column, value in change.items():
        log.loc[5, column] = value
    found = reject_rows(log)
    assert found.loc[found["row"] == 5, "reason"].str.contains(reason).any()
    assert set(found.loc[found["row"] == 5, "trial_id"]) == {log.loc[5, "trial_id"]}
    if "family" not in change:
        assert set(found["row"]) == {5}
    with pytest.raises(PredictorError, match="bad row"):
        validate_log(log)


def test_a_failed_trial_needs_a_reason_and_has_no_score(make_log) -> None:
    log = make_log()
    log.loc[0, ["status", "failure_reason"]] = ["failed", "loss is not finite"]
    log.loc[0, ["val_metric", "test_metric"]] = None
    validate_log(log)
    log.loc[0, "val_metric"] = 0.0
    with pytest.raises(PredictorError, match=r"trial 0-0.*not done"):
        validate_log(log)


def test_rows_of_the_first_schema_are_brought_up_to_date(make_log) -> None:
    old = make_log().drop(columns=["augment", "precision"]).assign(schema_version=1)
    mixed = pd.concat([old, make_log().assign(trial_id=lambda log: "new-" + log["trial_id"])])
    mixed = mixed.reset_index(drop=True)
    mixed.loc[len(old) :, "augment"] = "crop"
    upgraded = upgrade_log(mixed)
    validate_log(upgraded)
    assert (upgraded["augment"] == ["none"] * len(old) + ["crop"] * len(old)).all()
    unknown = upgrade_log(old.assign(schema_version=99))
    assert reject_rows(unknown)["reason"].str.contains("schema_version").sum() == len(old)


def test_missing_and_unknown_columns_are_named(make_log) -> None:
    with pytest.raises(PredictorError, match=r"missing columns: seed; unknown columns: sed"):
        validate_log(make_log().rename(columns={"seed": "sed"}))


def test_every_column_says_what_it_means() -> None:
    assert all(column.meaning for column in LOG_COLUMNS)
    assert len({column.name for column in LOG_COLUMNS}) == len(LOG_COLUMNS) == 39
