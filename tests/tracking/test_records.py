from __future__ import annotations

import json

import pandas as pd
import pytest

from autoplace.tracking import ROW_COLUMNS, Store, TrackingError, read_records
from predictors import LOG_COLUMNS, validate_log


def test_the_columns_are_those_of_the_predictors_placement_log():
    assert list(ROW_COLUMNS) == [column.name for column in LOG_COLUMNS]
    texts = {column.name for column in LOG_COLUMNS if column.dtype == "str"}
    assert {name for name, kind in ROW_COLUMNS.items() if kind == "text"} == texts


def test_no_store_and_no_rows_give_an_empty_table_with_all_columns(store):
    for empty in (Store("sqlite:///absent/m.db"), store):
        table = read_records(empty)
        assert len(table) == 0
        assert list(table.columns) == list(ROW_COLUMNS)
        assert table["val_metric"].dtype == "float64"


def test_rows_of_all_experiments_come_back_as_they_were_logged(store, make_row):
    rows = [
        make_row("a"),
        make_row("b", status="failed", failure_reason="out of memory", val_metric=None),
    ]
    for row in rows:
        parent = store.start_run(f"task-{row['trial_id']}", "collect")
        parent.start_child(str(row["trial_id"])).log_row(row)
    table = read_records(store)
    assert list(table["trial_id"]) == ["a", "b"]
    assert table.loc[0, "val_metric"] == 0.9
    assert pd.isna(table.loc[1, "val_metric"])
    assert table.loc[1, "failure_reason"] == "out of memory"
    assert table.loc[0, "failure_reason"] is None
    assert table["n_nodes"].tolist() == [25, 25]


def test_the_table_is_a_valid_placement_log(store, make_row):
    parent = store.start_run("digits", "collect")
    for name in "abc":
        parent.start_child(name).log_row(make_row(name))
    validate_log(read_records(store))


def test_a_row_longer_than_a_tag_comes_back_whole(store, make_row):
    placement = "+".join(f"{source}>{target}" for source in range(60) for target in range(60))
    store.start_run("digits", "collect").start_child("a").log_row(
        make_row("a", placement=placement)
    )
    assert read_records(store).loc[0, "placement"] == placement


def test_a_trial_that_was_logged_twice_counts_once_with_its_last_row(store, make_row):
    parent = store.start_run("digits", "collect")
    parent.start_child("a").log_row(make_row("a", val_metric=0.1))
    parent.start_child("a").log_row(make_row("a", val_metric=0.2))
    assert read_records(store)["val_metric"].tolist() == [0.2]


def test_a_row_that_was_cut_short_is_left_out(store, make_row):
    run = store.start_run("digits", "collect").start_child("a")
    run.set_tags({"autoplace.row": json.dumps(make_row("a"))[:100]})
    assert len(read_records(store)) == 0


def test_an_unknown_column_is_refused(store, make_row):
    run = store.start_run("digits", "collect")
    with pytest.raises(TrackingError, match="no column 'acuracy'"):
        run.log_row(make_row("a", acuracy=1.0))
