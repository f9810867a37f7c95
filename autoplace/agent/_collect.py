"""`autoplace collect`: fine-tune sampled or given placements, to learn from the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from autoplace.agent.steps._executor import create_executor
from autoplace.agent.steps._open import open_task
from autoplace.agent.steps._probe import probe_task
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._read import read_images
from autoplace.agent.steps._record import Record
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.agent.steps._sample import read_trials, sample_trials
from autoplace.agent.steps._select import baseline_trials
from autoplace.agent.steps._testing import with_test_scores
from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.execution import parse_side_by_side
from autoplace.settings import CollectSettings
from autoplace.tracking import Store
from autoplace.training import Deadline, Outcome, Task, Trial


def collect(
    sources: Sequence[str], settings: CollectSettings, progress: Progress | None = None
) -> Iterator[dict[str, Any]]:
    """Fine-tune placements on each task and yield the log's row of each finished trial.

    See `autoplace.collect`.

    Runs the placements in a file, or else `settings.placements` sampled ones: half of them are
    single edges, with all four kinds equally often, and half are random sets. Each has its
    propensity. Head-only runs first on every task. Test outcomes are recorded for evaluation only;
    no predictor learns from them.

    Raises
    ------
    UserError
        Raised before anything is trained, except for too many unreadable images, which are noticed
        only when their task is read.
    """
    progress = progress or Progress()
    parse_side_by_side(settings.parallel_placements)
    store = Store(settings.store)
    store.check()
    chain = create_chain(settings.backbone, checkpoint=settings.checkpoint)
    if settings.placements_file:
        trials = read_trials(settings.placements_file, chain.n_nodes, settings.seed)
    else:
        trials = sample_trials(chain.n_nodes, chain.dim, settings)
    tasks = [open_task(each, settings, settings, progress, chain=chain) for each in sources]
    while tasks:  # popped, so that the cached activations of a finished task are freed
        yield from collect_task(tasks.pop(0), trials, settings, store, progress)


def collect_task(
    task: Task,
    trials: Sequence[Trial],
    settings: CollectSettings,
    store: Store,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """Probe a task, run head-only and then the trials; yield the row of each trial.

    Parameters
    ----------
    task : Task
        The task to train placements on.
    trials : sequence of Trial
        All trials except head-only, which always runs first.
    settings : CollectSettings
        How to probe and to train.
    store : Store
        Where results are recorded.
    progress : Progress
        Notified of every outcome.

    Yields
    ------
    dict
        A row of the placement log.

    Raises
    ------
    UserError
        Head-only did not finish, or the images cannot be read.

    Examples
    --------
    >>> from autoplace.agent import Progress, open_task
    >>> from autoplace.placement import Placement
    >>> settings = CollectSettings(epochs=1, batch_size=200, probe_images=32)
    >>> trials = [Trial(Placement.parse("20>22"), seed=0)]
    >>> task = open_task("builtin:digits", settings, settings)
    >>> rows = collect_task(task, trials, settings, Store(), Progress())
    >>> [row["placement"] for row in rows]
    ['head-only', '20>22@bottleneck:r=8']
    """
    probe = probe_task(task, settings, progress)
    read_images(task, progress)
    executor = create_executor(task, settings, Deadline(), progress, settings.parallel_placements)
    with (
        Record(store, task, "collect", settings, probe, progress) as record,
        TrialRecord(record) as recorded,
    ):
        progress.stage(f"Fine-tuning on {task.data.name}", 1 + len(trials))
        head_only: Outcome | None = None
        for group in (baseline_trials(None, settings.seed), trials):
            for outcome in recorded.follow(executor.run(group)):
                tested = with_test_scores(task, outcome)
                head_only = head_only or (tested if tested.is_done else None)
                row = recorded.end(tested, head_only)
                result = tested.reason or f"validation {row['metric']} {row['val_metric']:.4f}"
                progress.advance(f"{tested.placement}: {result}")
                yield row
                if head_only is None:
                    raise UserError(
                        f"head-only did not finish, so no gain can be measured: {result}; "
                        "lower --lr"
                    )
