"""`autoplace collect`: one line per finished trial, each a row to learn from."""

from __future__ import annotations

import pytest

from autoplace.placement import Placement
from autoplace.tracking import read_records
from predictors import reject_rows

PROMISED = ("placement", "status", "val_accuracy", "val_loss", "test_accuracy",
            "head_only_val_accuracy", "seconds")  # fmt: skip


def test_each_finished_trial_is_one_json_line_with_the_promised_fields(collected):
    for done in collected:
        assert done.code == 0, done.err
        for row in done.lines:
            assert set(PROMISED) <= set(row)
            assert row["status"] == "done"
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


def test_a_placements_file_decides_what_is_run_and_in_which_order(collected):
    rows = collected[1].lines[1:]
    expected = [str(Placement.parse(line)) for line in (
        "0>5+7>3@bottleneck:r=8", "20>22@linear:r=4", "4>4+9>10+18>2@bottleneck:r=2;T=3"
    )]  # fmt: skip
    assert [row["placement"] for row in rows] == expected
    assert {row["chosen_by"] for row in rows} == {"file"}


def test_progress_goes_to_stderr_and_the_store_holds_what_stdout_said(collected, store):
    assert "[5/5]" in collected[0].err
    records = read_records(store).set_index("trial_id")
    rows = [row for done in collected for row in done.lines]
    for row in rows:
        for name in PROMISED:
            assert records.loc[row["trial_id"], name] == pytest.approx(row[name]), name


def test_the_rows_are_in_order_for_a_predictor(collected, store):
    found = reject_rows(read_records(store))
    assert found.empty, found.to_string()
