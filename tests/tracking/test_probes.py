"""Probe tables lie beside the run that measured them and are found again by their key."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from autoplace.tracking import (
    Journal,
    ProbeMissingError,
    fetch_probe,
    log_probe,
    start_run,
)


@pytest.fixture
def make_tables():
    def make(value: float) -> dict[str, pd.DataFrame]:
        return {
            "edges": pd.DataFrame({"source": [0, 0], "target": [0, 1], "snr": [value, np.nan]}),
            "nodes": pd.DataFrame({"node": [0, 1], "separability": [0.5, value]}),
            "task": pd.DataFrame({"n_nodes": [2], "chance": [value]}),
        }

    return make


@pytest.fixture
def journal(store, make_tables) -> Journal:
    """An invocation that has measured the probe key-a."""
    journal = Journal(store, "digits", "pick digits", {}, {}, pytest.fail)
    journal.record_probe("key-a", make_tables(0.25))
    return journal


def test_tables_come_back_as_they_were_also_through_another_client(new_store, make_tables):
    store = new_store()
    tables = make_tables(0.25)
    log_probe(start_run(store, "digits", "collect"), "key-a", tables)
    found = fetch_probe(type(store)(store.uri), "key-a")
    assert list(found) == list(tables)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(found[name], table)


def test_each_key_finds_its_own_tables_over_experiments(store, make_tables):
    for key, value in (("key-a", 0.1), ("key-b", 0.2)):
        log_probe(start_run(store, f"task of {key}", "collect"), key, make_tables(value))
    assert fetch_probe(store, "key-b")["task"]["chance"].item() == 0.2
    assert fetch_probe(store, "key-a")["task"]["chance"].item() == 0.1


def test_an_unknown_key_is_refused_with_what_to_do(store, journal):
    with pytest.raises(ProbeMissingError, match=r"the probe key-x .*is neither in .*collect"):
        fetch_probe(store, "key-x")


def test_a_run_whose_tables_were_not_all_written_is_not_found(store, make_tables):
    tables = make_tables(0.1)
    del tables["task"]
    with pytest.raises(KeyError):
        log_probe(start_run(store, "digits", "collect"), "key-a", tables)
    with pytest.raises(ProbeMissingError, match=r"the probe key-a .*is neither"):
        fetch_probe(store, "key-a")


def test_the_probe_of_a_deleted_run_is_read_from_its_run_folder(store, journal, make_tables):
    store.client.delete_run(journal.run.run_id)
    for name, table in make_tables(0.25).items():
        pd.testing.assert_frame_equal(fetch_probe(store, "key-a")[name], table)


def test_a_probe_whose_artifacts_were_removed_is_read_from_its_run_folder(
    store, journal, make_tables
):
    shutil.rmtree(journal.run.fetch("probe"))
    tables = make_tables(0.25)
    pd.testing.assert_frame_equal(fetch_probe(store, "key-a")["edges"], tables["edges"])


def test_a_probe_that_mlflow_still_holds_needs_no_run_folder(store, journal, make_tables):
    shutil.rmtree(journal.folder)
    tables = make_tables(0.25)
    pd.testing.assert_frame_equal(fetch_probe(store, "key-a")["edges"], tables["edges"])


def test_a_probe_of_a_deleted_run_without_its_files_is_missing(store, journal):
    store.client.delete_run(journal.run.run_id)
    (journal.folder / "probe" / "nodes.parquet").unlink()
    with pytest.raises(ProbeMissingError, match=r"the probe key-a .*is neither"):
        fetch_probe(store, "key-a")


def test_a_run_folder_gives_only_the_probe_that_its_ledger_names(store, journal):
    store.client.delete_run(journal.run.run_id)
    with pytest.raises(ProbeMissingError):
        fetch_probe(store, "key-b")


def test_a_damaged_probe_file_counts_as_missing_and_its_folder_is_named(store, journal):
    store.client.delete_run(journal.run.run_id)
    (journal.folder / "probe" / "nodes.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(ProbeMissingError, match=f"{journal.folder}/probe cannot be read"):
        fetch_probe(store, "key-a")


def test_the_probe_in_the_run_folder_serves_where_the_one_in_mlflow_is_damaged(store, journal):
    stored = journal.run.fetch("probe")
    (stored / "nodes.parquet").write_bytes(b"PAR1 cut short")
    assert set(fetch_probe(store, "key-a")) == {"edges", "nodes", "task"}


def test_a_damaged_ledger_of_another_run_hides_no_probe(store, journal):
    other = store.folder / "runs" / "0-another"
    shutil.copytree(journal.folder, other)
    (other / "ledger.jsonl").write_bytes(b"{}\n{broken\n{}\n")
    store.client.delete_run(journal.run.run_id)
    assert set(fetch_probe(store, "key-a")) == {"edges", "nodes", "task"}


SITES = pd.DataFrame({"node": [1, 1], "map": ["norm", "q"], "frobenius_norm": [np.nan, 0.25]})


def test_a_probe_that_has_measured_sites_keeps_them_wherever_it_lies(store, make_tables):
    journal = Journal(store, "digits", "pick digits", {}, {}, pytest.fail)
    journal.record_probe("key-a", {**make_tables(0.25), "sites": SITES})
    pd.testing.assert_frame_equal(fetch_probe(store, "key-a")["sites"], SITES)
    store.client.delete_run(journal.run.run_id)
    pd.testing.assert_frame_equal(fetch_probe(store, "key-a")["sites"], SITES)


def test_an_older_probe_that_follows_in_a_run_folder_does_not_get_the_sites_before(
    store, make_tables
):
    journal = Journal(store, "digits", "pick digits", {}, {}, pytest.fail)
    journal.record_probe("key-a", {**make_tables(0.25), "sites": SITES})
    journal.record_probe("key-b", make_tables(0.1))
    store.client.delete_run(journal.run.run_id)
    assert set(fetch_probe(store, "key-b")) == {"edges", "nodes", "task"}


def test_a_damaged_table_of_sites_is_not_taken_for_a_missing_one(store, make_tables):
    journal = Journal(store, "digits", "pick digits", {}, {}, pytest.fail)
    journal.record_probe("key-a", {**make_tables(0.25), "sites": SITES})
    store.client.delete_run(journal.run.run_id)
    (journal.folder / "probe" / "sites.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(ProbeMissingError, match=f"{journal.folder}/probe cannot be read"):
        fetch_probe(store, "key-a")
