"""Stores in any folder, started at once, moved, deleted in part, of other versions, read-only."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoplace.tracking import Store, champion, find_run, register_version, start_run
from autoplace.tracking.store._address import read_sqlite, write_sqlite
from tests.field._stores import NAMES, change, clean_environment, make_images, read_only, run_here

PIECES = st.text(st.sampled_from("a%?#&=;: 2é🙂~@+'\"\\\n\t\udcff"), min_size=1, max_size=8)


@pytest.fixture(autouse=True)
def _no_store_of_the_user(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)


@pytest.fixture
def images(tmp_path) -> Path:
    return make_images(tmp_path / "images")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@given(st.lists(PIECES.filter(lambda name: name.strip("\0") not in (".", "..")), max_size=3))
def test_any_path_comes_back_from_its_uri(names):
    path = Path("/", "srv", *names, "mlflow.db")
    assert read_sqlite(write_sqlite(path, {})) == (path, {})
    options = {"timeout": "5", "mode": "rw"}
    assert read_sqlite(write_sqlite(path, options)) == (path, options)


@pytest.mark.parametrize("name", NAMES)
def test_database_runs_and_artifacts_go_into_a_working_directory_of_any_name(
    name, first_use, tmp_path, monkeypatch
):
    folder = tmp_path / name
    (folder / "autoplace-store").mkdir(parents=True)
    shutil.copy(first_use[0] / "autoplace-store" / "mlflow.db", folder / "autoplace-store")
    monkeypatch.chdir(folder)
    run = start_run(Store(), "digits", "pick")
    run.log_json({"a": 1}, "sub/a.json")
    (path,) = folder.rglob("a.json")
    assert path.is_relative_to(folder / "autoplace-store" / "artifacts")
    for uri in (Store().uri, Store().address, "sqlite:///autoplace-store/mlflow.db"):
        found = find_run(Store(uri), run.run_id)
        assert json.loads(found.fetch("sub/a.json").read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert [entry.name for entry in folder.iterdir()] == ["autoplace-store"]


def test_escaped_name_means_the_folder_that_exists(tmp_path):
    (tmp_path / "my store").mkdir()
    assert Store(f"sqlite:///{tmp_path}/my%20store/m.db").folder == tmp_path / "my store"
    (tmp_path / "my%20store").mkdir()
    assert Store(f"sqlite:///{tmp_path}/my%20store/m.db").folder == tmp_path / "my%20store"


@pytest.mark.parametrize("name", ["plain", "100% #1?a=é%20b"])
def test_first_runs_that_start_at_once_share_one_new_store(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    code = (
        "from autoplace.tracking import Store, start_run; "
        "run = start_run(Store(), 'digits', 'pick', {'a': 1}); run.log_json({}, 'a.json'); "
        "run.finish(); print(run.experiment_id)"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            env=clean_environment(PYTHONPATH=str(Path(__file__).parents[2])),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4 if name == "plain" else 1)
    ]
    said = [process.communicate() for process in running]
    assert [(process.returncode, err) for process, (_, err) in zip(running, said, strict=True)] == [
        (0, "") for _ in running
    ]
    assert len({out for out, _ in said}) == 1
    assert [entry.name for entry in folder.iterdir()] == ["autoplace-store"]
    store = Store(f"sqlite:///{folder}/autoplace-store/mlflow.db")
    experiments = store.client.search_experiments()
    assert sorted(each.name for each in experiments) == ["Default", "autoplace/digits"]
    assert all(e.artifact_location.startswith(store.artifact_root) for e in experiments)
    assert not list(store.folder.glob("*.new*"))


def test_killed_creation_leaves_nothing_behind_that_the_next_one_trips_over(tmp_path, first_use):
    folder = tmp_path / "autoplace-store"
    folder.mkdir()
    (folder / "mlflow.db.0123.new").write_bytes(b"half")
    (folder / "mlflow.db.0123.new-journal").write_bytes(b"half")
    store = Store(f"sqlite:///{folder}/mlflow.db")
    start_run(store, "digits", "pick")
    assert not list(folder.glob("*.new*"))


def deleted_experiment(store: Store) -> list[object]:
    start_run(store, "images", "pick")
    store.client.delete_experiment(store.experiment_id("autoplace/images"))
    return []


REFUSED = {
    "an experiment that was deleted": (
        deleted_experiment, r"'autoplace/images' was deleted.*\n.*restore --experiment-id \d"
    ),
    "an older schema": (
        lambda store: change(store.sqlite_path, "UPDATE alembic_version SET version_num = "
                             "'bd07f7e963c5'"),
        r"older MLflow than the installed .*\n.*mlflow db upgrade sqlite:///",
    ),
    "an older schema without some tables": (
        lambda store: change(store.sqlite_path, "UPDATE alembic_version SET version_num = "
                             "'451aebb31d03'", "DROP TABLE model_versions"),
        r"older MLflow than the installed .*\n.*mlflow db upgrade sqlite:///",
    ),
    "a newer schema": (
        lambda store: change(store.sqlite_path, "UPDATE alembic_version SET version_num = "
                             "'ffffffffffff'"),
        r"newer MLflow than the installed .*\n.*pip install --upgrade mlflow",
    ),
    "a schema without a version": (
        lambda store: change(store.sqlite_path, "DELETE FROM alembic_version"),
        "not created completely; remove it",
    ),
    "a database of something else": (
        lambda store: (store.sqlite_path.unlink(),
                       change(store.sqlite_path, "CREATE TABLE addresses (name TEXT)")),
        r"a database of something else \(tables addresses\)",
    ),
    "a damaged database": (
        lambda store: os.truncate(store.sqlite_path, 5000), "malformed|cannot be used"
    ),
    "a folder in place of the database": (
        lambda store: (store.sqlite_path.unlink(), store.sqlite_path.mkdir()), "is not a file"
    ),
    "a file in place of the artifacts' folder": (
        lambda store: (store.folder / "artifacts").write_text(""), "artifacts is a file"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_store_that_cannot_be_used_is_refused_at_the_start_with_the_cure(case, new_store, images):
    spoil, expected = REFUSED[case]
    store = new_store()
    spoil(store)
    before = files(store.folder)
    for arguments in (["pick", images, "--dry-run"], ["collect", images, "--placements", 1]):
        done = run_here(
            *arguments, "--backbone", "fashion-vit8", "--store", store.uri, cwd=store.folder
        )
        assert done.code == 2, done.err
        (_, message) = done.err.split("Error: ")
        assert len(message.splitlines()) <= 2
        assert re.search(expected, message), message
        assert "probe" not in done.err.lower()
    assert files(store.folder) == before


def test_experiment_named_by_the_user_that_was_deleted_is_refused(new_store, images):
    store = new_store()
    store.client.delete_experiment(store.experiment_id("mine"))
    done = run_here(
        *("pick", images, "--dry-run", "--store", store.uri),
        cwd=store.folder,
        MLFLOW_EXPERIMENT_NAME="mine",
    )
    assert done.code == 2
    assert "'mine' was deleted" in done.err


def test_deleted_experiment_of_the_predictors_stops_retrain_before_it_fits(new_store):
    store = new_store()
    store.client.delete_experiment(store.experiment_id("autoplace/predictors"))
    done = run_here("retrain", "--store", store.uri, cwd=store.folder)
    assert done.code == 2
    assert "'autoplace/predictors' was deleted" in done.err


def test_read_only_store_is_read_but_not_written(new_store, images):
    store = new_store()
    start_run(store, "digits", "pick").log_json({"a": 1}, "a.json")
    (run,) = store.client.search_runs([store.experiment_id("autoplace/digits")])
    with read_only(store.folder):
        assert find_run(Store(store.uri), run.info.run_id).fetch("a.json").is_file()
        done = run_here("pick", images, "--dry-run", "--store", store.uri, cwd=images)
        assert done.code == 2
        assert "cannot be written" in done.err or "not writable" in done.err
        assert "MLFLOW_TRACKING_URI" in done.err
        assert "read-only file system".casefold() not in done.err.casefold() or "copy" in done.err


class TestMoved:
    @pytest.fixture
    def moved(self, new_store, tmp_path) -> tuple[Store, str]:
        """A store with a run, a champion and a run folder, in another place than it was made."""
        store = new_store("old")
        run = start_run(store, "digits", "pick")
        run.log_json({"a": 1}, "sub/a.json")
        folder = tmp_path / "predictor"
        folder.mkdir()
        (folder / "schema.json").write_text("{}")
        version = register_version(store, folder)
        store.client.set_registered_model_alias("autoplace-predictor", "champion", str(version))
        store.folder.rename(tmp_path / "new place")
        return Store(f"sqlite:///{tmp_path}/new place/mlflow.db"), run.run_id

    def test_artifacts_are_found_beside_the_database_and_the_old_place_is_reported(self, moved):
        store, run_id = moved
        (note,) = {*store.check()}
        assert "old/artifacts" in note
        assert "new place/artifacts is used instead" in note
        run = find_run(store, run_id)
        assert run.fetch("sub/a.json").is_relative_to(store.folder)
        assert run.list_files("sub") == {"sub/a.json"}
        assert champion(store).is_relative_to(store.folder)

    def test_new_artifacts_go_there_and_mlflow_itself_finds_the_old_ones(self, moved, tmp_path):
        store, run_id = moved
        run = start_run(store, "digits", "pick")
        run.log_json({}, "b.json")
        assert not (tmp_path / "old").exists()
        assert store.check() == []
        for each, file in ((run_id, "sub/a.json"), (run.run_id, "b.json")):
            assert store.client.get_run(each).info.artifact_uri.startswith(store.artifact_root)
            assert Path(store.client.download_artifacts(each, file)).is_file()

    def test_reading_alone_changes_nothing(self, moved):
        store, run_id = moved
        before = store.sqlite_path.read_bytes()
        find_run(store, run_id).fetch("sub/a.json")
        store.check()
        assert store.sqlite_path.read_bytes() == before

    def test_read_only_moved_store_can_be_read(self, moved):
        store, run_id = moved
        with read_only(store.folder):
            assert find_run(store, run_id).fetch("sub/a.json").is_file()
            assert champion(store).is_dir()


def test_copy_writes_to_itself_and_leaves_the_original_alone(new_store, tmp_path):
    store = new_store("old")
    first = start_run(store, "digits", "pick")
    first.log_json({}, "a.json")
    shutil.copytree(store.folder, tmp_path / "copy")
    before = files(store.folder)
    copy = Store(f"sqlite:///{tmp_path}/copy/mlflow.db")
    start_run(copy, "digits", "pick").log_json({}, "b.json")
    assert files(store.folder) == before
    assert find_run(copy, first.run_id).fetch("a.json").is_relative_to(copy.folder)


def test_artifacts_that_stayed_behind_are_still_found(new_store, tmp_path):
    store = new_store("old")
    first = start_run(store, "digits", "pick")
    first.log_json({}, "a.json")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(store.sqlite_path, tmp_path / "elsewhere")
    other = Store(f"sqlite:///{tmp_path}/elsewhere/mlflow.db")
    start_run(other, "digits", "pick").log_json({}, "b.json")
    assert find_run(other, first.run_id).fetch("a.json").is_relative_to(store.folder)
    assert (other.folder / "artifacts").is_dir()


def test_place_that_the_user_chose_for_artifacts_is_kept(new_store, tmp_path):
    store = new_store()
    chosen = tmp_path / "big disk" / "artifacts"
    chosen.mkdir(parents=True)
    store.client.create_experiment("mine", artifact_location=chosen.as_uri())
    run = start_run(Store(store.uri, "mine"), "digits", "pick")
    run.log_json({}, "a.json")
    assert run.fetch("a.json").is_relative_to(chosen)


def test_link_to_a_store_is_the_store(new_store, tmp_path):
    store = new_store()
    start_run(store, "digits", "pick").log_json({}, "a.json")
    (tmp_path / "link").symlink_to(store.folder)
    assert Store(f"sqlite:///{tmp_path}/link/mlflow.db").check() == []
