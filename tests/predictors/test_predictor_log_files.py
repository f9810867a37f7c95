"""Placement logs on disk: whole files are refused with a reason, single rows are set aside."""

from __future__ import annotations

import pandas as pd
import pytest

from predictors import (
    LOG_SCHEMA_VERSION,
    PlacementLog,
    PredictorError,
    build_training_set,
    log_card,
    log_stats,
    read_log,
    shipped_log,
    sort_out,
    write_log,
)
from predictors.vocabulary import FIRST_OPTIMISER


@pytest.fixture
def log(make_log, probe_tables) -> PlacementLog:
    tables = (probe_tables(seed=task) for task in range(6))
    probes = {
        f"probe{task}": dict(zip(("edges", "nodes", "task"), each, strict=True))
        for task, each in enumerate(tables)
    }
    return PlacementLog(make_log(), probes)


def test_a_log_comes_back_as_it_was_written(log, tmp_path) -> None:
    again = read_log(write_log(log, tmp_path / "log", log_card(log)))
    pd.testing.assert_frame_equal(again.trials, log.trials, check_dtype=False)
    assert set(again.probes) == set(log.probes)
    for key, tables in log.probes.items():
        for name, table in tables.items():
            sketch = [column for column in table if column.startswith("sketch_")]
            found = again.probes[key][name]
            pd.testing.assert_frame_equal(found[sketch], table[sketch], atol=1e-5, rtol=1e-3)
            rest = (found.drop(columns=sketch), table.drop(columns=sketch))
            pd.testing.assert_frame_equal(*rest, rtol=1e-6)
    assert again.set_aside.empty


def test_the_trials_alone_can_be_read_and_written_by_other_tools(log, tmp_path) -> None:
    log.trials.to_parquet(tmp_path / "trials.parquet")
    assert len(read_log(tmp_path / "trials.parquet").trials) == len(log.trials)


def test_outcomes_and_settings_keep_their_double_precision(log, tmp_path) -> None:
    trials = log.trials.assign(propensity=1e-50, learning_rate=0.003)
    again = read_log(write_log(PlacementLog(trials, log.probes), tmp_path / "log", ""))
    assert (again.trials["propensity"] == 1e-50).all()
    assert (again.trials["learning_rate"] == 0.003).all()


def test_a_folder_in_use_is_not_overwritten(log, tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PredictorError, match="not an empty folder"):
        write_log(log, tmp_path, "")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.fixture
def log_with_sites(log) -> PlacementLog:
    """The log, one of whose probes has measured the maps inside sub-layers."""
    sites = pd.DataFrame({"node": [1, 1], "map": ["norm", "q"], "snr": [float("nan"), 0.25]})
    return PlacementLog(
        log.trials, log.probes | {"probe3": log.probes["probe3"] | {"sites": sites}}
    )


def test_probes_with_and_without_sites_lie_in_one_log(log_with_sites, tmp_path) -> None:
    again = read_log(write_log(log_with_sites, tmp_path / "log", ""))
    assert [key for key, tables in again.probes.items() if "sites" in tables] == ["probe3"]
    pd.testing.assert_frame_equal(
        again.probes["probe3"]["sites"], log_with_sites.probes["probe3"]["sites"]
    )


def test_a_log_of_older_probes_has_no_table_of_sites(log, tmp_path) -> None:
    folder = write_log(log, tmp_path / "log", "")
    assert not (folder / "sites.parquet").exists()
    assert all("sites" not in tables for tables in read_log(folder).probes.values())
    assert all("sites" in tables for tables in read_log(shipped_log()).probes.values())


def test_sites_that_were_written_and_are_gone_make_the_log_incomplete(
    log_with_sites, tmp_path
) -> None:
    folder = write_log(log_with_sites, tmp_path / "log", "")
    (folder / "sites.parquet").unlink()
    with pytest.raises(PredictorError, match="not a complete placement log"):
        read_log(folder)


@pytest.mark.parametrize("name", ["trials.parquet", "edges.parquet", "card.md"])
def test_a_damaged_file_is_named(log, tmp_path, name) -> None:
    folder = write_log(log, tmp_path / "log", "# card\n")
    damaged = bytearray((folder / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / name).write_bytes(damaged)
    with pytest.raises(PredictorError, match=f"{name} does not match its checksum"):
        read_log(folder)


def test_a_folder_that_is_not_whole_is_refused(log, tmp_path) -> None:
    folder = write_log(log, tmp_path / "log", "")
    (folder / "nodes.parquet").unlink()
    with pytest.raises(PredictorError, match="not a complete placement log"):
        read_log(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda log: log.assign(schema_version=99), "schema 99; this release reads up to 7"),
        (lambda log: log.drop(columns="seed"), "missing columns: seed"),
        (lambda log: log.drop(columns="schema_version"), "missing columns: schema_version"),
        (lambda log: log.assign(mood="good"), "unknown columns: mood"),
    ],
)
def test_a_file_of_another_form_is_one_error(make_log, tmp_path, change, told) -> None:
    path = tmp_path / "log.parquet"
    change(make_log()).to_parquet(path)
    with pytest.raises(PredictorError, match=told):
        read_log(path)


