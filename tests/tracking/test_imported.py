"""A log made elsewhere is brought into the store whole, once, and read with the store's own."""

from __future__ import annotations

import pandas as pd
import pytest

from autoplace.tracking import (
    ROW_COLUMNS,
    TrackingError,
    fetch_probe,
    import_trials,
    log_probe,
    read_records,
)
from autoplace.tracking import _imported as imported


@pytest.fixture
def trials(make_row):
    rows = [make_row(name, probe_key="p1") for name in "abc"]
    return pd.DataFrame(rows, columns=list(ROW_COLUMNS))


@pytest.fixture
def probes():
    tables = {name: pd.DataFrame({"value": [1.0, 2.0]}) for name in ("edges", "nodes", "task")}
    return {"p1": tables, "unused": tables}


def test_imported_trials_and_probes_are_read_like_the_stores_own(store, make_row, trials, probes):
    store.start_run("digits", "collect").start_child("own").log_row(make_row("own"))
    assert import_trials(store, "theirs", trials, probes) == 3
    records = read_records(store)
    assert sorted(records["trial_id"]) == ["a", "b", "c", "own"]
    assert (records["val_metric"] == 0.9).all()
    pd.testing.assert_frame_equal(fetch_probe(store, "p1")["edges"], probes["p1"]["edges"])
    with pytest.raises(TrackingError, match=r"no run .* holds the probe unused"):
        fetch_probe(store, "unused")


def test_what_the_store_has_is_not_brought_again(store, make_row, trials, probes):
    assert import_trials(store, "first", trials[:2], probes) == 2
    assert import_trials(store, "second", trials, probes) == 1
    assert import_trials(store, "third", trials, probes) == 0
    assert sorted(read_records(store)["trial_id"]) == ["a", "b", "c"]


def test_the_stores_own_outcome_comes_before_an_imported_one(store, make_row, trials, probes):
    import_trials(store, "theirs", trials, probes)
    store.start_run("digits", "collect").start_child("a").log_row(make_row("a", val_metric=0.2))
    records = read_records(store).set_index("trial_id")
    assert records.loc["a", "val_metric"] == 0.2
    assert len(records) == 3


def test_an_import_that_broke_off_counts_for_nothing_and_can_be_made_again(
    store, trials, probes, monkeypatch
):
    def fail(run, key, tables):
        log_probe(run, key, tables)
        raise TrackingError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(imported, "log_probe", fail)
        with pytest.raises(TrackingError, match="disk is full"):
            import_trials(store, "theirs", trials, probes)
    assert read_records(store).empty
    assert import_trials(store, "theirs", trials, probes) == 3
    assert len(read_records(store)) == 3
