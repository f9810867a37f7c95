"""A real process that is killed again and again, and resumed, ends as one that never was."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from autoplace.tracking import EventKind, Ledger, Store, open_past
from experiments.faults.essence import assert_whole, ended_trials, result_of, trials_of, winner_of
from tests.field._stores import make_images, run_here, start

PICK = ("--backbone", "fashion-vit8", "--epochs", "2", "--batch-size", "8", "--probe-images", "8",
        "--field-size", "3", "--seeds", "1", "--adapter", "bottleneck")  # fmt: skip
# What a process says when it is to be ended; a new or a resumed one each time.
MOMENTS = (
    "Probing",
    "rate 2>3+2>5@bottleneck",
    "[1/3] candidate",
    "[2/7]",  # finalists and folds
    "] refit",  # one of the final trainings
    "Saving",
)

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return make_images(tmp_path_factory.mktemp("data") / "images", per_class=12)


@pytest.fixture(scope="module")
def undisturbed(first_use, tmp_path_factory, images) -> tuple[dict[str, object], Path]:
    folder = tmp_path_factory.mktemp("whole")
    shutil.copy(first_use[0] / "autoplace-store" / "mlflow.db", folder)
    store = Store(f"sqlite:///{folder}/mlflow.db")
    arguments = ("pick", images, *PICK, "--store", store.uri, "--json")
    done = run_here(*arguments, cwd=store.folder)
    assert done.code == 0, done.err
    (folder,) = store.folder.glob("runs/*")
    return json.loads(done.out), folder


def end_when(process: subprocess.Popen[str], said: str, number: signal.Signals) -> str:
    """Send a signal once a process has said something; what it says afterwards."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if said in line:
            process.send_signal(number)
            break
    _, rest = process.communicate(timeout=120)
    assert process.returncode != 0, (said, "".join(lines))
    return rest


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda each: each.name)
def test_a_pick_that_is_ended_at_every_stage_comes_out_bit_for_bit_the_same(
    number, new_store, images, undisturbed
):
    store = new_store("ended")
    options = ("--store", store.uri, "--json")
    first, *later = MOMENTS
    end_when(start("pick", images, *PICK, *options, cwd=store.folder), first, number)
    assert not list(store.folder.glob("runs/*"))  # nothing was finished, and nothing is left
    command = ("pick", images, *PICK)
    kept: dict[str, object] = {}
    for said in later:
        rest = end_when(start(*command, *options, cwd=store.folder), said, number)
        (folder,) = store.folder.glob("runs/*")
        command = ("resume", folder.name)
        if number is signal.SIGTERM:
            line = f"continue with: autoplace resume {folder.name} --store {store.uri}"
            assert rest.splitlines()[-1] == line
            assert store.client.get_run(folder.name).info.status == "KILLED"
        ended = ended_trials(folder)
        assert kept.items() <= ended.items(), said  # nothing that was finished is lost
        kept = ended
    with open_past(store, folder.name) as past:
        spent = past.seconds
    done = run_here(*command, *options, cwd=store.folder)
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["seconds"] > spent > 1
    assert document["search_cost"] < document["total_cost"]
    result, whole = undisturbed
    assert result_of(document) == result_of(result)
    assert winner_of(folder) == winner_of(whole)
    assert trials_of(folder) == trials_of(whole)
    assert_whole(store, folder.name)


def test_a_full_disk_ends_a_run_as_failed_and_it_continues_once_there_is_space(
    new_store, images, undisturbed, tmp_path
):
    store = new_store("small disk")
    kept = shutil.copy(store.sqlite_path, tmp_path / "kept.db")
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", store.folder]
    if not shutil.which("mount") or subprocess.call(mount, stderr=subprocess.DEVNULL):
        pytest.skip("mounts are not allowed here")
    try:
        shutil.copy(kept, store.sqlite_path)
        options = ("--store", store.uri, "--json")
        process = start("pick", images, *PICK, *options, cwd=tmp_path)
        assert process.stderr is not None
        next(line for line in process.stderr if "[1/3] candidate" in line)
        fill(store.folder / "other")
        _, err = process.communicate(timeout=120)
        (folder,) = store.folder.glob("runs/*")
        assert process.returncode == 1, err
        assert "No space left on device" in err
        assert err.splitlines()[-1].startswith(f"continue with: autoplace resume {folder.name}")
        assert store.client.get_run(folder.name).info.status == "FAILED"
        events = Ledger(folder / "ledger.jsonl").read()
        assert [e.status for e in events if e.kind == EventKind.FINISH] == ["FAILED"]
        refused = run_here("resume", folder.name, *options, cwd=tmp_path)
        assert refused.code == 1
        assert "free some space" in refused.err
        (store.folder / "other").unlink()
        done = run_here("resume", folder.name, *options, cwd=tmp_path)
        assert done.code == 0, done.err
        result, whole = undisturbed
        assert result_of(json.loads(done.out)) == result_of(result)
        assert trials_of(folder) == trials_of(whole)
        assert_whole(store, folder.name)
    finally:
        Store.__init__(store, store.uri)  # lets go of the database
        subprocess.check_call(["umount", "-l", store.folder])


def fill(path: Path) -> None:
    """Leave no block free on a disk."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
