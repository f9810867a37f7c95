"""Features say what they are named for, and nothing about outcomes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors import LOG_COLUMNS, SCHEMA, PredictorError, build_features

N = 9
placements_of_edges = st.lists(
    st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), min_size=1, unique=True),
    min_size=1,
    max_size=8,
    unique_by=lambda edges: tuple(sorted(edges)),
)


@settings(max_examples=20)
@given(placements_of_edges)
def test_every_feature_equals_the_plain_loop_over_edges(
    probe_tables, placement_rows, placements
) -> None:
    edges, nodes, task = probe_tables(seed=3)
    rows = placement_rows(placements)
    X = build_features(edges, nodes, task, rows, backbone="starter")
    assert list(X.index) == list(dict.fromkeys(rows["placement"]))
    by_edge = edges.set_index(["source", "target"])
    separability = nodes["separability"]
    for text, own in rows.groupby("placement"):
        row = X.loc[text]
        i, j = own["source"].to_numpy(), own["target"].to_numpy()
        assert row["n_edges"] == len(own)
        assert row["unroll"] == 2
        assert row["log_rank"] == pytest.approx(np.log(8))
        assert row["log_parameters"] == pytest.approx(np.log(96 * 2 * 8 * len(own)))
        assert row["fraction_sequential"] == np.mean(i == j)
        assert row["fraction_parallel"] == np.mean(i == j - 1)
        assert row["fraction_long_range"] == np.mean(i < j - 1)
        assert row["fraction_recurrent"] == np.mean(i > j)
        assert row["span_mean"] == pytest.approx(np.mean(np.abs(j - i)) / 8)
        for end, node in (("target", j), ("source", i)):
            assert row[f"{end}_lowest"] == node.min() / 8
            assert row[f"{end}_mean"] == pytest.approx(node.mean() / 8)
            assert row[f"{end}_highest"] == node.max() / 8
            difference = separability[node.min()] - separability[8]
            assert row[f"separability_{end}"] == pytest.approx(difference)
        measured = by_edge.loc[list(zip(i, j, strict=True))]
        for name in ("gradient_rank", "stable_rank", "effective_rank", "snr", "energy_r8"):
            below = [
                (np.sum(edges[name] < v) + (np.sum(edges[name] == v) + 1) / 2) / N**2
                for v in measured[name]
            ]
            assert row[f"{name}_percentile_mean"] == pytest.approx(np.mean(below))
            assert row[f"{name}_percentile_max"] == pytest.approx(np.max(below))
        assert row["log_nuclear_norm_mean"] == pytest.approx(
            np.log(measured["nuclear_norm"]).mean()
        )
        sketches = measured.filter(like="sketch_").to_numpy()
        cosines = [
            abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b)
            for k, a in enumerate(sketches)
            for b in sketches[:k]
        ]
        if cosines:
            assert row["sketch_cosine_mean"] == pytest.approx(np.mean(cosines))
        else:
            assert np.isnan(row["sketch_cosine_mean"])


def test_columns_are_exactly_those_of_the_schema(features) -> None:
    X = features["probe0"]
    assert list(X.columns) == SCHEMA.names
    assert SCHEMA.check(X) is not None
    assert {c.name for c in SCHEMA.columns if c.role == "key"} == {"backbone", "placement"}
    assert list(X["placement"]) == list(X.index)


def test_no_feature_is_an_outcome_or_a_test_column() -> None:
    outcomes = {c.name for c in LOG_COLUMNS if c.outcome or c.name.startswith("head_only_")}
    assert not outcomes & set(SCHEMA.names)
    assert not [name for name in SCHEMA.names if name.startswith(("test", "val", "head_only"))]


def test_what_was_not_measured_is_nan(probe_tables, placement_rows) -> None:
    edges, nodes, task = probe_tables(seed=0)
    on_3 = edges["target"] == 3
    edges.loc[on_3, "snr"] = np.nan
    edges.loc[on_3, edges.columns[edges.columns.str.startswith("sketch_")]] = 0.0
    edges.loc[on_3, "frobenius_norm"] = 0.0
    nodes["separability"] = np.nan
    rows = placement_rows([[(0, 3), (1, 3)], [(0, 3), (0, 5)], [(2, 7)]])
    X = build_features(edges, nodes, task, rows, backbone="starter")
    assert list(X["snr_percentile_mean"].isna()) == [True, False, False]
    assert list(X["log_frobenius_norm_mean"].isna()) == [True, False, False]
    assert list(X["sketch_cosine_mean"].isna()) == [True, True, True]
    assert X["separability_target"].isna().all()
    assert not np.isinf(X[SCHEMA.features].to_numpy()).any()


def test_no_placements_get_an_empty_matrix(probe_tables, placement_rows) -> None:
    none = placement_rows([[(0, 3)]]).iloc[:0]
    X = build_features(*probe_tables(seed=0), none, backbone="starter")
    assert X.shape == (0, len(SCHEMA.names))


def test_order_of_the_tables_rows_does_not_matter(probe_tables, placement_rows) -> None:
    edges, nodes, task = probe_tables(seed=0)
    rows = placement_rows([[(0, 3), (1, 3)], [(0, 3), (0, 5), (7, 2)], [(2, 7)]])
    shuffled = [table.sample(frac=1, random_state=1) for table in (edges, nodes, task)]
    mixed = rows.sample(frac=1, random_state=2)
    X = build_features(edges, nodes, task, rows, backbone="starter")
    Y = build_features(*shuffled, mixed, backbone="starter")
    pd.testing.assert_frame_equal(Y.loc[X.index], X)


def test_a_percentile_is_blind_to_any_rescaling_of_the_gradients(
    probe_tables, placement_rows
) -> None:
    edges, nodes, task = probe_tables(seed=0)
    rows = placement_rows([[(0, 3), (1, 3)], [(2, 7)]])
    X = build_features(edges, nodes, task, rows, backbone="starter")
    Y = build_features(
        edges.assign(frobenius_norm=edges["frobenius_norm"] ** 3 * 100), nodes, task, rows,
        backbone="starter",
    )  # fmt: skip
    percentiles = [name for name in SCHEMA.names if "percentile" in name]
    pd.testing.assert_frame_equal(X[percentiles], Y[percentiles])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, n, t, p: (e.drop(columns="snr"), n, t, p), "edges table lacks snr"),
        (lambda e, n, t, p: (e, n.drop(columns="separability"), t, p), "nodes table lacks"),
        (lambda e, n, t, p: (e, n, pd.concat([t, t]), p), "task table has 2 rows"),
        (lambda e, n, t, p: (e, n, t, p.assign(target=9)), r"0>9: no node of 0\.\.8"),
        (lambda e, n, t, p: (e, n, t, pd.concat([p, p])), "placements table .* twice"),
        (lambda e, n, t, p: (pd.concat([e, e]), n, t, p), "edges table .* twice"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    change, message: str, probe_tables, placement_rows
) -> None:
    tables = change(*probe_tables(seed=0), placement_rows([[(0, 3)]]))
    with pytest.raises(PredictorError, match=message):
        build_features(*tables, backbone="starter")
