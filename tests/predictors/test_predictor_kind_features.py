"""The features of kinds say which maps a placement changes and how they rank in the task."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from predictors import KIND_COLUMNS, SCHEMA, PredictorError, build_features, kind_features

STATISTICS = ("stable_rank", "frobenius_norm", "gamma_norm", "beta_norm")
OF_SUBLAYER = {1: ("norm", "q", "k", "v", "o"), 0: ("norm", "fc1", "fc2")}


@pytest.fixture
def sites() -> pd.DataFrame:
    """The table of a task with two blocks; some values tie, a norm has no weight matrix."""
    rng = np.random.default_rng(0)
    rows = [{"node": node, "map": name} for node in range(1, 5) for name in OF_SUBLAYER[node % 2]]
    table = pd.DataFrame(rows)
    for name in STATISTICS:
        table[name] = rng.integers(1, 8, len(table)).astype(float)
    table.loc[table["map"] == "norm", ["stable_rank", "frobenius_norm"]] = np.nan
    return table


@pytest.fixture
def placements() -> pd.DataFrame:
    rows = [
        ("second", 2, 3, "q v"),
        ("second", 3, 4, "fc1"),
        ("second", 0, 4, ""),
        ("first", 0, 1, "norm q k v o"),
        ("stream", 4, 1, ""),
        ("prefix", 0, 1, "kv"),
    ]
    return pd.DataFrame(rows, columns=["placement", "source", "target", "maps"])


def test_every_feature_equals_the_plain_loop_over_edges_and_maps(sites, placements) -> None:
    X = kind_features(sites, placements)
    assert list(X.index) == ["second", "first", "stream", "prefix"]
    for text, own in placements.groupby("placement"):
        words = [each.split() for each in own["maps"]]
        assert X.loc[text, "fraction_inside"] == np.mean([bool(each) for each in words])
        assert X.loc[text, "fraction_stream"] == np.mean([not each for each in words])
        for name in ("norm", "q", "k", "v", "o", "fc1", "fc2"):
            assert X.loc[text, f"fraction_{name}"] == np.mean([name in each for each in words])
        for name in STATISTICS:
            known = sites[name].dropna()
            ranks = [
                ((known < value).sum() + ((known == value).sum() + 1) / 2) / len(known)
                for target, maps in zip(own["target"], words, strict=True)
                for each in maps
                for value in sites.query("node == @target and map == @each")[name].dropna()
            ]
            for how, of in (("mean", np.mean), ("max", np.max)):
                expected = of(ranks) if ranks else np.nan
                found = X.loc[text, f"site_{name}_percentile_{how}"]
                assert found == pytest.approx(expected, nan_ok=True), (text, name, how)


def test_columns_are_those_it_names_and_none_of_the_schema(sites, placements) -> None:
    X = kind_features(sites, placements)
    names = [column.name for column in KIND_COLUMNS]
    assert list(X.columns) == names
    assert set(X.dtypes.astype(str)) == {"float64"}
    assert not set(names) & set(SCHEMA.names)
    assert all(column.meaning and column.role == "feature" for column in KIND_COLUMNS)


@pytest.mark.parametrize("missing", [None, pd.DataFrame()])
def test_without_the_table_only_what_was_measured_is_unknown(sites, placements, missing) -> None:
    X, known = kind_features(missing, placements), kind_features(sites, placements)
    measured = [name for name in X if name.startswith("site_")]
    assert X[measured].isna().all(axis=None)
    pd.testing.assert_frame_equal(X.drop(columns=measured), known.drop(columns=measured))


def test_the_order_of_rows_and_units_of_the_loss_do_not_matter(sites, placements) -> None:
    scaled = sites.sample(frac=1, random_state=1).assign(
        **{name: 7 * sites[name] for name in STATISTICS}
    )
    pd.testing.assert_frame_equal(
        kind_features(scaled, placements), kind_features(sites, placements)
    )


def test_all_tables_of_a_probe_can_be_given_to_the_other_features(
    probe_tables, placement_rows, sites
) -> None:
    tables = dict(zip(("edges", "nodes", "task"), probe_tables(seed=0), strict=True))
    rows = placement_rows([[(0, 1), (3, 7)]])
    pd.testing.assert_frame_equal(
        build_features(**tables, sites=sites, placements=rows, backbone="starter"),
        build_features(**tables, placements=rows, backbone="starter"),
    )


def test_a_map_that_is_there_twice_is_refused(sites, placements) -> None:
    with pytest.raises(PredictorError, match="map q of node 1 twice"):
        kind_features(pd.concat([sites, sites.iloc[[1]]]), placements)


def test_a_missing_column_is_named(sites, placements) -> None:
    with pytest.raises(PredictorError, match="the placements table lacks maps"):
        kind_features(sites, placements.drop(columns="maps"))
    with pytest.raises(PredictorError, match="the sites table lacks gamma_norm"):
        kind_features(sites.drop(columns="gamma_norm"), placements)
