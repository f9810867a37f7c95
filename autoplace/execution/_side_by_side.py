"""How many placements are trained side by side."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import torch

from autoplace.errors import UserError
from autoplace.training import Task

AUTO = "auto"
SHARE = 0.8  # of the free memory that trials may fill
# Bytes of the residual stream with which a step fills the device. For a CPU as measured by
# experiments/benchmarks/population.py; for a GPU an estimate: tens of thousands of rows.
FILLED = {"cpu": 2 * 2**20, "cuda": 128 * 2**20}
MOST = 32


def parse_side_by_side(text: str) -> int | None:
    """The number that `--parallel-placements` gives, None for `auto`. Raises UserError."""
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
    """As many as asked for, or as the device gains from, where memory holds them; else fewer.

    `notify` is told where fewer fit than were asked for.
    """
    asked = parse_side_by_side(text)
    fitting = max(1, int(SHARE * _free_memory(task.device) // trial_bytes(task, batch_size)))
    if asked is None:
        return min(fitting, _worthwhile(task, batch_size))
    if asked > fitting:
        notify(
            f"memory holds {fitting} placements side by side, not {asked}; going on with {fitting}"
        )
    return min(asked, fitting)


def trial_bytes(task: Task, batch_size: int) -> int:
    """Rough size of what one placement adds to a step at most: the graph of two whole passes.

    Frozen weights save no inputs of linear maps: about ten stream-sized tensors a block remain
    (two norms, q, k, v and the attention output, four of the MLP's hidden layer).
    """
    chain = task.chain
    blocks = (chain.n_nodes - 1) // 2
    return 2 * 10 * blocks * batch_size * chain.tokens * chain.dim * torch.float32.itemsize


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def _worthwhile(task: Task, batch_size: int) -> int:
    """How many fill the device: more would only take memory."""
    stream = batch_size * task.chain.tokens * task.chain.dim * torch.float32.itemsize
    return min(MOST, max(1, FILLED[task.device.type] // stream))
