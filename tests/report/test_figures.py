"""Figures are drawn from tables alone and show every row they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd

from autoplace.report import predicted_versus_measured, probe_heat_maps

N_NODES = 5


def edge_table() -> pd.DataFrame:
    source, target = (axis.ravel() for axis in np.indices((N_NODES, N_NODES)))
    values = np.arange(N_NODES**2, dtype=float)
    return pd.DataFrame(
        {"source": source, "target": target, "gradient_rank": values, "stable_rank": values,
         "frobenius_norm": values, "snr": values}
    )  # fmt: skip


def maps_of(figure) -> dict[str, np.ndarray]:
    axes = [axis for axis in figure.axes if axis.get_title()]
    return {axis.get_title(): np.asarray(axis.images[0].get_array()) for axis in axes}


def test_each_statistic_is_a_map_with_sources_down_and_targets_across(tmp_path):
    shuffled = edge_table().sample(frac=1, random_state=0)
    figure = probe_heat_maps(shuffled)
    maps = maps_of(figure)
    assert len(maps) == 4
    expected = np.arange(N_NODES**2).reshape(N_NODES, N_NODES)
    np.testing.assert_array_equal(maps["gradient rank"], expected)
    figure.savefig(tmp_path / "probe.png")  # also where a gradient is exactly zero


def test_predicted_gains_are_a_further_map_where_there_are_any():
    table = edge_table().assign(predicted=0.01)
    assert "predicted gain over head-only" in maps_of(probe_heat_maps(table))


def ranking(**columns: list[object]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "placement": ["head-only", "7>3@bottleneck:r=8", "+".join(["1>2"] * 20)],
            "role": ["head-only", "candidate", "every-block"],
            "predicted": [np.nan, 0.02, 0.01],
            "gain": [0.0, 0.03, -0.01],
        }
        | columns
    )


def test_the_scatter_holds_each_placement_with_a_prediction_and_a_measurement(tmp_path):
    figure = predicted_versus_measured(ranking(), "accuracy")
    axis = figure.axes[0]
    points = {tuple(xy) for group in axis.collections for xy in group.get_offsets().tolist()}
    assert points == {(0.02, 0.03), (0.01, -0.01)}
    assert {text.get_text() for text in axis.get_legend().get_texts()} == {
        "candidate",
        "every-block",
    }
    assert all(len(text.get_text()) <= 28 for text in axis.texts)
    figure.savefig(tmp_path / "scatter.png")


def test_a_scatter_without_points_is_still_drawn(tmp_path):
    figure = predicted_versus_measured(ranking(gain=[np.nan] * 3), "macro-f1")
    figure.savefig(tmp_path / "scatter.png")
    assert "macro-f1" in figure.axes[0].get_ylabel()
