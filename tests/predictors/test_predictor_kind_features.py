"""The features of kinds say which maps a placement changes and how they rank in the task."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autoplace.adapters import list_adapters
from predictors import SCHEMA, PredictorError, build_features
from predictors.vocabulary import ADAPTER_KINDS

STATISTICS = ("stable_rank", "frobenius_norm", "gamma_norm", "beta_norm")
MAPS = ("norm", "q", "k", "v", "o", "fc1", "fc2")
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
        ("second", 2, 3, "lora", "q v"),
        ("second", 3, 4, "lora", "fc1"),
        ("second", 0, 4, "bottleneck", ""),
        ("first", 0, 1, "bitfit", "norm q k v o"),
        ("stream", 4, 1, "convpass", ""),
        ("prefix", 0, 1, "prefix", "kv"),
        ("own", 0, 1, "a-kind-of-the-user", ""),
    ]
    columns = ["placement", "source", "target", "adapter_kind", "maps"]
    return pd.DataFrame(rows, columns=columns).assign(rank=2, parameters=100, unroll=1)


@pytest.fixture
def describe(probe_tables):
    """Features of placements, given the table of sites."""

    def describe(sites: pd.DataFrame | None, placements: pd.DataFrame) -> pd.DataFrame:
        return build_features(*probe_tables(seed=0), placements, backbone="starter", sites=sites)

    return describe


def test_every_feature_equals_the_plain_loop_over_edges_and_maps(
    describe, sites, placements
) -> None:
    X = describe(sites, placements)
    for text, own in placements.groupby("placement"):
        words = [each.split() for each in own["maps"]]
        assert X.loc[text, "fraction_inside"] == np.mean([bool(each) for each in words])
        assert X.loc[text, "fraction_stream"] == np.mean([not each for each in words])
        for kind in ADAPTER_KINDS:
            assert X.loc[text, f"fraction_{kind}"] == np.mean(own["adapter_kind"] == kind)
        for name in MAPS:
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


def test_every_kind_of_this_release_is_a_feature() -> None:
    assert list(ADAPTER_KINDS) == list_adapters()


def test_features_of_the_placement_are_the_same_for_every_task(
    probe_tables, sites, placements
) -> None:
    one, other = (
        build_features(*probe_tables(seed=seed), placements, backbone="starter", sites=each)
        for seed, each in ((0, sites), (1, None))
    )
    names = SCHEMA.placement_features
    pd.testing.assert_frame_equal(one[names], other[names])
    measured = [name for name in SCHEMA.features if name not in names]
    assert not one[measured].equals(other[measured])


@pytest.mark.parametrize("missing", [None, pd.DataFrame()])
def test_without_the_table_only_what_was_measured_is_unknown(
    describe, sites, placements, missing
) -> None:
    X, known = describe(missing, placements), describe(sites, placements)
    measured = [name for name in X if name.startswith("site_")]
    assert X[measured].isna().all(axis=None)
    pd.testing.assert_frame_equal(X.drop(columns=measured), known.drop(columns=measured))


def test_the_order_of_rows_and_units_of_the_loss_do_not_matter(describe, sites, placements) -> None:
    scaled = sites.sample(frac=1, random_state=1).assign(
        **{name: 7 * sites[name] for name in STATISTICS}
    )
    pd.testing.assert_frame_equal(describe(scaled, placements), describe(sites, placements))


def test_a_map_that_is_there_twice_is_refused(describe, sites, placements) -> None:
    with pytest.raises(PredictorError, match="map q of node 1 twice"):
        describe(pd.concat([sites, sites.iloc[[1]]]), placements)


def test_a_missing_column_is_named(describe, sites, placements) -> None:
    with pytest.raises(PredictorError, match="the placements table lacks maps"):
        describe(sites, placements.drop(columns="maps"))
    with pytest.raises(PredictorError, match="the sites table lacks gamma_norm"):
        describe(sites.drop(columns="gamma_norm"), placements)
