"""`autoplace retrain`: the gate promotes what is better, refuses what is not or not new."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from functools import partial

import numpy as np
import pytest

import predictors
from autoplace.agent import sample_trials, training_set
from autoplace.agent.steps._active_predictor import load_active_predictor
from autoplace.backbones import BackboneShape
from autoplace.probing import run_probe
from autoplace.settings import CollectSettings, ProbeSettings
from autoplace.tracking import (
    fetch_probe,
    log_probe,
    promote,
    read_rows,
    register_version,
    start_run,
)
from autoplace.tracking.store import Run, decode_row, search_runs
from predictors.vocabulary import FIRST_OPTIMISER

N_NODES = 25
SHAPE = BackboneShape.plain(96)


@pytest.fixture(scope="module")
def tables(task):
    settings = ProbeSettings(probe_images=16, probe_batch=8)
    probed = run_probe(task.chain, task.data.train, len(task.data.classes), settings)
    return {"edges": probed.edges, "nodes": probed.nodes, "task": probed.task}


@pytest.fixture
def record(tables):
    """Writes finished trials of a family whose gain falls (or rises) with the target's depth."""
    numbers = itertools.count()

    def write(
        store, family: str, slope: float, count: int = 30, protocol: str = "found-rate"
    ) -> None:
        seed = next(numbers)
        run = start_run(store, family, "collect")
        log_probe(run, f"probe-{family}", tables)
        settings = CollectSettings(placements=count, seed=seed)
        rng = np.random.default_rng(seed)
        for number, trial in enumerate(sample_trials(SHAPE, settings)):
            depth = np.mean([edge.target for edge in trial.placement.edges]) / N_NODES
            child = run.start_child("trial")
            child.log_row(
                {
                    "schema_version": predictors.LOG_SCHEMA_VERSION,
                    "trial_id": f"{family}-{seed}-{number}",
                    "task": f"task-{family}", "task_name": family, "family": family,
                    "backbone": "starter", "backbone_sha256": "0" * 64, "n_nodes": N_NODES,
                    "probe_key": f"probe-{family}", "placement": str(trial.placement),
                    "adapter_kind": "bottleneck", "n_edges": len(trial.placement),
                    "parameters": 9264, "learning_rate": 1e-3, "protocol": protocol,
                    "optimiser": FIRST_OPTIMISER, "weight_decay": 0.0,
                    "batch_size": 32, "epochs": 4, "augment": "none", "precision": "float32",
                    "seed": 0, "status": "done",
                    "metric": "accuracy", "head_only_val_metric": 0.5, "seconds": 1.0,
                    "val_metric": 0.6 + slope * depth + rng.normal(0, 0.002),
                }
            )  # fmt: skip
            child.finish()
        run.finish()

    return write


@pytest.fixture
def crown(tmp_path):
    """Fits a predictor on all that a store holds and makes it the champion."""

    def make(store) -> None:
        data = training_set(predictors.log_table(read_rows(store)), partial(fetch_probe, store))
        fitted = predictors.create_predictor("lightgbm").fit(data.X, data.y, data.groups)
        folder = predictors.save_predictor(fitted, tmp_path / "first", "# first\n", data)
        promote(store, register_version(store, folder))

    return make


def test_more_families_of_one_rule_make_a_better_predictor_which_is_then_used(
    cli, new_store, record, crown
):
    store = new_store()
    record(store, "odd", slope=-0.1)
    record(store, "apple", slope=0.1)
    crown(store)
    record(store, "pear", slope=0.1)
    record(store, "plum", slope=0.1)
    done = cli("retrain", "--json", "--store", store.uri, cwd=store.folder)
    assert done.code == 0, done.err
    told = done.document
    assert (told["rows"], told["new_rows"], told["set_aside"]) == (120, 60, 0)
    assert told["families"] == ["apple", "odd", "pear", "plum"]
    assert (told["promoted"], told["version"]) == (True, 2), told["reason"]
    scores = {row["predictor"]: row for row in told["scores"]}
    assert scores["challenger"]["spearman"] > scores["present"]["spearman"]
    assert {"random", "gradient-rank", "ridge"} < set(scores)
    active = load_active_predictor(store)
    assert active.origin == "champion"
    assert len(predictors.load_training_set(active.folder)) == 120
    again = cli("retrain", "--store", store.uri, cwd=store.folder)
    assert again.code == 2
    assert "the present predictor has already learnt from every recorded trial" in again.err
    doctor = cli("doctor", "--json", "--store", store.uri, cwd=store.folder)
    assert doctor.document["predictor"] == "champion"


