"""How many placements are trained side by side."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from autoplace.errors import UserError
from autoplace.training import Task

AUTO = "auto"
SHARE = 0.8  # of the free memory that trials may fill
# Bytes of the residual stream with which a step fills a GPU: an estimate, some 10,000 rows.
FILLED = 128 * 2**20
MOST = 32
CONTAINER = Path("/sys/fs/cgroup/cpu.max")  # quota and period of a Linux container


def parse_side_by_side(text: str) -> int | None:
    """Read `--parallel-placements`.

    Returns
    -------
    int or None
        None for `auto`.

    Raises
    ------
    UserError
        Neither a number of at least 1 nor `auto`.

    Examples
    --------
    >>> parse_side_by_side("4"), parse_side_by_side("auto")
    (4, None)
    """
    if text == AUTO:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(
            f"--parallel-placements is '{text}'; give a number of at least 1, or '{AUTO}'"
        )
    return int(text)


def count_side_by_side(
    text: str, task: Task, batch_size: int, notify: Callable[[str], None]
) -> int:
    """Decide how many placements to train side by side: no more than memory holds.

    Parameters
    ----------
    text : str
        A number, or `auto` for as many as the device gains from.
    task : Task
        Data and backbone.
    batch_size : int
        Images per step of each trial.
    notify : callable
        Called with a sentence where fewer fit than were asked for.

    Raises
    ------
    UserError
        As `parse_side_by_side`.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> count_side_by_side("2", open_task("builtin:digits"), 32, print)
    2
    """
    asked = parse_side_by_side(text)
    fitting = max(1, int(SHARE * _free_memory(task.device) // trial_bytes(task, batch_size)))
    if asked is None:
        return min(fitting, _worthwhile(task, batch_size))
    if asked > fitting:
        notify(f"memory holds {fitting} placements side by side, not {asked}; running {fitting}")
    return min(asked, fitting)


def trial_bytes(task: Task, batch_size: int) -> int:
    """Upper bound of the bytes that one placement adds to a step: the graph of two whole passes.

    Frozen weights save no inputs of linear maps: about ten stream-sized tensors a block remain
    (two norms, q, k, v and the attention output, four of the MLP's hidden layer).
    """
    chain = task.chain
    blocks = (chain.n_nodes - 1) // 2
    return 2 * 10 * blocks * batch_size * chain.tokens * chain.dim * torch.float32.itemsize


def count_cores() -> int:
    """Count the cores that this process may use: by affinity, container and OMP_NUM_THREADS.

    Examples
    --------
    >>> count_cores() >= 1
    True
    """
    cores = count_own_cores()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(asked)) if asked.isdecimal() and int(asked) > 0 else cores


def count_own_cores() -> int:
    """Count the cores that this process and others that it starts may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [cores or 1]
    if CONTAINER.exists():
        quota, period = CONTAINER.read_text().split()
        if quota != "max":
            limits.append(max(1, int(quota) // int(period)))
    return min(limits)


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def _worthwhile(task: Task, batch_size: int) -> int:
    """How many fill the device: more would only take memory."""
    if task.device.type == "cpu":  # a thread on a core each
        return count_cores()
    stream = batch_size * task.chain.tokens * task.chain.dim * torch.float32.itemsize
    return min(MOST, max(1, FILLED // stream))