def test_what_is_no_parquet_is_one_error(tmp_path) -> None:
    (tmp_path / "log.parquet").write_text("placement,val\n")
    with pytest.raises(PredictorError, match="not a Parquet file of a placement log"):
        read_log(tmp_path / "log.parquet")
    with pytest.raises(PredictorError, match="no placement log at"):
        read_log(tmp_path / "absent")


def test_repeated_rows_are_set_aside_once_each(make_log) -> None:
    log = make_log()
    twice = pd.concat([log, log.iloc[:3]], ignore_index=True)
    again = log.iloc[5:6].assign(trial_id="again")
    kept, aside = sort_out(pd.concat([twice, again], ignore_index=True))
    assert list(kept["trial_id"]) == list(log["trial_id"])
    n = len(log)
    assert list(aside["row"]) == [n, n + 1, n + 2, n + 3]
    assert list(aside["reason"].unique()) == [
        "repeats an earlier row",
        "an earlier row has the same trial; outcomes are averaged",
    ]


def test_rows_that_contradict_each_other_are_both_set_aside(make_log) -> None:
    log = make_log()
    other = log.iloc[[0]].assign(trial_id="other", val_metric=log["val_metric"][0] - 0.1)
    kept, aside = sort_out(pd.concat([log, other], ignore_index=True))
    assert list(aside["row"]) == [0, len(log)]
    assert set(aside["reason"]) == {"another row of the same trial has a different outcome"}
    assert len(kept) == len(log) - 1


@pytest.mark.parametrize(
    ("n_val", "flips"), [(8, 1), (40, 1), (200, 4), (None, 4), (1000, 11), (10_000, 71)]
)
@pytest.mark.parametrize("metric", ["accuracy", "macro-f1"])
def test_outcomes_of_one_trial_that_rounding_explains_are_averaged(
    make_log, n_val, flips, metric
) -> None:
    log = make_log().assign(metric=metric, n_val=n_val)
    first = log.iloc[[0]].assign(trial_id="0", val_accuracy=0.5, val_metric=0.4, val_loss=1.0)
    images = n_val or 200
    for extra, kept_rows in ((flips, 1), (flips + 1, 0)):
        accuracy = 0.5 + extra / images
        again = first.assign(
            trial_id="1",
            val_accuracy=accuracy,
            val_metric=accuracy if metric == "accuracy" else 0.9,
            val_loss=2.0,
            head_only_val_metric=0.7,
            seconds=9.0,
        )
        if metric == "accuracy":
            first = first.assign(val_metric=0.5)
        kept, aside = sort_out(pd.concat([first, again, log.iloc[1:]], ignore_index=True))
        assert len(kept) == len(log) - 1 + kept_rows
        if not kept_rows:
            assert set(aside["reason"]) == {"another row of the same trial has a different outcome"}
            continue
        assert aside["row"].tolist() == [1]
        row = kept.iloc[0]
        assert row["trial_id"] == "0" and row["seconds"] == 3.0
        assert row["val_accuracy"] == pytest.approx((0.5 + accuracy) / 2)
        assert row["val_metric"] == pytest.approx(
            (first["val_metric"].item() + again["val_metric"].item()) / 2
        )
        assert row["head_only_val_metric"] == pytest.approx(0.65)
        assert row["val_loss"] == pytest.approx(1.5)
        rest = [table.iloc[1:].convert_dtypes() for table in (kept, log)]
        pd.testing.assert_frame_equal(*rest, check_dtype=False)


def test_one_id_for_two_trials_leaves_neither(make_log) -> None:
    log = make_log()
    other = log.iloc[[0]].assign(seed=5)
    kept, aside = sort_out(pd.concat([log, other], ignore_index=True))
    assert list(aside["row"]) == [0, len(log)]
    assert aside["reason"].str.startswith("another row with the same trial_id").all()
    assert len(kept) == len(log) - 1


def test_another_seed_or_release_is_another_trial(make_log) -> None:
    log = make_log()
    changes = (
        {"seed": 1}, {"git_commit": "abc"}, {"epochs": 9}, {"protocol": "given-rate"},
        {"optimiser": "sgd"},
    )  # fmt: skip
    for change in changes:
        other = log.iloc[[0]].assign(trial_id="other", val_metric=0.1, **change)
        assert sort_out(pd.concat([log, other], ignore_index=True))[1].empty


@pytest.mark.parametrize("column", ["backbone", "group", "n_nodes", "backbone_sha256"])
def test_a_task_described_in_two_ways_is_set_aside_whole(make_log, column) -> None:
    log = make_log()
    log[column] = log[column].astype(object)
    log.loc[0, column] = 7 if column == "n_nodes" else "another"
    _, aside = sort_out(log)
    assert set(aside["trial_id"]) == set(log.loc[log["task"] == log["task"][0], "trial_id"])
    assert set(aside["reason"]) == {"other rows describe its task differently"}


