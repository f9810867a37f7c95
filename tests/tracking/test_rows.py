from __future__ import annotations

import json

from autoplace.tracking import Store, read_rows, start_run


def test_no_store_and_no_rows_give_an_empty_list(store):
    assert read_rows(Store("sqlite:///absent/m.db")) == []
    assert read_rows(store) == []


def test_rows_of_all_experiments_come_back_as_they_were_logged(store, make_row):
    rows = [
        make_row("a", test_metric=0.5, test_accuracy=0.5),
        make_row("b", status="failed", failure_reason="out of memory", val_metric=None),
    ]
    for row in rows:
        parent = start_run(store, f"task-{row['trial_id']}", "collect")
        parent.start_child(str(row["trial_id"])).log_row(row)
    nan = {f"head_only_test_{name}": None for name in ("metric", "accuracy")}
    first, second = read_rows(store)
    assert first == rows[0] | nan
    assert second == rows[1] | nan | {"test_metric": None, "test_accuracy": None}
    assert [type(value) for value in first.values()] == [
        type(value) for value in (rows[0] | nan).values()
    ]


def test_a_row_may_have_any_columns(store):
    run = start_run(store, "digits", "collect")
    run.start_child("a").log_row({"trial_id": "a", "of a later version": ["x", 1.5, None]})
    run.start_child("b").log_row({"trial_id": "b"})
    assert read_rows(store) == [
        {"trial_id": "a", "of a later version": ["x", 1.5, None]},
        {"trial_id": "b"},
    ]


def test_a_row_longer_than_a_tag_comes_back_whole(store, make_row):
    placement = "+".join(f"{source}>{target}" for source in range(60) for target in range(60))
    start_run(store, "digits", "collect").start_child("a").log_row(
        make_row("a", placement=placement)
    )
    assert read_rows(store)[0]["placement"] == placement


def test_a_trial_that_was_logged_twice_counts_once_with_its_last_row(store, make_row):
    parent = start_run(store, "digits", "collect")
    parent.start_child("a").log_row(make_row("a", val_metric=0.1))
    parent.start_child("a").log_row(make_row("a", val_metric=0.2))
    assert [row["val_metric"] for row in read_rows(store)] == [0.2]


def test_a_row_that_was_cut_short_is_left_out(store, make_row):
    run = start_run(store, "digits", "collect").start_child("a")
    run.set_tags({"autoplace.row": json.dumps(make_row("a"))[:100]})
    assert read_rows(store) == []
