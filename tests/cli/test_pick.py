"""`autoplace pick` end to end on real images: what it returns, records and leaves behind."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

import autoplace
from autoplace.agent.steps._kinds import AUTO_KINDS
from autoplace.agent.steps._refit import lowered
from autoplace.placement import Placement
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
    assert "Race, rung 1 of 1" in picked.err
    assert result["metric"] == "accuracy"
    assert not result["deadline_reached"]


def test_the_document_has_rates_rungs_costs_winner_and_differences_at_the_top(result):
    assert {
        "rates", "rungs", "winner", "differences", "search_cost", "total_cost", "per_class",
    } <= set(result)  # fmt: skip
    assert set(result["rates"]) == {"head-only", *AUTO_KINDS}
    for kind, found in result["rates"].items():
        assert found["source"] == "found"
        assert len(found["tried"]) >= 3
        rates = [float(rate) for rate in found["tried"]]
        assert min(rates) <= found["rate"] <= max(rates)
        references = 2 if kind == "bottleneck" else 1
        assert all(len(values) == references for values in found["tried"].values())
    assert result["rungs"] == [{"epoch": 1, "started": 5, "kept": 2}]
    assert 0 < result["search_cost"] < result["total_cost"]


def test_finalists_and_baselines_are_compared_on_two_folds_and_gains_are_over_head_only(result):
    ranking = pd.DataFrame(result["ranking"])
    assert ranking["placement"].is_unique
    # The best kind everywhere, if it is no baseline; it does not race.
    favourite = int(ranking["chosen_by"].str.startswith("everywhere:").sum())
    assert favourite in (0, 1) and 5 + 3 <= len(ranking) <= 5 + 3 + favourite
    compared = ranking[ranking["folds"] == 2]
    assert sorted(compared["role"]) == [
        *["candidate"] * (2 + favourite), "every-block", "head-only", "lora",
    ]  # fmt: skip
    assert compared["score"].iloc[1:].is_monotonic_decreasing
    assert ranking.loc[0, "placement"] == result["winner"]
    base = compared.loc[compared["role"] == "head-only", "val_metric"].item()
    assert (compared["val_metric"] - base).tolist() == pytest.approx(compared["gain"].tolist())
    dropped = ranking[ranking["folds"] == 0]
    assert set(dropped["status"]) == {"pruned"}
    assert set(dropped["epochs"]) == {1}
    adapted = ranking[ranking["placement"] != "head-only"]
    # The predictor has seen bottlenecks alone, so what it would say of other kinds does not count.
    assert adapted["predicted"].notna().tolist() == [
        {spec.kind for _, spec in Placement.parse(text)} == {"bottleneck"}
        for text in adapted["placement"]
    ]
    # One budget for all: more edges, less rank. AdapterBias has no rank.
    ranked = adapted[~adapted["placement"].str.contains("adapterbias")]
    assert ranked["parameters"].between(0.9 * 9264, 9264).all()


def test_winner_and_baselines_are_tested_over_two_seeds_with_a_paired_interval(result):
    tested = result["test"]
    baselines = {"every-block", "head-only", "lora", "k-nearest neighbours"}
    assert baselines | {"winner"} >= set(tested) >= baselines - {result["winner_role"]} | {"winner"}
    for role in set(tested) - {"k-nearest neighbours"}:
        assert set(tested[role]["by_seed"]) == {"0", "1"}
        rate = min(result["rates"][kind]["rate"] for kind in kinds_in(tested[role]["placement"]))
        assert set(tested[role]["lowered"].values()) <= {lowered(rate)}
        assert set(tested[role]["collapsed"]) <= {0, 1}
    assert result["refitted"]
    assert [row["class"] for row in result["per_class"]] == ["blue", "green", "red"]
    for role, interval in result["differences"].items():
        assert interval["low"] <= interval["difference"] <= interval["high"]
        expected = tested["winner"]["mean"] - tested[role]["mean"]
        assert interval["difference"] == pytest.approx(expected)


def test_lora_has_as_many_parameters_as_the_budget_allows(children):
    lora = [run for run in children if run.data.tags["autoplace.role"] == "rate"
            and run.data.params["placement"].startswith("0>1+2>3+4>5+6>7")
            and run.data.params["placement"].endswith("22>23@lora:maps=qkv,r=2")]  # fmt: skip
    assert lora
    assert {run.data.metrics["parameters"] for run in lora} == {9216}


def test_flags_come_before_the_environment_before_the_file_before_defaults(parent):
    params = parent.data.params
    assert params["epochs"] == "2"
    assert params["weight_decay"] == "0.01"
    assert (params["top_k"], params["budget"]) == ("2", "1h")
    assert params["rank"] == "8"


def kinds_in(text):
    return {spec.kind for _, spec in Placement.parse(text)} or {"head-only"}


def test_one_parent_holds_every_trial_with_its_role(parent, children, result):
    # A final training that collapsed has been run again.
    refits = {
        (run.data.params["placement"], run.data.params["seed"])
        for run in children
        if run.data.tags["autoplace.role"] == "refit"
    }
    roles = Counter(run.data.tags["autoplace.role"] for run in children)
    roles["refit"] = len(refits)
    sides = len(set(result["test"]) - {"k-nearest neighbours"})
    tried = {kind: found["tried"] for kind, found in result["rates"].items()}
    assert roles == {
        "rate": sum(len(values) for each in tried.values() for values in each.values()),
        "head-only": 1,
        "every-block": 1,
        "lora": 1,
        "candidate": len(result["ranking"]) - 3,
        "fold": sum(row["folds"] == 2 for row in result["ranking"]),
        "refit": 2 * sides,
    }
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}


def test_all_trials_of_a_kind_have_the_rate_that_was_found(children, result):
    for run in children:
        role, params = run.data.tags["autoplace.role"], run.data.params
        if role == "rate":
            continue
        kinds = kinds_in(params["placement"])
        found = {kind: result["rates"][kind]["rate"] for kind in kinds}
        rate = min(found.values())
        again = role == "refit" and float(params["learning_rate"]) != rate  # it collapsed
        expected = {kind: lowered(each) for kind, each in found.items()} if again else found
        assert float(params["learning_rate"]) == min(expected.values())
        if len(kinds) > 1:
            assert json.loads(params["rates"]) == expected


def test_each_trial_has_its_params_tags_and_metrics_of_every_epoch(client, children):
    for run in children:
        role = run.data.tags["autoplace.role"]
        assert {"placement", "learning_rate", "seed", "epochs", "images"} <= set(run.data.params)
        assert {"autoplace.trial_id", "mlflow.parentRunId"} <= set(run.data.tags)
        logged = "autoplace.row" in run.data.tags
        assert logged == (role in ("candidate", "every-block", "head-only", "lora"))
        names = ["train_loss"]
        if role != "refit":  # on all images, without validation
            names += ["val_loss", "val_accuracy", "val_macro_f1"]
        for name in names:
            history = client.get_metric_history(run.info.run_id, name)
            steps = [metric.step for metric in history]
            assert steps == list(range(1, len(steps) + 1))
            assert len(steps) in (1, 2)
            assert all(math.isfinite(metric.value) for metric in history)


def test_refits_train_on_all_images_and_folds_on_others_than_the_race(children):
    images = {}
    for run in children:
        images.setdefault(run.data.tags["autoplace.role"], set()).add(run.data.params["images"])
    assert images["refit"] == {"all"}
    assert images["fold"] == {"fold 2"}
    assert images["candidate"] == images["rate"] == {"split"}


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
        "figures/confusion_matrix.png", "per_class.json",
        "probe/nodes.parquet", "probe/task.parquet", "probe/sites.parquet", "ranking.json",
        "candidates.parquet", "config.json", "result.json", "data_issues.json", "model/MLmodel",
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
    over = {e["trial_id"] for e in events if e.get("status") in ("done", "pruned")}
    assert over == {run.data.tags["autoplace.trial_id"] for run in children}


def test_a_budget_that_ends_it_early_returns_the_best_finished_trial_with_code_3(
    cli, home, predictor, image_folder, client, store
):
    # Many trials of minutes in all; how long the start takes is the machine's affair.
    for seconds in (4, 8, 16, 32, 64, 128):
        done = cli(
            "pick", image_folder, *SMALL, "--epochs", 200, "--predictor", predictor,
            "--budget", f"{seconds}s", cwd=home,
        )  # fmt: skip
        assert done.code == (3 if done.out else 1)
        if done.out:
            break
    assert "The time budget ran out" in done.out
    assert "Winner " in done.out
    run_id = done.out.partition("autoplace predict ")[2].split()[0]
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    document = json.loads(find_run(store, run_id).fetch("result.json").read_text())
    finished = [row["placement"] for row in document["ranking"] if row["status"] == "done"]
    assert document["winner"] in finished
    assert document["deadline_reached"]


def test_a_budget_too_short_for_any_trial_says_so_with_code_1(cli, home, predictor, image_folder):
    done = cli(
        "pick", image_folder, *SMALL, "--predictor", predictor, "--budget", "0.01s", cwd=home
    )
    assert (done.code, done.out) == (1, "")
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
    assert told["candidates"] > 625
    assert (told["field"], told["finalists"], told["folds"], told["seeds"]) == (24, 2, 2, 3)
    assert told["estimated_seconds"] == pytest.approx(sum(told["phases"].values()))
    assert 0 < told["low"] < told["estimated_seconds"] < told["high"]
    given = cli(
        "pick", image_folder, *SMALL, "--epochs", 1, "--lr", 0.01, "--predictor", predictor,
        "--dry-run", "--json", cwd=tmp_path,
    ).document  # fmt: skip
    assert told["phases"]["learning rates"] > given["phases"]["learning rates"] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [
        ("--cache-precision", "bf16", "--lr", 0.003),
        ("--cache-precision", "float16", "--augment", "crop-flip", "--views", 1, "--lr", 0.003),
        ("--augment", "randaugment", "--random-erasing", 0.5, "--precision", "float32"),
        ("--precision", "tf32", "--metric", "log-loss"),
        ("--metric", "balanced-accuracy", "--class-weights", "balanced", "--no-refit"),
        ("--baselines", "full", "--lr", 0.003),
        ("--baselines", "minimal", "--adapter", "ssf"),
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_a_winner_reloads_to_the_same_predictions_whatever_trials_compute_in(
    cli, home, predictor, image_folder, options
):
    done = cli(
        "pick", image_folder, *SMALL, *options, "--epochs", 1, "--field-size", 2, "--top-k", 1,
        "--folds", 1, "--seeds", 1, "--predictor", predictor, "--json", cwd=home,
    )  # fmt: skip
    assert done.code == 0, done.err
    saved = pd.read_parquet(f"{done.document['folder']}/test_predictions.parquet")
    again = cli("predict", done.document["folder"], *saved["path"], "--json", cwd=home)
    assert [row["predicted"] for row in again.lines] == saved["predicted"].tolist()
    if "full" in options:
        assert "full" in done.document["test"]
        assert {found["source"] for found in done.document["rates"].values()} == {"given"}
    if "minimal" in options:
        assert "lora" not in done.document["test"]
        assert set(done.document["rates"]) == {"head-only", "ssf"}


def test_a_winner_that_was_trained_in_bf16_reloads_to_the_same_predictions(
    cli, home, predictor, image_folder, monkeypatch
):
    # As on a GPU with bf16: here its products are emulated.
    monkeypatch.setattr("autoplace.training._precision.supports_bf16", lambda device: True)
    done = cli(
        "pick", image_folder, *SMALL, "--precision", "bf16", "--lr", 0.003, "--epochs", 1,
        "--field-size", 2, "--top-k", 1, "--folds", 1, "--seeds", 1, "--predictor", predictor,
        "--json", cwd=home,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "no bf16 instructions" not in done.err


def test_a_merged_winner_is_told_of_and_loads_with_its_adapters_in_the_backbone(
    cli, home, predictor, image_folder, new_store
):
    done = cli(
        "pick", image_folder, *SMALL, "--adapter", "lora", "--merge", "--lr", 0.05, "--epochs", 3,
        "--field-size", 2, "--top-k", 1, "--folds", 1, "--seeds", 1, "--predictor", predictor,
        "--json", "--store", new_store().uri, cwd=home,
    )  # fmt: skip
    assert done.code == 0, done.err
    winner = Placement.parse(done.document["winner"])
    assert {spec.kind for _, spec in winner} <= {"lora"}
    assert "bottleneck" not in done.document["rates"]
    saved = json.loads((Path(done.document["folder"]) / "placement.json").read_text())
    assert saved["placement"] == str(winner)
    assert saved["merge"] == bool(len(winner))
    loaded = autoplace.load(done.document["folder"])
    assert str(loaded.placement) == "head-only"
    if len(winner):
        assert "all adapters are merged: the winner costs nothing at inference" in done.err