def test_bad_rows_are_set_aside_and_the_others_learnt_from(make_log, features) -> None:
    log = make_log()
    log.loc[3, "val_metric"] = 1.7
    log.loc[9, "schema_version"] = 99
    kept, aside = sort_out(log)
    assert list(aside["row"]) == [3, 9]
    assert aside["reason"].str.contains("val_metric|schema_version").all()
    assert len(build_training_set(kept, features)) == len(log) - 2


def test_the_shipped_log_keeps_every_row_in_this_schema_and_in_an_older_one(tmp_path) -> None:
    raw = pd.read_parquet(shipped_log() / "trials.parquet")
    newer = [
        "family_source", "image_digests", "n_val", "protocol", "rates", "n_measured",
        *(f"{which}measured_{name}" for which in ("", "head_only_")
          for name in ("metric", "accuracy", "loss")),
        "remedy", "optimiser",
    ]  # fmt: skip
    raw.drop(columns=newer, errors="ignore").assign(schema_version=2).to_parquet(
        tmp_path / "old.parquet"
    )
    columns = raw.columns.difference(newer, sort=False)
    upgraded = raw.assign(schema_version=LOG_SCHEMA_VERSION)
    for path, kept in ((shipped_log(), raw.columns), (tmp_path / "old.parquet", columns)):
        log = read_log(path)
        assert log.set_aside.empty and len(log.trials) == len(raw) == 1440
        pd.testing.assert_frame_equal(log.trials[kept], upgraded[kept], check_dtype=False)
    filled = log.trials[newer].drop(columns=["protocol", "optimiser"])
    assert filled.isna().all(axis=None) and set(log.trials["protocol"]) == {"table-rate"}
    assert set(log.trials["optimiser"]) == {FIRST_OPTIMISER}


def test_the_shipped_log_has_rates_found_on_each_task_so_sizes_can_be_compared() -> None:
    log = read_log(shipped_log())
    assert set(log.trials["protocol"]) == {"found-rate"}
    card = " ".join((shipped_log() / "card.md").read_text().split())
    assert "| found-rate | 1440 |" in card
    assert "only compare placements with the same number of edges" not in card
    alone = log.trials[log.trials["rates"].isna()]
    rates = alone.groupby(["backbone", "task", "adapter_kind"], dropna=False)["learning_rate"]
    assert (rates.nunique() == 1).all()
    assert log.trials["optimiser"].nunique() == 1
    assert FIRST_OPTIMISER not in set(log.trials["optimiser"])


def test_the_card_of_a_log_with_rates_from_a_table_says_that_sizes_are_confounded(log) -> None:
    trials = log.trials.assign(protocol="table-rate")
    card = " ".join(log_card(PlacementLog(trials, log.probes)).split())
    assert f"| table-rate | {len(trials)} |" in card
    assert "only compare placements with the same number of edges" in card


def test_stats_count_what_is_there(log) -> None:
    failed = log.trials.iloc[[0]].assign(
        trial_id="f", status="failed", failure_reason="NaN", val_metric=None, test_metric=None
    )
    trials = pd.concat([log.trials, failed], ignore_index=True)
    found = log_stats(PlacementLog(trials, log.probes)).set_index("task_name")
    assert found["trials"].tolist() == [40] * 6
    assert found["failed"].tolist() == [1, 0, 0, 0, 0, 0]
    first = log.trials[log.trials["task_name"] == "task 0"]
    assert found.loc["task 0", "best_gain"] == pytest.approx(first["val_metric"].max() - 0.6)
    assert found.loc["task 0", "placements"] == 40


def test_stats_never_mix_protocols_optimisers_epochs_or_metrics(log) -> None:
    changes = (
        {"protocol": "table-rate"},
        {"optimiser": "sgd"},
        {"epochs": 9},
        {"metric": "log-loss", "val_metric": -0.1, "head_only_val_metric": -0.2},
    )
    others = [
        log.trials.iloc[[0]].assign(trial_id=f"other-{k}", **change)
        for k, change in enumerate(changes)
    ]
    found = log_stats(PlacementLog(pd.concat([log.trials, *others]), log.probes))
    found = found[found["task_name"] == "task 0"]
    assert found["comparison"].tolist() == [
        "accuracy:4:found-rate", "accuracy:4", "accuracy:4:sgd:found-rate", "accuracy:9:found-rate",
        "log-loss:4:found-rate",
    ]  # fmt: skip
    assert found["trials"].tolist() == [40, 1, 1, 1, 1]
    assert found["best_gain"].iloc[-1] == pytest.approx(0.1)


def test_the_card_tells_every_column(log) -> None:
    card = log_card(log)
    assert all(f"`{column}`" in card for column in log.trials.columns)
    assert "240 finished, 0 failed and 0 pruned" in card
    assert "| found-rate | 240 |" in card and "same number of edges" not in card
