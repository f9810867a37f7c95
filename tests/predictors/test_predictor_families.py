"""Every task has one family, and data sets that share images have one between them."""

from __future__ import annotations

import pandas as pd
import pytest

from predictors import log_table, settle_families, sort_out


def families(*rows: tuple[str, str, str | None, str | None]) -> list[str]:
    """Settled families of rows of task, family, source and digests."""
    names = ("task", "family", "family_source", "image_digests")
    log = log_table(dict(zip(names, row, strict=True)) for row in rows)
    settled = settle_families(log)
    pd.testing.assert_frame_equal(settle_families(settled), settled)
    return list(settled["family"])


def test_the_most_recent_family_given_is_that_of_all_rows_of_a_task() -> None:
    assert families(
        ("a", "images", "default", None),
        ("a", "leaves", "given", None),
        ("b", "images", "default", None),
        ("a", "trees", "given", None),
        ("a", "images", "default", None),
    ) == ["trees", "trees", "images", "trees", "trees"]


def test_where_none_was_given_the_most_recent_row_decides() -> None:
    assert families(("a", "old", None, None), ("a", "new", "default", None)) == ["new", "new"]


def test_a_family_given_for_a_data_set_holds_under_every_backbone() -> None:
    digests = "a1 b2 c3 d4 e5"
    assert families(
        ("data:starter", "images", "default", digests),
        ("data:vit", "leaves", "given", digests),
        ("other", "images", "default", "f6 07 18 29 3a"),
    ) == ["leaves", "leaves", "leaves"]  # `other` shares its default family with the first


@pytest.mark.parametrize(
    ("one", "other", "united"),
    [
        ("a b c d e f", "a b c x y z", True),
        ("a b c d e f", "a b x y z w", False),  # a blank image and a placeholder
        ("a b", "b a", True),
        ("a b", "a c", False),
        ("a", "", False),
    ],
)
def test_three_images_in_common_unite_and_accidental_duplicates_do_not(one, other, united) -> None:
    found = families(("1", "first", "default", one), ("2", "second", "default", other))
    assert found == (["first", "first"] if united else ["first", "second"])


def test_sharing_is_passed_on_and_the_name_does_not_depend_on_the_order() -> None:
    rows = [
        ("1", "c", "default", "a b c d"),
        ("2", "b", "builtin", "b c d e f g"),
        ("3", "a", "default", "e f g h"),
        ("4", "b", "builtin", "i j k l"),
        ("5", "z", "default", None),
    ]
    assert families(*rows) == ["a", "a", "a", "a", "z"]
    assert families(*reversed(rows)) == ["z", "a", "a", "a", "a"]


def test_of_two_given_names_the_most_recent_wins() -> None:
    rows = [("1", "mine", "given", "a b c"), ("2", "ours", "given", "a b c")]
    assert families(*rows) == ["ours", "ours"]
    assert families(*reversed(rows)) == ["mine", "mine"]


def test_digests_of_a_task_are_those_of_all_its_rows() -> None:
    assert families(
        ("1", "a", None, None), ("1", "a", None, "x y z"), ("2", "b", None, "x y z")
    ) == ["a", "a", "a"]


def test_rows_without_family_or_task_are_left_as_they_are() -> None:
    assert families(("1", "", None, None), ("1", "a", None, None)) == ["", "a"]
    assert settle_families(log_table([])).empty


def test_a_task_with_rows_of_two_families_loses_no_row(make_log) -> None:
    log = make_log()
    log.loc[10:19, ["family", "family_source"]] = ["mine", "given"]
    kept, aside = sort_out(log)
    assert aside.empty and len(kept) == len(log)
    of_task = log["task"] == log["task"][0]
    assert set(kept.loc[of_task, "family"]) == {"mine"}
    pd.testing.assert_series_equal(kept.loc[~of_task, "family"], log.loc[~of_task, "family"])


def test_a_row_that_is_there_twice_with_two_families_is_kept_once(make_log) -> None:
    log = make_log()
    again = log.iloc[[3]].assign(family="mine", family_source="given")
    kept, aside = sort_out(pd.concat([log, again], ignore_index=True))
    assert list(aside["reason"]) == ["repeats an earlier row"]
    assert len(kept) == len(log) and kept["family"][3] == "mine"