def test_records_at_rates_from_a_table_teach_nothing_beside_records_at_found_rates(
    cli, new_store, record, crown
):
    store = new_store()
    for family in ("apple", "pear"):
        record(store, family, slope=-0.1, protocol="table-rate")
    crown(store)
    record(store, "fig", slope=-0.1, protocol="table-rate")
    done = cli("retrain", "--json", "--store", store.uri, cwd=store.folder)
    assert (done.document["rows"], done.document["new_rows"]) == (90, 30)  # there are only old ones
    for family in ("lime", "plum"):
        record(store, family, slope=0.1)
    done = cli("retrain", "--json", "--store", store.uri, cwd=store.folder)
    assert done.code == 0, done.err
    assert (done.document["rows"], done.document["new_rows"]) == (60, 60)
    assert done.document["families"] == ["lime", "plum"]
    assert done.document["set_aside"] == 90
    assert "90 finished trials set aside: their learning rate is from a table" in done.err


def test_records_that_contradict_the_rule_are_not_promoted(cli, new_store, record, crown):
    store = new_store()
    for family in ("apple", "fig", "lime", "pear", "plum"):
        record(store, family, slope=0.1)
    crown(store)
    before = load_active_predictor(store).folder
    record(store, "odd", slope=-0.2, count=60)
    done = cli("retrain", "--json", "--store", store.uri, cwd=store.folder)
    assert done.code == 0, done.err
    assert (done.document["promoted"], done.document["version"]) == (False, None)
    assert done.document["difference"] < 0  # seen as worse, not only as unclear
    assert load_active_predictor(store).folder == before


def test_a_corrected_outcome_is_something_new_to_learn(cli, new_store, record, crown):
    store = new_store()
    for family in ("apple", "pear"):
        record(store, family, slope=0.1)
    crown(store)
    again = cli("retrain", "--store", store.uri, cwd=store.folder)
    assert again.code == 2
    run = search_runs(store, "tags.`autoplace.trial_id` LIKE 'apple-%'")[0]
    row = decode_row(run.data.tags)
    Run.of(store, run).log_row(row | {"val_metric": row["val_metric"] + 0.05})
    done = cli("retrain", "--json", "--store", store.uri, cwd=store.folder)
    assert done.code == 0, done.err
    assert (done.document["rows"], done.document["new_rows"]) == (60, 0)


def test_rows_whose_probe_was_deleted_in_mlflow_are_set_aside_with_a_reason(
    cli, new_store, record, crown
):
    store = new_store()
    for family in ("apple", "pear"):
        record(store, family, slope=0.1)
    crown(store)
    record(store, "plum", slope=0.1)
    record(store, "quince", slope=0.1)
    (run,) = search_runs(store, "tags.`autoplace.probe_key` = 'probe-quince'")
    store.client.delete_run(run.info.run_id)
    done = cli("retrain", "--json", "--store", store.uri, cwd=store.folder)
    assert done.code == 0, done.err
    assert done.document["set_aside_reasons"] == {"its probe is missing": 30}
    assert (done.document["new_rows"], done.document["set_aside"]) == (30, 30)
    assert "quince" not in done.document["families"]
    assert "30 finished trials set aside: its probe is missing" in done.err


def test_a_champion_of_another_feature_schema_gives_way_to_the_shipped_predictor(
    cli, new_store, record, crown
):
    store = new_store()
    for family in ("apple", "pear"):
        record(store, family, slope=0.1)
    crown(store)
    folder = load_active_predictor(store).folder
    stamp = json.loads((folder / "schema.json").read_text())
    stamp["schema_version"] -= 1
    text = json.dumps(stamp).encode()
    (folder / "schema.json").write_bytes(text)
    sums = (folder / "SHA256SUMS").read_text()
    new = f"{hashlib.sha256(text).hexdigest()}  schema.json"
    (folder / "SHA256SUMS").write_text(re.sub(r"[0-9a-f]{64}  schema\.json", new, sums))
    doctor = cli("doctor", "--json", "--store", store.uri, cwd=store.folder)
    assert (doctor.code, doctor.document["predictor"]) == (0, "shipped")
    assert "another feature schema" in doctor.document["notes"][0]
    done = cli("retrain", "--json", "--store", store.uri, cwd=store.folder)
    assert done.code == 0, done.err
    assert "using the shipped predictor" in done.err
    # What the old champion had learnt from is rebuilt from the records and their probes.
    assert {"apple", "pear"} <= set(done.document["families"])
    assert done.document["new_rows"] == 60


def test_a_family_given_later_applies_to_all_records_of_the_task(cli, new_store, image_folder):
    store = new_store()
    common = ("collect", image_folder, "--probe-images", 24, "--epochs", 1, "--placements", 1)
    first = cli(*common, "--store", store.uri, "--json", cwd=store.folder)
    second = cli(*common, "--seed", 0, "--family", "bars", "--store", store.uri, cwd=store.folder)
    third = cli(*common, "--store", store.uri, "--json", cwd=store.folder)
    assert [done.code for done in (first, second, third)] == [0, 0, 0], first.err + second.err
    assert first.lines[0]["family"].startswith("images-")
    assert first.lines[0]["image_digests"] == third.lines[0]["image_digests"]
    log = predictors.settle_families(predictors.log_table(read_rows(store)))
    assert len(log) == 6
    assert set(log["family"]) == {"bars"}
