"""A log made elsewhere is brought into the store whole, once, and read with the store's own."""

from __future__ import annotations

import pandas as pd
import pytest

from autoplace.tracking import (
    TrackingError,
    fetch_probe,
    import_rows,
    log_probe,
    read_rows,
    start_run,
)
from autoplace.tracking.store import _imported as imported
from autoplace.tracking.store import search_runs


@pytest.fixture
def trials(make_row):
    return pd.DataFrame([make_row(name, probe_key="p1") for name in "abc"])


@pytest.fixture
def probes():
    tables = {name: pd.DataFrame({"value": [1.0, 2.0]}) for name in ("edges", "nodes", "task")}
    return {"p1": tables, "p2": tables}


def test_imported_trials_and_probes_are_read_like_the_stores_own(store, make_row, trials, probes):
    start_run(store, "digits", "collect").start_child("own").log_row(make_row("own"))
    assert import_rows(store, "theirs", trials, probes) == 3
    *imported_rows, own = read_rows(store)  # what was measured here counts as the latest
    assert own["trial_id"] == "own"
    assert imported_rows == [
        make_row(
            name,
            test_metric=None,
            test_accuracy=None,
            head_only_test_metric=None,
            head_only_test_accuracy=None,
        )
        for name in "abc"
    ]
    for key in ("p1", "p2"):
        pd.testing.assert_frame_equal(fetch_probe(store, key)["edges"], probes[key]["edges"])


def test_what_the_store_has_is_not_brought_again(store, make_row, trials, probes):
    assert import_rows(store, "first", trials[:2], probes) == 2
    assert import_rows(store, "second", trials, probes) == 1
    assert import_rows(store, "third", trials, probes) == 0
    assert [row["trial_id"] for row in read_rows(store)] == ["a", "b", "c"]
    runs = search_runs(store, "tags.`autoplace.probe_key` LIKE '%'")
    assert sorted(run.info.run_name for run in runs) == ["probe p1", "probe p2"]


def test_the_stores_own_outcome_comes_before_an_imported_one(store, make_row, trials, probes):
    import_rows(store, "theirs", trials, probes)
    start_run(store, "digits", "collect").start_child("a").log_row(make_row("a", val_metric=0.2))
    values = {row["trial_id"]: row["val_metric"] for row in read_rows(store)}
    assert values == {"a": 0.2, "b": 0.9, "c": 0.9}


def test_an_import_that_broke_off_counts_for_nothing_and_can_be_made_again(
    store, trials, probes, monkeypatch
):
    def fail(run, key, tables):
        log_probe(run, key, tables)
        raise TrackingError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(imported, "log_probe", fail)
        with pytest.raises(TrackingError, match="disk is full"):
            import_rows(store, "theirs", trials, probes)
    assert read_rows(store) == []
    assert import_rows(store, "theirs", trials, probes) == 3
    assert len(read_rows(store)) == 3
