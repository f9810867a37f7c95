from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import mlflow
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from autoplace.tracking import TrackingError, find_run, start_run


def test_params_metrics_tags_and_status_are_read_back(store):
    run = start_run(store, "digits", "pick", {"seed": 3}, {"autoplace.kind": "pick"})
    run.log_params({f"p{number}": number for number in range(150)})  # more than one request takes
    run.log_metrics({"val_loss": np.float32(0.5), "val_accuracy": float("nan")}, step=1)
    run.log_metrics({"val_loss": 0.25}, step=2)
    run.set_tags({"note": 7})
    run.finish("KILLED")
    found = store.client.get_run(run.run_id)
    assert found.info.run_name == "pick"
    assert found.info.status == "KILLED"
    assert found.info.end_time
    assert found.data.params == {"seed": "3"} | {f"p{n}": str(n) for n in range(150)}
    assert found.data.tags["autoplace.kind"] == "pick"
    assert found.data.tags["note"] == "7"
    history = store.client.get_metric_history(run.run_id, "val_loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]


def test_children_of_parallel_parents_never_mix_and_no_run_is_active(store):
    def work(number: int) -> tuple[str, list[str]]:
        parent = start_run(store, f"task-{number % 2}", f"pick-{number}")
        children = []
        for trial in range(5):
            child = parent.start_child(f"{number}-{trial}", {"trial": trial})
            child.log_metrics({"number": number}, step=trial)
            child.finish()
            children.append(child.run_id)
        parent.finish()
        return parent.run_id, children

    with ThreadPoolExecutor(4) as pool:
        families = list(pool.map(work, range(4)))
    assert mlflow.active_run() is None
    for number, (parent_id, children) in enumerate(families):
        experiment_id = store.client.get_run(parent_id).info.experiment_id
        found = store.client.search_runs(
            [experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'"
        )
        assert {run.info.run_id for run in found} == set(children)
        assert {run.data.metrics["number"] for run in found} == {number}


def test_data_set_is_an_input_of_the_run(store):
    run = start_run(store, "digits", "pick")
    run.log_dataset("digits", "f" * 64, "builtin:digits", {"train": 800})
    (found,) = store.client.get_run(run.run_id).inputs.dataset_inputs
    assert found.dataset.name == "digits"
    assert found.dataset.digest == "f" * 36
    assert json.loads(found.dataset.profile) == {"train": 800}
    assert json.loads(found.dataset.source) == {"uri": "builtin:digits"}
    assert {tag.key: tag.value for tag in found.tags} == {"mlflow.data.context": "training"}


def test_tables_are_read_back_and_a_second_one_replaces_the_first(store):
    run = start_run(store, "digits", "pick")
    table = pd.DataFrame({"edge": ["7>3", "0>5"], "rank": [3.0, float("nan")]})
    run.log_table(table.head(1), "ranking.json")
    run.log_table(table, "ranking.json")
    run.log_table(table, "probe/edges.parquet")
    shown = pd.read_json(run.fetch("ranking.json"), orient="split")
    pd.testing.assert_frame_equal(shown, table)
    tag = store.client.get_run(run.run_id).data.tags["mlflow.loggedArtifacts"]
    assert json.loads(tag) == [{"path": "ranking.json", "type": "table"}]
    pd.testing.assert_frame_equal(pd.read_parquet(run.fetch("probe/edges.parquet")), table)
    with pytest.raises(TrackingError, match=r"\.json or \.parquet"):
        run.log_table(table, "ranking.csv")


def test_figures_and_json_become_artifacts(store, tmp_path):
    run = start_run(store, "digits", "pick")
    run.log_figure(Figure(), "figures/heat.png")
    run.log_json({"nan": float("nan"), "count": np.int64(2), "at": tmp_path}, "config.json")
    assert run.fetch("figures/heat.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads(run.fetch("config.json").read_text())
    assert written == {"nan": None, "count": 2, "at": str(tmp_path)}
    assert run.fetch("config.json").is_relative_to(store.folder / "artifacts")


def test_a_run_is_found_by_its_id_and_an_unknown_id_is_an_error(store):
    run = start_run(store, "digits", "pick")
    found = find_run(store, run.run_id)
    assert (found.experiment_id, found.name) == (run.experiment_id, "pick")
    for unknown in ("nonsense", "0" * 32, "../x"):
        with pytest.raises(TrackingError, match="no run"):
            find_run(store, unknown)


def test_a_run_is_unknown_to_a_store_that_is_not_there_which_stays_so(tmp_path):
    from autoplace.tracking import Store

    with pytest.raises(TrackingError, match="no run"):
        find_run(Store(), "0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_failure_of_the_store_is_a_tracking_error(store):
    run = start_run(store, "digits", "pick")
    with pytest.raises(TrackingError, match="could not log metrics of run"):
        run.log_metrics({"regret@1": 0.1})  # a name MLflow does not take
    with pytest.raises(TrackingError, match="could not fetch 'nothing'"):
        run.fetch("nothing")
