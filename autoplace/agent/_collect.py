"""Collecting placement results: sampled or given placements on one or more tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autoplace.adapters import check_adapters, within_budget
from autoplace.agent._candidates import SET_SIZES, parameter_budget
from autoplace.agent._open import open_task, probe_task, read_images
from autoplace.agent._progress import Progress
from autoplace.agent._recorder import Recorder
from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.execution import (
    InProcessExecutor,
    TrialRequest,
    count_side_by_side,
    parse_side_by_side,
)
from autoplace.placement import Edge, EdgeKind, Placement, PlacementError
from autoplace.placement.generators import random_edges, single_edges
from autoplace.settings import CollectSettings
from autoplace.tracking import Store
from autoplace.training import Deadline, Task

KINDS = tuple(EdgeKind)


def collect(
    sources: Sequence[str], settings: CollectSettings, progress: Progress | None = None
) -> Iterator[dict[str, Any]]:
    """Fine-tune placements on each task and yield each finished trial's row of the log.

    The placements of a file, or else `settings.placements` sampled ones: half single edges, the
    four kinds evenly, half random sets, each with its propensity. Head-only runs first on every
    task. Test outcomes are recorded for evaluation; no predictor reads them.

    Raises UserError (of any room): before anything is trained, but for too many unreadable images,
    which show when the task they belong to has its turn.
    """
    progress = progress or Progress()
    parse_side_by_side(settings.parallel_placements)
    given = read_placements(settings.placements_file) if settings.placements_file else None
    store = Store(settings.store)
    store.check()
    chain = create_chain(settings.backbone, checkpoint=settings.checkpoint)
    n_nodes = chain.n_nodes
    if given is None:
        requests = sample_requests(n_nodes, chain.dim, settings)
    else:
        for placement in given:
            placement.check(n_nodes)
        requests = [TrialRequest(p, settings.seed, "panel", "file", 1.0) for p in given if len(p)]
    tasks = [open_task(each, settings, settings, progress, chain) for each in sources]
    while tasks:  # taken off the list, so that the cached activations of a finished task can go
        yield from collect_task(tasks.pop(0), requests, settings, store, progress)


def collect_task(
    task: Task,
    requests: Sequence[TrialRequest],
    settings: CollectSettings,
    store: Store,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """Probe a task, run head-only, then the requests; yields each finished trial's row."""
    progress.stage(f"Probing all {task.chain.n_nodes**2} edges on {task.data.name}")
    probed = probe_task(task, settings)
    read_images(task, progress)
    head_only = TrialRequest(Placement(), settings.seed, "head-only", "head-only", 1.0)
    with Recorder(store, task, "collect", settings, settings, progress) as recorder:
        recorder.probed(probed)
        executor = InProcessExecutor(task, settings, Deadline(), progress.note)
        progress.stage(f"Fine-tuning on {task.data.name}", 1 + len(requests))
        at_once = count_side_by_side(
            settings.parallel_placements, task, settings.batch_size, progress.note
        )
        parts = [requests[k : k + at_once] for k in range(0, len(requests), at_once)]
        for part in [[head_only], *parts]:
            for outcome, row in recorder.run_trials(executor, part, with_test=True):
                told = (
                    row["failure_reason"] or f"validation {row['metric']} {row['val_metric']:.4f}"
                )
                progress.advance(f"{outcome.request.placement}: {told}")
                yield row
                if outcome.request is head_only and row["status"] != "done":
                    raise UserError(
                        f"head-only, which gains are measured from, did not finish: {told}; "
                        "lower --lr"
                    )


def read_placements(path: str) -> list[Placement]:
    """One placement text a line; empty lines and lines that begin with `#` are passed over.

    Raises UserError naming the file and line that cannot be read.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read --placements-file {path}: {error}; give a text file"
        ) from error
    found: dict[Placement, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            placement = Placement.parse(line)
            check_adapters(placement)
        except PlacementError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
        if placement in found:
            raise UserError(
                f"{path}, line {number}: {placement} stands in line {found[placement]} already; "
                "give it once"
            )
        found[placement] = number
    if not found:
        raise UserError(f"{path} holds no placement; write one a line, such as 0>5+7>3")
    return list(found)


def sample_requests(n_nodes: int, dim: int, settings: CollectSettings) -> list[TrialRequest]:
    """Distinct random placements within the budget, and how probable each was.

    Raises UserError when the budget does not allow them.
    """
    rng = np.random.default_rng(settings.seed)
    budget = parameter_budget(settings, dim)
    by_kind = {kind: [] for kind in KINDS}  # type: dict[EdgeKind, list[Edge]]
    for (edge,) in single_edges(n_nodes):
        by_kind[edge.kind].append(edge)
    sizes = [size for size in SET_SIZES if size <= n_nodes - 1]
    found: dict[Placement, TrialRequest] = {}
    for attempt in range(100 * settings.placements):
        if len(found) == settings.placements:
            break
        if attempt % 2 == 0:
            kind = KINDS[attempt // 2 % len(KINDS)]
            edges: tuple[Edge, ...] = (by_kind[kind][rng.integers(len(by_kind[kind]))],)
            propensity = 0.5 / len(KINDS) / len(by_kind[kind])
            name = "random-single"
        else:
            size = int(rng.choice(sizes))
            edges = random_edges(n_nodes, size, rng)
            propensity = 0.5 / len(sizes) / math.comb(n_nodes**2, size)
            name = "random-set"
        placement = within_budget(edges, settings.adapter, dim, budget)
        if placement is not None and placement not in found:
            request = TrialRequest(placement, settings.seed, "sample", name, propensity)
            found[placement] = request
    if len(found) < settings.placements:
        raise UserError(
            f"only {len(found)} of {settings.placements} placements fit {budget} parameters; "
            "raise --max-params or lower --placements"
        )
    return list(found.values())
