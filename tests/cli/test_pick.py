"""`autoplace pick` end to end on real images: what it returns, records and leaves behind."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from mlflow import MlflowClient

from autoplace.tracking import find_run

SMALL = ("--probe-images", "24", "--batch-size", "16")


@pytest.fixture(scope="module")
def result(picked):
    assert picked.code == 0, picked.err
    return picked.document


@pytest.fixture(scope="module")
def client(store):
    return MlflowClient(tracking_uri=store.uri)


@pytest.fixture(scope="module")
def parent(client, result):
    return client.get_run(result["run_id"])


@pytest.fixture(scope="module")
def children(client, parent):
    condition = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return list(client.search_runs([parent.info.experiment_id], condition))


def test_stdout_is_one_document_and_progress_is_on_stderr(picked, result):
    assert len(picked.out.splitlines()) == 1
    assert "Fine-tuning" in picked.err
    assert result["metric"] == "accuracy"
    assert not result["deadline_reached"]


def test_the_winner_is_the_best_on_validation_and_gains_are_over_head_only(result):
    ranking = pd.DataFrame(result["ranking"])
    assert len(ranking) == 4
    assert set(ranking["role"]) == {"top-k", "head-only", "every-block"}
    assert ranking["val_metric"].is_monotonic_decreasing
    assert ranking.loc[0, "placement"] == result["winner"]
    base = ranking.loc[ranking["role"] == "head-only", "val_metric"].item()
    assert (ranking["val_metric"] - base).tolist() == pytest.approx(ranking["gain"].tolist())
    adapted = ranking[ranking["placement"] != "head-only"]
    assert adapted["predicted"].notna().all()
    # One budget for all: more edges, less rank.
    assert adapted["parameters"].between(0.9 * 9264, 9264).all()


def test_winner_and_every_block_are_tested_over_three_seeds_with_a_paired_interval(result):
    tested = result["test"]
    assert {"winner", "every-block", "head-only"} == set(tested)
    assert len(tested["winner"]["by_seed"]) == (1 if result["winner_role"] == "head-only" else 3)
    assert len(tested["every-block"]["by_seed"]) == 3
    for role, interval in result["winner_minus"].items():
        assert interval["low"] <= interval["difference"] <= interval["high"]
        expected = tested["winner"]["mean"] - tested[role]["mean"]
        assert interval["difference"] == pytest.approx(expected)


def test_flags_come_before_the_environment_before_the_file_before_defaults(parent):
    params = parent.data.params
    assert params["epochs"] == "2"
    assert params["weight_decay"] == "0.01"
    assert (params["top_k"], params["budget"]) == ("2", "1h")
    assert params["rank"] == "8"


def test_one_parent_holds_top_k_baselines_and_seed_repeats_all_finished(parent, children, result):
    roles = [run.data.tags["autoplace.role"] for run in children]
    repeated = {tested["placement"] for tested in result["test"].values()}
    assert sorted(set(roles)) == ["every-block", "head-only", "repeat", "top-k"]
    assert roles.count("top-k") == 2
    assert roles.count("repeat") == 2 * len(repeated)
    assert len(children) == 4 + 2 * len(repeated)
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    seeds = {(run.data.params["placement"], run.data.params["seed"]) for run in children}
    assert {(placement, str(seed)) for placement in repeated for seed in (0, 1, 2)} <= seeds


def test_each_trial_has_its_params_tags_and_metrics_of_every_epoch(client, children):
    for run in children:
        assert {"placement", "n_edges", "chosen_by", "seed", "epochs"} <= set(run.data.params)
        assert {"autoplace.trial_id", "autoplace.row", "mlflow.parentRunId"} <= set(run.data.tags)
        for name in ("train_loss", "val_loss", "val_accuracy", "val_macro_f1"):
            history = client.get_metric_history(run.info.run_id, name)
            assert [metric.step for metric in history] == [1, 2]
            assert all(math.isfinite(metric.value) for metric in history)


def test_the_parent_has_config_data_set_test_figures_and_artifacts(client, parent, store, result):
    tags = parent.data.tags
    assert tags["autoplace.role"] == "pick"
    assert tags["autoplace.winner"] == result["winner"]
    (data_input,) = parent.inputs.dataset_inputs
    assert data_input.dataset.name == "bars"
    profile = json.loads(data_input.dataset.profile)
    assert sum(profile["n_images"].values()) == 60
    winner = parent.data.metrics["test/winner/accuracy"]
    assert winner == pytest.approx(result["test"]["winner"]["mean"])
    paths = {f.path for folder in (None, "figures", "probe", "model")
             for f in client.list_artifacts(parent.info.run_id, folder)}  # fmt: skip
    assert {
        "figures/probe.png", "figures/predicted_versus_measured.png", "probe/edges.parquet",
        "probe/nodes.parquet", "probe/task.parquet", "ranking.json", "candidates.parquet",
        "config.json", "result.json", "data_issues.json", "model/MLmodel",
    } <= paths  # fmt: skip
    run = find_run(store, parent.info.run_id)
    config = json.loads(run.fetch("config.json").read_text())
    assert (config["top_k"], config["store"]) == (2, store.uri)
    candidates = pd.read_parquet(run.fetch("candidates.parquet"))
    assert len(candidates) == result["candidates"]


def test_the_ledger_alone_tells_of_every_trial(children, home, result):
    path = home / "autoplace-store" / "runs" / result["run_id"] / "ledger.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert events[0]["event"] == "run"
    assert (events[-1]["event"], events[-1]["status"]) == ("finish", "FINISHED")
    done = {event["trial_id"] for event in events if event.get("status") == "done"}
    assert done == {run.data.tags["autoplace.trial_id"] for run in children}


def test_a_budget_that_ends_it_early_returns_the_best_finished_trial_with_code_3(
    cli, home, predictor, image_folder, client, store
):
    # 60 trials of minutes in all; how long the start takes is the machine's affair.
    for seconds in (4, 8, 16, 32, 64):
        done = cli(
            "pick", image_folder, *SMALL, "--epochs", 10, "--top-k", 60, "--predictor", predictor,
            "--budget", f"{seconds}s", cwd=home,
        )  # fmt: skip
        assert done.code == 3
        if done.out:
            break
    assert "The time budget ran out" in done.out
    assert "Winner " in done.out
    run_id = done.out.partition("autoplace predict ")[2].split()[0]
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    ranking = json.loads(find_run(store, run_id).fetch("result.json").read_text())["ranking"]
    finished = [row for row in ranking if row["status"] == "done"]
    assert run.data.tags["autoplace.winner"] == finished[0]["placement"]
    assert len(ranking) < 62


def test_a_budget_too_short_for_any_trial_says_so_with_code_3(cli, home, predictor, image_folder):
    done = cli(
        "pick", image_folder, *SMALL, "--predictor", predictor, "--budget", "0.01s", cwd=home
    )
    assert (done.code, done.out) == (3, "")
    assert "Error: no trial finished within --budget; give it more time" in done.err


def test_a_dry_run_counts_candidates_estimates_time_and_writes_nothing(
    cli, predictor, image_folder, tmp_path
):
    done = cli(
        "pick", image_folder, *SMALL, "--epochs", 1, "--top-k", 2, "--predictor", predictor,
        "--dry-run", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    told = done.document
    assert set(told) == {"candidates", "trials", "estimated_seconds", "predictor"}
    assert told["candidates"] > 625
    assert told["trials"][0] == "head-only"
    assert len(told["trials"]) == 4
    assert told["estimated_seconds"] > 0
    assert list(tmp_path.iterdir()) == []
