"""`autoplace logs` and `autoplace tasks`."""

from __future__ import annotations

import pandas as pd
import pytest

from autoplace.data import list_tasks
from autoplace.tracking import Store, read_rows
from predictors import log_table, read_log, shipped_log


@pytest.fixture(scope="module")
def exported(cli, home, collected, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "log"
    done = cli("logs", "export", folder, cwd=home)
    assert done.code == 0, done.err
    return folder


def test_what_was_collected_is_exported_imported_and_the_same(cli, store, exported, tmp_path):
    log = read_log(exported)
    records = log_table(read_rows(store)).set_index("trial_id")
    assert set(log.trials["trial_id"]) <= set(records.index)
    assert len(log.probes) == 2
    done = cli("logs", "import", exported, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out.startswith(f"{len(log.trials)} new trials")
    there = log_table(read_rows(Store(f"sqlite:///{tmp_path}/autoplace-store/mlflow.db")))
    pd.testing.assert_series_equal(
        there.set_index("trial_id")["val_metric"].sort_index(),
        records.loc[log.trials["trial_id"], "val_metric"].sort_index(),
        check_names=False,
    )
    again = cli("logs", "import", exported, cwd=tmp_path)
    assert again.out.startswith("0 new trials")


def test_retrain_learns_from_an_imported_log(cli, exported, tmp_path):
    assert cli("logs", "import", exported, cwd=tmp_path).code == 0
    done = cli("retrain", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    # Two names were given for the same images: they are one family, of the name given last.
    assert "beams" in done.document["families"]
    assert "bars" not in done.document["families"]


def test_validate_counts_what_it_sets_aside(cli, exported, tmp_path):
    trials = pd.read_parquet(exported / "trials.parquet")
    pd.concat([trials, trials.iloc[:2]]).to_parquet(tmp_path / "twice.parquet")
    done = cli("logs", "validate", tmp_path / "twice.parquet", cwd=tmp_path)
    assert done.code == 0
    assert f"{len(trials)} valid rows" in done.out
    assert "set aside: 2 rows, repeats an earlier row" in done.out
    document = cli("logs", "validate", tmp_path / "twice.parquet", "--json", cwd=tmp_path).document
    assert [row["reason"] for row in document["set_aside"]] == ["repeats an earlier row"] * 2


def test_a_file_that_is_no_log_is_refused_in_one_line(cli, home, tmp_path):
    (tmp_path / "log.parquet").write_text("no\n")
    for command in (("logs", "validate"), ("logs", "stats"), ("logs", "import")):
        done = cli(*command, tmp_path / "log.parquet", cwd=home)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1
        assert "not a Parquet file of a placement log" in done.err


def test_nothing_to_export_is_bad_input_and_writes_nothing(cli, exported, home, tmp_path):
    done = cli("logs", "export", tmp_path / "log", cwd=tmp_path)
    assert done.code == 2 and "no finished or failed trial" in done.err
    done = cli("logs", "export", tmp_path / "log", "--tasks", "nothing-*", cwd=home)
    assert done.code == 2 and "no trial" in done.err
    assert not (tmp_path / "log").exists()
    assert cli("logs", "export", exported, cwd=home).code == 2


def test_the_shipped_log_is_whole_and_as_large_as_documented(cli, tmp_path):
    size = sum(path.stat().st_size for path in shipped_log().iterdir())
    assert size <= 5_000_000
    document = cli("logs", "validate", "--json", cwd=tmp_path).document
    assert document["set_aside"] == []
    stats = pd.DataFrame(cli("logs", "stats", "--json", cwd=tmp_path).document)
    assert stats["trials"].sum() >= 800
    assert stats["family"].nunique() >= 8
    assert stats["task_name"].nunique() >= 18
    assert stats["backbone"].nunique() >= 2
    assert "finished trials" in cli("logs", "stats", cwd=tmp_path).out


def test_tasks_are_listed_for_people_and_for_machines(cli, tmp_path):
    lines = cli("tasks", cwd=tmp_path).out.splitlines()
    assert len(lines) == len(list_tasks()) + 3  # a header, a rule and a last word
    document = cli("tasks", "fonts", "--json", cwd=tmp_path).document
    assert {task["family"] for task in document} == {"fonts"}
    wanted = {"name", "family", "group", "asks", "classes", "source", "licence", "version"}
    assert all(set(task) == wanted for task in document)


def test_a_pattern_that_matches_no_task_is_bad_input(cli, tmp_path):
    done = cli("tasks", "nothing-*", cwd=tmp_path)
    assert done.code == 2 and "'autoplace tasks' lists all" in done.err
