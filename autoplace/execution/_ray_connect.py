"""Connecting to Ray, and what of its machines workers can have."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from autoplace.errors import UserError
from autoplace.execution._side_by_side import count_own_cores
from autoplace.settings import ExecutorSettings

# Ray would send statistics of its use to its makers, and hide GPUs from workers without a share.
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_PATIENCE = 5.0  # seconds that a cluster has to answer
# Results are read as they come, so little is ever stored.
_OBJECT_STORE = 256 * 2**20


def import_ray() -> Any:
    """Import Ray, which an extra installs.

    Raises
    ------
    UserError
        It is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError(
            "workers need Ray, which is not installed; run: pip install 'autoplace[ray]'"
        ) from error


def connect(settings: ExecutorSettings, cpus: int, gpus: float) -> bool:
    """Connect this process to the cluster, or to a Ray of its own on this machine.

    Parameters
    ----------
    settings : ExecutorSettings
        Which cluster, and how many workers.
    cpus, gpus : int, float
        The share of each worker.

    Returns
    -------
    bool
        Whether a Ray was started, which is to be shut down.

    Raises
    ------
    UserError
        This machine is too small, Ray is not installed, or no cluster can be reached.
    """
    on_cluster = settings.executor == "ray"
    address = settings.ray_address or os.environ.get("RAY_ADDRESS") or "auto"
    if on_cluster and "://" in address:
        raise UserError(
            f"--ray-address is '{address}'; give HOST:PORT, and run autoplace on a node of the "
            "cluster"
        )
    wanted, cores = (settings.workers or 1) * cpus, count_own_cores()
    if not on_cluster and wanted > cores:
        most = f"give at most {cores // cpus}" if cpus <= cores else "lower --worker-cpus"
        raise UserError(
            f"--workers {settings.workers} needs {wanted} CPU cores, and this machine has {cores}; "
            f"{most}"
        )
    ray = import_ray()
    # An earlier pool that only the collector still finds must go now: when it goes, it shuts down
    # Ray, and that would be the one that is started here.
    gc.collect()
    if ray.is_initialized():
        return False
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _signals_kept():
        if on_cluster:
            _join(address, quiet)
        else:
            _start(wanted, None if gpus else 0, quiet)
    # Ray has no option for it: it would write about lost workers to stdout, where --json writes.
    ray._private.worker._worker_logs_enabled = False
    return True


def _start(cpus: int, gpus: int | None, quiet: Mapping[str, Any]) -> None:
    """Start a Ray of this process's own; `gpus` None: all that there are."""
    try:
        import_ray().init(
            address="local",
            num_cpus=cpus,
            num_gpus=gpus,
            object_store_memory=_OBJECT_STORE,
            include_dashboard=False,
            **quiet,
        )
    except Exception as error:  # the class that Ray raises where it does not start in time
        raise UserError(
            f"Ray does not start on this machine: {_first_line(error)}\nrun the command again when "
            "the machine is less busy, or without --workers"
        ) from error


def _join(address: str, quiet: Mapping[str, Any]) -> None:
    """Connect to a cluster that is running."""
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would try for five minutes and then end the process
            socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
        import_ray().init(address=address, **quiet)
    except Exception as error:  # of many classes, Exception itself among them
        where = "on this machine" if address == "auto" else f"at {address}"
        raise UserError(
            f"no Ray cluster can be used {where}: {_first_line(error)}\nstart one with "
            "'ray start --head', or give --ray-address; --workers N alone needs no cluster"
        ) from error


def count_fitting(nodes: Sequence[Mapping[str, Any]], cpus: int, gpus: float) -> int:
    """Count the workers that fit on the nodes of a cluster, if nothing else runs there.

    Examples
    --------
    >>> nodes = [{"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
    ...          {"Alive": True, "Resources": {"CPU": 4.0}}]
    >>> count_fitting(nodes, cpus=1, gpus=0), count_fitting(nodes, cpus=1, gpus=0.5)
    (12, 4)
    """
    total = 0
    for node in nodes:
        if node["Alive"]:
            resources = node["Resources"]
            fitting = [int(resources.get("CPU", 0.0) // cpus)]
            if gpus:
                # A worker's share is on one GPU.
                fitting.append(int(resources.get("GPU", 0.0)) * int(1 / gpus + 1e-9))
            total += min(fitting)
    return total


def count_workers(asked: int | None, cpus: int, gpus: float) -> int:
    """Return how many workers to start on the cluster that this process is connected to.

    Raises
    ------
    UserError
        None fit, or fewer than asked for.
    """
    nodes = import_ray().nodes()
    fitting = count_fitting(nodes, cpus, gpus)
    share = f"{cpus} CPU cores" + (f" and {gpus:g} GPUs" if gpus else "")
    if not fitting:
        largest = max((n["Resources"].get("CPU", 0.0) for n in nodes if n["Alive"]), default=0.0)
        n_gpus = sum(n["Resources"].get("GPU", 0.0) for n in nodes if n["Alive"])
        raise UserError(
            f"a worker needs {share}, which no node has: the largest has {largest:g} cores, all "
            f"together {n_gpus:g} GPUs; change --worker-cpus or --worker-gpus"
        )
    if asked is not None and asked > fitting:
        raise UserError(
            f"--workers is {asked}, but only {fitting} workers with {share} each fit; give fewer, "
            "or smaller shares with --worker-cpus and --worker-gpus"
        )
    return asked or fitting


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces by one that exits without closing the run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
