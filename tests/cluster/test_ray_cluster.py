"""A Ray cluster of several nodes on this machine: nodes and workers die, trials do not."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time

import psutil
import pytest
import torch

from autoplace.agent import open_task
from autoplace.errors import UserError
from autoplace.execution import InProcessExecutor, RayExecutor, TrialStarted, WorkerPool
from autoplace.placement import Placement
from autoplace.settings import CollectSettings
from autoplace.training import Deadline, Epoch, Outcome, Trial
from experiments.faults.essence import assert_whole, trials_of
from predictors.vocabulary import Status
from tests.field._stores import make_images, run_here, start

pytestmark = pytest.mark.faults
ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

SETTINGS = CollectSettings(epochs=3, batch_size=4, device="cpu")
TEXTS = ("20>22@bottleneck:r=2", "3>20@linear:r=2", "9>2", "2>5")


def trials(texts=TEXTS, epochs=None):
    return [Trial(Placement.parse(text), 0, learning_rate=3e-3, epochs=epochs) for text in texts]


def outcomes(events):
    return {event.trial: event for event in events if isinstance(event, Outcome)}


@pytest.fixture
def cluster(monkeypatch):
    """A head without cores for trials, and two nodes with one each."""
    for name, value in {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }.items():
        monkeypatch.setenv(name, value)
    store = 100 * 2**20
    made = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": store}
    )
    made.workers = [made.add_node(num_cpus=1, object_store_memory=store) for _ in range(2)]
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def images(tmp_path):
    return make_images(tmp_path / "images")


def join(cluster, images, notes=None, **options):
    """A pool on the cluster, and an executor of it on a task of tiny images."""
    settings = CollectSettings(executor="ray", ray_address=cluster.address, **options)
    pool = WorkerPool(settings, on_gpu=False)
    task = open_task(str(images), SETTINGS, SETTINGS)
    notify = (lambda text: None) if notes is None else notes.append
    return pool, task, RayExecutor(pool, task, SETTINGS, Deadline(), notify=notify)


def where(worker):
    """Process and node of a worker."""
    code = worker.actor.__ray_call__
    return ray.get(code.remote(lambda self: (os.getpid(), ray.get_runtime_context().get_node_id())))


def test_a_node_killed_in_mid_trial_costs_only_the_trials_that_it_had(cluster, images):
    # Workers outlive their node by a second or two, and a trial here must last longer.
    epochs = 400
    notes, asked = [], trials(TEXTS[:3], epochs)
    pool, task, executor = join(cluster, images, notes)
    events, killed = [], False
    for event in executor.run(asked):
        events.append(event)
        if isinstance(event, Epoch) and not killed and len(pool.workers) == 2:
            started = {e.trial for e in events if isinstance(e, TrialStarted)}
            if len(started - set(outcomes(events))) == 2:  # both nodes are training
                killed = True
                cluster.remove_node(cluster.workers[0], allow_graceful=False)
    assert killed
    found = outcomes(events)
    lost = [note for note in notes if "a worker was lost" in note]
    assert len(lost) == 1, notes
    alone = outcomes(InProcessExecutor(task, SETTINGS, Deadline()).run(asked))
    for trial in asked:
        assert found[trial].status is Status.DONE
        own = [event for event in events if event.trial == trial]
        assert [type(event) for event in own] == [TrialStarted, *[Epoch] * epochs, Outcome]
        assert found[trial].step_losses == alone[trial].step_losses
        for name, tensor in found[trial].state.items():
            assert torch.equal(tensor, alone[trial].state[name])


def kill_who_trains() -> None:
    """Kill a worker that runs a trial, as the system does when memory is short."""
    while True:
        for process in psutil.process_iter(["cmdline"]):
            if "ray::TrialWorker.run" in " ".join(process.info["cmdline"] or []):
                process.kill()
                process.wait(30)  # or the next call would find it again
                return
        time.sleep(0.05)


def test_a_trial_whose_worker_dies_twice_fails_with_a_reason_and_the_rest_are_done(cluster, images):
    bad, *rest = asked = trials(epochs=60)
    pool, task, executor = join(cluster, images, workers=1)

    def kill_the_next(note):
        assert "a worker was lost" in note
        threading.Thread(target=kill_who_trains, daemon=True).start()

    executor = RayExecutor(pool, task, SETTINGS, Deadline(), notify=kill_the_next)
    events = []
    for event in executor.run(asked):
        events.append(event)
        if event.trial == bad and isinstance(event, TrialStarted):
            kill_who_trains()
    found = outcomes(events)
    assert found[bad].status is Status.FAILED
    assert "its worker was lost twice" in found[bad].reason
    assert len(found[bad].reason.splitlines()) == 1
    assert {found[trial].status for trial in rest} == {Status.DONE}


def test_workers_stay_from_task_to_task_and_know_no_store(cluster, images, tmp_path):
    pool, _, executor = join(cluster, images)
    assert len(outcomes(executor.run(trials()))) == 4
    before = [where(worker) for worker in pool.workers]
    other = make_images(tmp_path / "others", per_class=8)
    task = open_task(str(other), SETTINGS, SETTINGS)
    again = RayExecutor(pool, task, SETTINGS, Deadline())
    assert len(outcomes(again.run(trials()))) == 4
    assert [where(worker) for worker in pool.workers] == before
    assert len({node for _, node in before}) == 2
    for worker in pool.workers:
        modules = worker.actor.__ray_call__.remote(lambda self: set(sys.modules))
        assert not {"mlflow", "sqlalchemy"} & ray.get(modules)


def test_what_is_left_of_an_earlier_pool_takes_no_new_worker_along(images, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    gc.disable()
    try:
        for _ in range(2):
            notes = []
            pool = WorkerPool(CollectSettings(workers=1), on_gpu=False)
            task = open_task(str(images), SETTINGS, SETTINGS)
            executor = RayExecutor(pool, task, SETTINGS, Deadline(), notify=notes.append)
            events = []
            for event in executor.run(trials()):
                if isinstance(event, TrialStarted):
                    gc.collect()
                events.append(event)
            assert {each.status for each in outcomes(events).values()} == {Status.DONE}
            assert notes == []
            executor.itself = executor  # from now on, only the collector finds the pool
            del pool, executor, event
            ray.shutdown()
    finally:
        gc.enable()


def test_a_worker_that_sees_other_images_is_refused(cluster, images):
    _, _, executor = join(cluster, images)
    for number in range(3):
        (images / "dark" / f"{number}.png").write_bytes(
            (images / "light" / f"{number}.png").read_bytes()
        )
    with pytest.raises(UserError, match="has other images or weights") as refused:
        list(executor.run(trials()))
    assert len(str(refused.value).splitlines()) == 1


def test_unreadable_images_that_workers_find_are_known_here_too(cluster, tmp_path):
    images = make_images(tmp_path / "images", per_class=12)
    damaged = images / "light" / "7.png"
    damaged.write_bytes(damaged.read_bytes()[:300])
    _, task, executor = join(cluster, images)
    assert task.data.bad_images() == []
    assert len(outcomes(executor.run(trials()))) == 4
    assert [bad.path for bad in task.data.bad_images()] == [str(damaged)]
    read, _ = task.data.record.entries_after(0, 0)
    assert {path for _, path, _ in read} == set(task.data.fit.paths) - {str(damaged)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--workers", 3], "--workers is 3, but only 2 workers with 1 CPU cores each fit"),
        (["--worker-cpus", 2], "a worker needs 2 CPU cores, which no node has: the largest has 1"),
        (["--worker-gpus", 1], "a worker needs 1 CPU cores and 1 GPUs, which no node has"),
    ],
)
def test_requests_that_can_never_be_met_are_refused_at_once(
    options, expected, cluster, images, tmp_path
):
    started = time.monotonic()
    done = run_here(
        *("collect", images, "--executor", "ray", "--ray-address", cluster.address, *options),
        cwd=tmp_path,
    )
    assert (done.code, done.out) == (2, "")
    assert expected in done.err
    assert len(done.err.split("Error: ")[1].splitlines()) <= 2
    assert time.monotonic() - started < 60
    assert not (tmp_path / "autoplace-store" / "runs").exists()


def test_a_run_that_was_killed_continues_on_the_cluster_that_is_there_now(
    cluster, images, new_store
):
    store, whole = new_store("killed"), new_store("whole")
    command = (
        *("collect", images, "--backbone", "fashion-vit8", "--placements", 3, "--lr", 0.01),
        *("--epochs", 20, "--batch-size", 4, "--probe-images", 8, "--device", "cpu"),
    )
    on_ray = ("--executor", "ray", "--ray-address", cluster.address)
    process = start(*command, *on_ray, "--store", store.uri, "--json", cwd=store.folder)
    process.stdout.readline()  # a trial has ended
    process.kill()
    process.communicate(timeout=60)
    (folder,) = store.folder.glob("runs/*")
    again = ("resume", folder.name, "--store", store.uri, "--json", "--ray-address")
    gone = run_here(*again, "127.0.0.1:9", cwd=store.folder)
    assert gone.code == 2
    assert "no Ray cluster can be used at" in gone.err
    done = run_here(*again, cluster.address, cwd=store.folder)
    assert done.code == 0, done.err
    assert run_here(*command, "--store", whole.uri, cwd=whole.folder).code == 0
    (undisturbed,) = whole.folder.glob("runs/*")
    assert trials_of(folder) == trials_of(undisturbed)
    assert_whole(store, folder.name)
