"""`autoplace merge`: the starts of a few-shot run are compared, and the merged model is kept."""

from __future__ import annotations

import json

import pytest
import torch

import autoplace
from autoplace.backbones import create_chain
from autoplace.model import AdaptedModel, save_adapted
from autoplace.placement import Placement

SMALL = ("--epochs", 2, "--batch-size", 8, "--shots", 4, "--lr", 0.01)


@pytest.fixture(scope="module")
def winner(tmp_path_factory):
    """Makes folders of winners with trained adapters, of classes that the data does not have."""

    def make(text: str, seed: int = 0, backbone: str = "starter"):
        torch.manual_seed(seed)
        model = AdaptedModel(create_chain(backbone), Placement.parse(text), ("cat", "dog"))
        with torch.no_grad():
            for parameter in model.adapters.parameters():
                parameter.normal_(0, 0.05)
        return save_adapted(model, tmp_path_factory.mktemp("w") / "winner", card="# A winner\n")

    return make


@pytest.fixture(scope="module")
def merged(cli, home, image_folder, winner):
    runs = [winner("7>3+2>9@bottleneck:r=4", seed) for seed in (0, 1)]
    done = cli("merge", *runs, "--data", image_folder, *SMALL, "--seeds", 2, "--json", cwd=home)
    assert done.code == 0, done.err
    return done.document


def test_every_start_is_trained_and_compared_under_the_same_conditions(merged):
    starts = merged["starts"]
    assert list(starts) == ["transport", "average", "sum", "run 1", "run 2", "new adapters"]
    assert all(list(start["by_seed"]) == ["0", "1"] for start in starts.values())
    assert set(merged["differences"]) == set(starts) - {"transport"}
    assert merged["images"] == 12  # four of each of three classes
    assert {start["learning_rate"] for start in starts.values()} == {0.01}


def test_the_merged_model_is_kept_and_scores_what_was_reported(cli, home, merged, image_folder):
    model = autoplace.load(merged["folder"])
    assert model.classes == ("blue", "green", "red")
    assert str(model.placement) == merged["placement"] == "2>9+7>3@bottleneck:r=4"
    images = sorted((image_folder / "red").iterdir())[:2]
    done = cli("predict", merged["run_id"], *images, "--json", cwd=home)
    assert done.code == 0, done.err
    assert {line["predicted"] for line in done.lines} <= set(model.classes)


def test_the_run_is_recorded_with_its_trials_and_without_rows_of_the_log(merged, store):
    from autoplace.tracking import find_run, read_rows

    run = find_run(store, merged["run_id"])
    recorded = json.loads(run.fetch("result.json").read_text())
    assert recorded["starts"] == merged["starts"]
    children = store.client.search_runs(
        [run.experiment_id], f"tags.`mlflow.parentRunId` = '{run.run_id}'"
    )
    assert len(children) == 12
    assert {child.data.tags["autoplace.role"] for child in children} == {"start"}
    drawn = {(child.data.params["seed"], child.data.params["images"]) for child in children}
    assert drawn == {("0", "few 4"), ("1", "few 4, draw 1")}
    assert not [row for row in read_rows(store) if row["placement"] == merged["placement"]]


def test_people_get_a_table_and_a_found_rate_with_other_ranks_and_activations(
    cli, home, image_folder, winner
):
    runs = [winner("20>22@linear:r=2", 0), winner("20>22@linear:r=4", 1)]
    done = cli(
        "merge", *runs, "--data", image_folder, *SMALL[:-2], "--seeds", 1, "--cost", "activations",
        "--solver", "sinkhorn", cwd=home,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "by transport (cost: activations, solver: sinkhorn)" in done.out
    names = [line.partition("  ")[0] for line in done.out.splitlines()]
    assert [name for name in names if name in ("merged by transport", "run 2", "average")] == [
        "merged by transport",
        "run 2",
    ]


@pytest.mark.parametrize(
    ("texts", "flags", "told"),
    [
        (["7>3"], [], "at least two runs"),
        (["7>3", "7>4"], [], "different placements"),
        (["7>3@bottleneck:r=2", "7>3@linear:r=2"], [], "different kinds"),
        (["7>3@linear:r=2", "7>3@linear:r=4"], ["--method", "sum"], "different ranks"),
        (["7>3", "7>3"], ["--shots", "-1"], "--shots is -1"),
        (["7>3", "7>3"], ["--cost", "colour"], "colour"),
    ],
)
def test_what_cannot_be_merged_is_refused_before_any_training(
    cli, tmp_path, image_folder, winner, texts, flags, told
):
    runs = [winner(text) for text in texts]
    done = cli("merge", *runs, "--data", image_folder, *flags, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert not list(tmp_path.rglob("runs"))


def test_winners_of_other_backbones_are_refused(cli, tmp_path, image_folder, winner):
    runs = [winner("7>3"), winner("7>3", backbone="formula-vit6")]
    done = cli("merge", *runs, "--data", image_folder, cwd=tmp_path)
    assert done.code == 2
    assert "different backbones" in done.err
