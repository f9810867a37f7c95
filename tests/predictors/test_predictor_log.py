"""The placement log refuses rows one by one, with reasons."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from predictors import (
    LOG_COLUMNS,
    PredictorError,
    log_table,
    reject_rows,
    upgrade_log,
    validate_log,
)
from predictors.vocabulary import FIRST_OPTIMISER


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
        ({"n_val": ""}, "n_val is not a whole number"),
        ({"measured_metric": " "}, "measured_metric is not a number"),
        ({"schema_version": 99}, "schema_version is not 7"),
        ({"trial_id": "0-3"}, "trial_id is already used in an earlier row"),
        ({"status": "finished"}, "status is not one of"),
        ({"metric": "auc"}, "metric is not one of"),
        ({"val_metric": -0.1}, r"val_metric is not a number within \[0, 1\]"),
        ({"metric": "log-loss"}, r"val_metric is not a number within \[-inf, 0\]"),
        ({"protocol": None}, "protocol is missing"),
        ({"protocol": "guess"}, "protocol is not one of table-rate, given-rate, found-rate"),
        ({"status": "pruned"}, "val_metric is given although the trial is not done"),
        ({"failure_reason": "?"}, "the trial did not fail"),
        ({"status": "failed"}, "failed without a failure_reason"),
        ({"status": "failed", "failure_reason": "NaN"}, "val_metric is given although .* not done"),
        ({"status": "running"}, "test_metric is given although the trial is not done"),
        ({"placement": "head-only"}, "n_edges contradicts placement"),
        ({"n_edges": 0}, "n_edges contradicts placement"),
        ({"family_source": "guessed"}, "family_source is not one of given, builtin, default"),
        ({"n_val": 0}, r"n_val is not a whole number within \[1, inf\]"),
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


def test_a_pruned_trial_has_no_score_and_no_reason(make_log) -> None:
    log = make_log()
    log.loc[0, "status"] = "pruned"
    log.loc[0, ["val_metric", "test_metric"]] = None
    validate_log(log)
    log.loc[0, "failure_reason"] = "slow"
    with pytest.raises(PredictorError, match=r"trial 0-0.*did not fail"):
        validate_log(log)


def test_log_loss_is_recorded_as_a_number_of_at_most_zero(make_log) -> None:
    log = make_log().assign(metric="log-loss", test_metric=0.0)
    log["val_metric"], log["head_only_val_metric"] = -1.3, -1.5
    validate_log(log)


SINCE = {
    2: ["augment", "precision"],
    3: ["family_source", "image_digests", "n_val"],
    4: ["protocol"],
    7: ["optimiser"],
}


def test_rows_of_the_schema_before_the_optimiser_was_recorded_have_the_first_one(make_log) -> None:
    old = make_log().drop(columns="optimiser").assign(schema_version=6)
    pd.testing.assert_frame_equal(upgrade_log(old), make_log(), check_like=True, check_dtype=False)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_rows_of_an_older_schema_are_upgraded(make_log, version: int) -> None:
    newer = [name for since, names in SINCE.items() if since > version for name in names]
    old = make_log().drop(columns=newer).assign(schema_version=version)
    new = make_log().assign(
        trial_id=lambda log: "new-" + log["trial_id"],
        augment="crop",
        family_source="given",
        image_digests="0a 1b",
        n_val=200,
        optimiser="adamw beta2=0.95",
    )
    upgraded = upgrade_log(pd.concat([old, new], ignore_index=True))
    validate_log(upgraded)
    first, last = upgraded.iloc[: len(old)], upgraded.iloc[len(old) :]
    assert (first["augment"] == "none").all() and (first["precision"] == "float32").all()
    assert (first["optimiser"] == FIRST_OPTIMISER).all()
    assert (first["protocol"] == "table-rate").all() and (last["protocol"] == "found-rate").all()
    if version < 3:
        assert first[SINCE[3]].isna().all(axis=None)
    shared = [table.reset_index(drop=True).convert_dtypes() for table in (last, new)]
    pd.testing.assert_frame_equal(*shared, check_dtype=False, check_like=True)
    alone = upgrade_log(old)
    validate_log(alone)
    assert (alone["protocol"] == "table-rate").all()


def test_rows_of_an_unknown_schema_are_not_upgraded(make_log) -> None:
    unknown = make_log().assign(schema_version=99)
    pd.testing.assert_frame_equal(upgrade_log(unknown), unknown)
    assert reject_rows(unknown)["reason"].str.contains("schema_version").sum() == len(unknown)


def test_a_table_is_made_of_rows_as_a_store_holds_them(make_log) -> None:
    rows = [
        {name: value for name, value in row.items() if not pd.isna(value)}
        for row in make_log().to_dict(orient="records")
    ]
    rows[0] |= {"schema_version": 1}
    del rows[0]["augment"], rows[0]["precision"]
    table = log_table(iter(rows))
    assert list(table.columns) == [column.name for column in LOG_COLUMNS]
    for column in LOG_COLUMNS:
        assert table[column.name].dtype == (object if column.dtype == "str" else "float64")
    assert table["seconds"].tolist() == [3.0] * len(rows)
    assert set(table["failure_reason"]) == {None} and table["propensity"].isna().all()
    assert table.loc[0, "augment"] == "none"
    validate_log(table)


def test_a_table_of_no_rows_has_every_column_and_its_type() -> None:
    table = log_table([])
    assert list(table.columns) == [column.name for column in LOG_COLUMNS]
    assert table["seconds"].dtype == "float64" and table["task"].dtype == object


def test_a_row_with_an_unknown_key_is_refused_and_a_number_that_is_none_is_missing() -> None:
    with pytest.raises(PredictorError, match="no column mood in schema 7"):
        log_table([{"trial_id": "a"}, {"trial_id": "b", "mood": "good"}])
    assert pd.isna(log_table([{"val_metric": "high"}])["val_metric"].item())


def test_missing_and_unknown_columns_are_named(make_log) -> None:
    with pytest.raises(PredictorError, match=r"missing columns: seed; unknown columns: sed"):
        validate_log(make_log().rename(columns={"seed": "sed"}))


def test_every_column_says_what_it_means() -> None:
    assert all(column.meaning for column in LOG_COLUMNS)
    assert len({column.name for column in LOG_COLUMNS}) == len(LOG_COLUMNS) == 53
