"""A task that any process can open, and executors of every kind on it."""

from __future__ import annotations

import os
import sys

import pytest

from autoplace.agent import open_task
from autoplace.execution import InProcessExecutor, RayExecutor, WorkerPool
from autoplace.settings import CollectSettings
from autoplace.training import Deadline


@pytest.fixture(scope="session")
def opened(image_folder):
    """A task that was opened from its source; its caches fill once."""
    settings = CollectSettings(device="cpu")
    return open_task(str(image_folder), settings, settings)


@pytest.fixture(scope="module")
def pool():
    """Two workers on this machine, or one where there is only one core."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        workers = min(2, len(os.sched_getaffinity(0)))
        pool = WorkerPool(CollectSettings(workers=workers), on_gpu=False)
        yield pool
    ray.shutdown()


@pytest.fixture(
    params=["one", "threads", "population", pytest.param("ray", marks=pytest.mark.faults)]
)
def create(request, opened):
    """Creates executors of one kind."""

    def create(settings, deadline=None, notify=lambda text: None):
        deadline = deadline or Deadline()
        if request.param == "ray":
            workers = request.getfixturevalue("pool")
            return RayExecutor(workers, opened, settings, deadline, notify=notify)
        side_by_side = 1 if request.param == "one" else 2
        return InProcessExecutor(
            opened,
            settings,
            deadline,
            side_by_side=side_by_side,
            threads=request.param == "threads",
            notify=notify,
        )

    create.exact = request.param != "population"
    return create
