"""The winner of a pick, trained again without and with a procedure."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch

import autoplace
from autoplace.placement import Placement
from autoplace.settings import RefineSettings
from autoplace.tracking import find_run, start_run

PROCEDURE = "prune:sparsity=0.5"


def recorded(store, picked, winner):
    """The id of a run with the record of the pick, had this placement won."""
    pick = find_run(store, picked.document["run_id"])
    run = start_run(store, "bars", "pick bars")
    run.log_json(json.loads(pick.fetch("config.json").read_text()), "config.json")
    result = json.loads(pick.fetch("result.json").read_text())
    run.log_json(result | {"winner": winner}, "result.json")
    run.finish()
    return run.run_id


@pytest.fixture(scope="module")
def pick_id(store, picked):
    """A pick that bottlenecks won."""
    candidates = [Placement.parse(each["placement"]) for each in picked.document["ranking"]]
    winner = next(p for p in candidates if {spec.kind for _, spec in p} == {"bottleneck"})
    return recorded(store, picked, str(winner))


@pytest.fixture(scope="module")
def refined(cli, home, pick_id):
    return cli("refine", pick_id, PROCEDURE, "--json", cwd=home)


def test_both_sides_share_placement_rate_seeds_and_images(refined, picked, pick_id):
    assert refined.code == 0, refined.err
    found, pick = refined.document, picked.document
    assert found["procedure"] == PROCEDURE
    assert found["placement"] in {each["placement"] for each in pick["ranking"]}
    assert found["picked"] == pick_id
    assert found["rates"] == {"bottleneck": pick["rates"]["bottleneck"]["rate"]}
    assert (found["epochs"], found["seeds"]) == (2, [0])
    assert set(found["sides"]) == {"without", "with"}
    for side in found["sides"].values():
        assert all(0 <= side[split][0] <= 1 for split in ("val", "test"))
    pruned = found["chose"]["of"] - found["chose"]["kept"]
    assert found["sides"]["with"]["parameters"] == found["sides"]["without"]["parameters"] - pruned


def test_the_refined_winner_is_saved_with_its_procedure_and_reloads(refined, store):
    folder = Path(refined.document["folder"])
    described = json.loads((folder / "placement.json").read_text())
    assert described["procedure"]["text"] == PROCEDURE
    assert described["procedure"]["kept"] == refined.document["chose"]["kept"]
    by_folder = autoplace.load(folder)
    by_run = autoplace.load(refined.document["run_id"], store=store.uri)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(by_folder(images), by_run(images))


def test_the_run_names_procedure_and_pick_and_has_both_trainings(refined, pick_id, store):
    run_id = refined.document["run_id"]
    run = store.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["procedure"] == run.data.tags["autoplace.procedure"] == PROCEDURE
    assert run.data.tags["autoplace.picked"] == pick_id
    children = store.client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"
    )
    assert {child.data.params["side"] for child in children} == {"without", "with"}
    assert all("test_accuracy" in child.data.metrics for child in children)


def test_people_get_a_table_and_the_next_command(cli, home, store, pick_id):
    done = cli("refine", pick_id, "drop:blocks=1", "--epochs", 1, "--lr", 0.01, cwd=home)
    assert done.code == 0, done.err
    assert "Without and with drop:blocks=1, accuracy" in done.out
    assert "with - without, on test" in done.out
    assert "autoplace predict" in done.out
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    (run,) = store.client.search_runs(experiments, "params.procedure = 'drop:blocks=1'")
    assert float(run.data.params["lr"]) == 0.01


@pytest.mark.parametrize("procedure", ["prune:sparsity=0.5", "drop:robust"])
def test_each_kind_of_a_mixture_keeps_the_rate_that_the_pick_found(
    cli, home, store, picked, procedure
):
    mixed = recorded(store, picked, "0>1@lora:maps=qv,r=1+20>22@bottleneck:r=2")
    done = cli("refine", mixed, procedure, "--json", cwd=home)
    assert done.code == 0, done.err
    found = {kind: each["rate"] for kind, each in picked.document["rates"].items()}
    expected = {kind: found[kind] for kind in ("bottleneck", "lora")}
    assert done.document["rates"] == expected
    run = store.client.get_run(done.document["run_id"])
    children = store.client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    assert len(children) == 2
    for child in children:
        assert json.loads(child.data.params["rates"]) == expected
        assert float(child.data.params["learning_rate"]) == min(expected.values())


@pytest.mark.parametrize(
    ("procedure", "message"),
    [
        ("prone:sparsity=0.5", "did you mean 'prune'"),
        ("prune:sparsty=0.5", "did you mean 'sparsity'"),
        ("prune:sparsity=1", "sparsity=1 must be a number from 0 to below 1"),
        ("prune:score=snip,init=zero", "starts at zero"),
        ("drop:blocks=40", "more than the 12 blocks"),
    ],
)
def test_bad_procedures_end_before_training_with_code_2(procedure, message, cli, home, pick_id):
    done = cli("refine", pick_id, procedure, cwd=home)
    assert done.code == 2
    assert message in done.err
    assert "Training" not in done.err
    assert done.out == ""


def test_a_run_without_a_winner_is_refused(cli, home, store, collected):
    (run, *_) = store.client.search_runs(
        [e.experiment_id for e in store.client.search_experiments()],
        "tags.`autoplace.role` = 'collect'",
    )
    done = cli("refine", run.info.run_id, PROCEDURE, cwd=home)
    assert (done.code, done.out) == (2, "")
    assert "has no winner; give a finished run of 'autoplace pick'" in done.err
    assert cli("refine", "no-such-run", PROCEDURE, cwd=home).code == 2


def test_a_head_only_winner_is_refused(cli, home, store, picked):
    done = cli("refine", recorded(store, picked, "head-only"), PROCEDURE, cwd=home)
    assert (done.code, done.out) == (2, "")
    assert "is head-only, which has no adapters to act on" in done.err


def test_other_data_than_that_of_the_pick_is_refused(cli, home, pick_id):
    done = cli("refine", pick_id, PROCEDURE, "--data", "builtin:digits", cwd=home)
    assert done.code == 2
    assert "give the same data with --data" in done.err


def test_the_function_takes_every_option_of_the_command():
    given = inspect.signature(autoplace.refine).parameters
    expected = {each.name: each.default for each in fields(RefineSettings)}
    assert {name: p.default for name, p in given.items() if name not in ("run", "procedure")} == (
        expected
    )
