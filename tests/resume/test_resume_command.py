"""`autoplace resume` continues what it can, as it was started, and says why it cannot do others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import autoplace
from autoplace.agent.steps import _past, _record_trials
from autoplace.tracking import Store
from autoplace.training import OPTIMISER
from experiments.faults.essence import assert_whole, trials_of
from predictors.vocabulary import FIRST_OPTIMISER
from tests.field._stores import Done, make_images, run_here

SMALL = ("--backbone", "fashion-vit8", "--lr", "0.01", "--epochs", "2", "--batch-size", "8",
         "--probe-images", "8")  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return make_images(tmp_path_factory.mktemp("data") / "images", per_class=8)


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    return make_images(tmp_path_factory.mktemp("data") / "others", per_class=9)


def collect(store: Store, *sources: Path, placements: int = 3) -> Done:
    return run_here(
        "collect", *sources, *SMALL, "--placements", placements, "--store", store.uri, "--json",
        cwd=store.folder,
    )  # fmt: skip


def interrupt_after(monkeypatch, trials: int) -> None:
    """Let Ctrl-C come as a trial's result would be recorded."""
    whole, left = _record_trials.TrialRecord.end, iter(range(trials))

    def end(self, outcome, head_only):
        if outcome.is_done and next(left, None) is None:
            raise KeyboardInterrupt
        return whole(self, outcome, head_only)

    monkeypatch.setattr(_record_trials.TrialRecord, "end", end)


def run_folders(store: Store) -> list[Path]:
    return sorted(store.folder.glob("runs/*"), key=lambda path: path.stat().st_mtime)


@pytest.fixture
def interrupted(new_store, images, monkeypatch) -> tuple[Store, str]:
    """A collection that was interrupted after two of four trials."""
    store = new_store()
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        done = collect(store, images)
    (folder,) = run_folders(store)
    assert (done.code, len(done.out.splitlines())) == (130, 2)
    assert done.err.splitlines()[-1] == (
        f"continue with: autoplace resume {folder.name} --store {store.uri}"
    )
    return store, folder.name


def resume(store: Store, run: str, *options: object) -> Done:
    return run_here("resume", run, "--store", store.uri, "--json", *options, cwd=store.folder)


def test_a_collection_continues_and_goes_on_with_the_rest_of_the_data(
    new_store, images, others, monkeypatch
):
    whole, store = new_store("whole"), new_store("parts")
    expected = collect(whole, images, others)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        assert collect(store, images, others).code == 130
    (folder,) = run_folders(store)
    done = resume(store, folder.name)
    assert done.code == 0, done.err

    def rows(document: Done) -> list[tuple[object, ...]]:
        found = map(json.loads, document.out.splitlines())
        names = ("task", "placement", "status", "val_loss", "test_accuracy", "head_only_val_loss")
        return [tuple(row[name] for name in names) for row in found]

    assert rows(done) == rows(expected)
    assert len(run_folders(store)) == 2
    for ours, theirs in zip(run_folders(store), run_folders(whole), strict=True):
        assert_whole(store, ours.name)
        assert trials_of(ours) == trials_of(theirs)
    again = resume(store, folder.name)
    assert again.code == 2
    assert "is finished, so there is nothing to resume" in again.err


def test_data_that_has_changed_is_refused_and_data_that_has_moved_is_accepted(
    interrupted, images, others, tmp_path
):
    store, run = interrupted
    done = resume(store, run, "--data", others)
    assert (done.code, len(done.err.splitlines()[-1:])) == (2, 1)
    assert f"has changed since run {run} was started" in done.err
    moved = shutil.copytree(images, tmp_path / "moved" / "images")
    assert resume(store, run, "--data", moved).code == 0


def test_the_address_of_a_cluster_that_the_run_does_not_use_is_refused(interrupted):
    store, run = interrupted
    done = resume(store, run, "--ray-address", "head:6379")
    assert done.code == 2
    assert f"run {run} uses no Ray cluster; leave out --ray-address" in done.err
    assert resume(store, run).code == 0


def test_other_versions_weights_or_optimisers_are_refused(interrupted, monkeypatch):
    store, run = interrupted
    monkeypatch.setattr(_past, "library_versions", lambda: json.dumps({"torch": "0.1"}))
    done = resume(store, run)
    assert done.code == 2
    assert "torch" in done.err and "(here: 0.1)" in done.err
    monkeypatch.undo()
    monkeypatch.setattr(_past, "WEIGHTS_TAG", "autoplace.task")
    done = resume(store, run)
    assert done.code == 2
    assert "the weights of backbone 'fashion-vit8' are not those" in done.err
    monkeypatch.undo()
    monkeypatch.setattr(_past, "OPTIMISER_TAG", "missing")  # as in runs of older releases
    done = resume(store, run)
    assert done.code == 2
    assert f"trained with {FIRST_OPTIMISER} (here: {OPTIMISER})" in done.err


def test_python_resumes_with_the_options_of_the_run_and_nobody_else_may_meanwhile(
    interrupted, monkeypatch
):
    store, run = interrupted
    monkeypatch.setenv("AUTOPLACE_EPOCHS", "7")
    rows = autoplace.resume(run, store=store.uri)
    assert set(rows["epochs"]) == {2}
    assert len(rows) == 4


def test_a_run_of_another_command_is_refused(new_store):
    from autoplace.tracking import Journal

    store = new_store()
    journal = Journal(store, "task", "merge", {"data": "x"}, {"autoplace.role": "merge"}, print)
    journal.finish("KILLED")
    done = resume(store, journal.run.run_id)
    assert done.code == 2
    assert "is of 'autoplace merge', which cannot be resumed; start it again" in done.err
