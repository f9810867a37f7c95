"""Probe tables lie beside the run that measured them and are found again by their key."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autoplace.tracking import TrackingError, fetch_probe, log_probe


@pytest.fixture
def make_tables():
    def make(value: float) -> dict[str, pd.DataFrame]:
        return {
            "edges": pd.DataFrame({"source": [0, 0], "target": [0, 1], "snr": [value, np.nan]}),
            "nodes": pd.DataFrame({"node": [0, 1], "separability": [0.5, value]}),
            "task": pd.DataFrame({"n_nodes": [2], "chance": [value]}),
        }

    return make


def test_tables_come_back_as_they_were_also_through_another_client(new_store, make_tables):
    store = new_store()
    tables = make_tables(0.25)
    log_probe(store.start_run("digits", "collect"), "key-a", tables)
    found = fetch_probe(type(store)(store.uri), "key-a")
    assert list(found) == list(tables)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(found[name], table)


def test_each_key_finds_its_own_tables_over_experiments(store, make_tables):
    for key, value in (("key-a", 0.1), ("key-b", 0.2)):
        log_probe(store.start_run(f"task of {key}", "collect"), key, make_tables(value))
    assert fetch_probe(store, "key-b")["task"]["chance"].item() == 0.2
    assert fetch_probe(store, "key-a")["task"]["chance"].item() == 0.1


def test_an_unknown_key_is_refused_with_what_to_do(store, make_tables):
    log_probe(store.start_run("digits", "collect"), "key-a", make_tables(0.1))
    with pytest.raises(TrackingError, match=r"no run .* holds the probe key-x; .*collect"):
        fetch_probe(store, "key-x")


def test_a_run_whose_tables_were_not_all_written_is_not_found(store, make_tables):
    tables = make_tables(0.1)
    del tables["task"]
    with pytest.raises(KeyError):
        log_probe(store.start_run("digits", "collect"), "key-a", tables)
    with pytest.raises(TrackingError, match="holds the probe key-a"):
        fetch_probe(store, "key-a")
