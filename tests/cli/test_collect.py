"""`autoplace collect`: one line per finished trial, each a row to learn from."""

from __future__ import annotations

import json
import shutil

import pytest

from autoplace.agent import collect
from autoplace.placement import Placement
from autoplace.settings import CollectSettings
from autoplace.tracking import find_run, read_rows
from autoplace.tracking.store import search_runs
from predictors import log_table, reject_rows

SMALL = ("--probe-images", "24", "--batch-size", "16")  # as what is compared was collected
PROMISED = ("placement", "status", "val_accuracy", "val_loss", "test_accuracy",
            "head_only_val_accuracy", "seconds")  # fmt: skip


def test_each_finished_trial_is_one_json_line_with_the_promised_fields(collected):
    for done in collected:
        assert done.code == 0, done.err
        for row in done.lines:
            assert set(PROMISED) <= set(row)
            assert row["status"] == "done"
            assert row["optimiser"] == "adamw beta2=0.95 warm-up=0.1"
            assert all(row[name] is not None for name in PROMISED)


def test_head_only_comes_first_and_is_what_every_row_is_measured_from(collected):
    for done in collected:
        first, *others = done.lines
        assert first["placement"] == "head-only"
        assert all(row["placement"] != "head-only" for row in others)
        assert {row["head_only_val_accuracy"] for row in done.lines} == {first["val_accuracy"]}
        assert {row["head_only_test_accuracy"] for row in done.lines} == {first["test_accuracy"]}


def test_as_many_placements_are_sampled_as_asked_for_each_with_its_propensity(collected):
    rows = collected[0].lines[1:]
    assert len({row["placement"] for row in rows}) == 4
    assert all(0 < row["propensity"] <= 1 for row in rows)


def test_a_placements_file_decides_what_is_run(collected):
    rows = collected[1].lines[1:]
    expected = [str(Placement.parse(line)) for line in (
        "0>5+7>3@bottleneck:r=8", "20>22@linear:r=4", "4>4+9>10+18>2@bottleneck:r=2;T=3"
    )]  # fmt: skip
    assert sorted(row["placement"] for row in rows) == sorted(expected)
    assert {row["chosen_by"] for row in rows} == {"file"}


def by_placement(rows):
    return sorted(rows, key=lambda row: row["placement"])


@pytest.mark.parametrize("number", ["3", "auto"])
def test_placements_side_by_side_give_the_rows_they_give_in_turn(
    cli, collected, home, image_folder, new_store, number
):
    done = cli(
        "collect", image_folder, *SMALL, "--epochs", 1, "--lr", 0.02, "--json", "--placements", 4,
        "--family", "bars", "--parallel-placements", number, "--store", new_store().uri, cwd=home,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert len(done.lines) == len(collected[0].lines)
    # Side by side, rows come as trials end.
    pairs = zip(by_placement(done.lines), by_placement(collected[0].lines), strict=True)
    for ours, theirs in pairs:
        assert ours["placement"] == theirs["placement"]
        assert ours["val_accuracy"] == theirs["val_accuracy"]
        assert ours["test_accuracy"] == theirs["test_accuracy"]
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-4)


def test_what_trials_read_can_be_set_and_is_in_their_rows(cli, home, image_folder, new_store):
    done = cli(
        "collect", image_folder, *SMALL, "--epochs", 2, "--json", "--placements", 2,
        "--augment", "crop", "--views", 2, "--cache-precision", "bf16", "--cache-gb", 0,
        "--store", new_store().uri, cwd=home,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert {row["augment"] for row in done.lines} == {"crop:views=2"}
    assert {row["precision"] for row in done.lines} == {"float32, cached in bf16"}
    assert "activations beyond --cache-gb are kept in files in " in done.err


def test_a_cache_folder_that_cannot_be_used_is_told_and_slower_but_no_end(
    cli, collected, home, image_folder, new_store
):
    done = cli(
        "collect", image_folder, *SMALL, "--epochs", 1, "--lr", 0.02, "--json", "--placements", 4,
        "--family", "bars", "--cache-gb", 0, "--cache-dir", "/proc/none",
        "--store", new_store().uri, cwd=home,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.err.count("cannot keep activations in /proc/none") == 1
    assert [row["val_accuracy"] for row in by_placement(done.lines)] == [
        row["val_accuracy"] for row in by_placement(collected[0].lines)
    ]


def test_progress_goes_to_stderr_and_the_store_holds_what_stdout_said(collected, store):
    assert "[1/1] head-only" in collected[0].err
    assert "[4/4]" in collected[0].err
    records = log_table(read_rows(store)).set_index("trial_id")
    rows = [row for done in collected for row in done.lines]
    for row in rows:
        for name in PROMISED:
            assert records.loc[row["trial_id"], name] == pytest.approx(row[name]), name


def test_the_rows_are_in_order_for_a_predictor(collected, store):
    found = reject_rows(log_table(read_rows(store)))
    assert found.empty, found.to_string()


def test_unreadable_and_equal_images_are_told_of_and_listed_in_the_store(
    cli, image_folder, new_store, tmp_path
):
    images = shutil.copytree(image_folder, tmp_path / "bars")
    (images / "red" / "00.png").write_bytes(b"no image")
    for number in range(1, 20):  # one picture twenty times: some in every split
        shutil.copy(images / "blue" / "00.png", images / "blue" / f"{number:02d}.png")
    store = new_store()
    done = cli(
        "collect", images, "--probe-images", 24, "--epochs", 1, "--placements", 1, "--json",
        "--store", store.uri, cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "1 images cannot be read and are skipped, e.g. " in done.err
    assert "1 images occur in more than one split" in done.err
    (run,) = search_runs(store, "tags.`autoplace.role` = 'collect'")
    issues = json.loads(find_run(store, run.info.run_id).fetch("data_issues.json").read_text())
    assert [bad["path"] for bad in issues["bad"]] == [str(images / "red" / "00.png")]
    assert set(issues["equal_across_splits"][0]["splits"]) == {"train", "val", "test"}


def test_a_collection_that_is_given_up_ends_killed_and_keeps_what_finished(image_folder, new_store):
    store = new_store()
    settings = CollectSettings(probe_images=24, epochs=1, placements=3, store=store.uri)
    rows = collect([str(image_folder)], settings)
    finished = [next(rows), next(rows)]
    rows.close()
    (run,) = search_runs(store, "tags.`autoplace.role` = 'collect'")
    assert run.info.status == "KILLED"
    recorded = log_table(read_rows(store))
    done = recorded[recorded["status"] == "done"]  # the one that ran beside is interrupted
    assert list(done["trial_id"]) == [row["trial_id"] for row in finished]
    assert set(recorded["status"]) <= {"done", "interrupted"}
