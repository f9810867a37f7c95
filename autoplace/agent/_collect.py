"""`autoplace collect`: fine-tune sampled or given placements, to learn from the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autoplace.agent.steps._executor import create_executor, create_pool
from autoplace.agent.steps._open import open_task
from autoplace.agent.steps._past import (
    TRIALS,
    check_unchanged,
    has_measurement,
    probe_of,
    trials_of,
)
from autoplace.agent.steps._probe import Probe, probe_task
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._rates import find_rate, kinds_of, references, with_rates
from autoplace.agent.steps._read import read_images
from autoplace.agent.steps._record import Record
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.agent.steps._rounds import Rounds
from autoplace.agent.steps._sample import read_trials, sample_trials
from autoplace.agent.steps._space import search_space
from autoplace.agent.steps._store import open_store
from autoplace.agent.steps._testing import evaluated
from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.execution import (
    Executor,
    SavingExecutor,
    WorkerPool,
    parse_side_by_side,
    trial_from_dict,
    trial_to_dict,
)
from autoplace.placement import Placement
from autoplace.settings import CollectSettings
from autoplace.tracking import Past, Store
from autoplace.training import Deadline, Outcome, Task, Trial
from predictors.vocabulary import HEAD_ONLY, Role


def collect(
    sources: Sequence[str],
    settings: CollectSettings,
    progress: Progress | None = None,
    *,
    past: Past | None = None,
) -> Iterator[dict[str, Any]]:
    """Fine-tune placements on each task and yield the log's row of each finished trial.

    See `autoplace.collect`.

    Runs the placements in a file, or else `settings.placements` sampled ones: half of them are
    single edges, with all four kinds equally often, and half are random sets. Each has its
    propensity. Head-only runs first on every task. Test outcomes are recorded for evaluation only;
    no predictor learns from them.

    Parameters
    ----------
    sources : sequence of str
        Data sets.
    settings : CollectSettings
        Every option.
    progress : Progress, optional
        Notified of each stage.
    past : Past, optional
        A run to continue, on the first of the data sets.

    Raises
    ------
    UserError
        Raised before anything is trained, except for too many unreadable images, which are noticed
        only when their task is read.
    """
    progress = progress or Progress()
    parse_side_by_side(settings.parallel_placements)
    store = past.run.store if past else open_store(settings.store, progress)
    pool = create_pool(settings, settings.device)
    chain = create_chain(settings.backbone, checkpoint=settings.checkpoint)
    trials = trials_of(past) if past else None
    if trials is None and settings.placements_file:
        trials = read_trials(settings.placements_file, chain.n_nodes, settings.seed)
    elif trials is None:
        trials = sample_trials(chain.shape, settings)
    tasks = [
        open_task(
            each, settings, settings, progress, chain=chain, store=store,
            measure=past is not None and number == 0 and has_measurement(past),
        )
        for number, each in enumerate(sources)
    ]  # fmt: skip
    if past is not None:
        check_unchanged(past, tasks[0], progress)
    while tasks:  # popped, so that the cached activations of a finished task are freed
        task, rest = tasks.pop(0), [each.data.source for each in tasks]
        yield from collect_task(
            task, trials, settings, store, progress, past=past, rest=rest, pool=pool
        )
        past = None


def collect_task(
    task: Task,
    trials: Sequence[Trial],
    settings: CollectSettings,
    store: Store,
    progress: Progress,
    *,
    probe: Probe | None = None,
    rates: Mapping[str, float] | None = None,
    past: Past | None = None,
    rest: Sequence[str] = (),
    pool: WorkerPool | None = None,
) -> Iterator[dict[str, Any]]:
    """Probe a task, run head-only and then the trials; yield the row of each trial.

    The learning rate of head-only and of each adapter kind is found first, and given to all
    trials of the kind. A kind for which training diverges at every rate is left out with a note.

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
    probe : Probe, optional
        The task's probe, if it was made before.
    rates : mapping of str to float, optional
        Learning rates, by kind, that were found on the task before.
    past : Past, optional
        A run to continue; its probe, rates and trials count.
    rest : sequence of str, default=()
        Data that the command goes on with, for whoever resumes it.
    pool : WorkerPool, optional
        The workers that train; default: this process.

    Yields
    ------
    dict
        A row of the placement log.

    Raises
    ------
    UserError
        Head-only did not finish, training diverges for every kind, or the images cannot be read.

    Examples
    --------
    >>> from autoplace.agent import Progress, open_task
    >>> from autoplace.placement import Placement
    >>> settings = CollectSettings(epochs=1, batch_size=200, probe_images=32, lr=0.003)
    >>> trials = [Trial(Placement.parse("20>22"), seed=0)]
    >>> task = open_task("builtin:digits", settings, settings)
    >>> rows = collect_task(task, trials, settings, Store(), Progress())
    >>> [row["placement"] for row in rows]
    ['head-only', '20>22@bottleneck:r=8']
    """
    probe = probe or (probe_of(past) if past else None) or probe_task(task, settings, progress)
    read_images(task, progress)
    executor: Executor = create_executor(task, settings, Deadline(), progress, pool)
    with (
        Record(store, task, "collect", settings, probe, progress, past=past, rest=rest) as record,
        TrialRecord(record) as recorded,
    ):
        # As JSON has them, now and when the run is resumed.
        written = record.decide(TRIALS, lambda: [trial_to_dict(trial) for trial in trials])
        trials = [trial_from_dict(content) for content in written]
        found = dict(record.decide("rates", lambda: dict(rates or {})))
        executor = SavingExecutor(executor, record.trials_folder)
        rounds = Rounds(executor, recorded, Deadline(), task.metric, progress)
        head_trial = Trial(Placement(), settings.seed, Role.HEAD_ONLY, HEAD_ONLY, 1.0)
        head_only: Outcome | None = None
        errors: list[UserError] = []
        groups = _by_kinds(trials)
        # Kind by kind, so that little is lost if the collection is stopped.
        for group in ([head_trial], *groups):
            try:
                found |= _find_rates(rounds, task, group, settings, found)
            except UserError as error:
                errors.append(error)
                if head_only is None or len(errors) == len(groups):
                    raise errors[0] from None
                progress.note(f"{len(group)} placements are left out: {error}")
                continue
            progress.stage(f"Fine-tuning on {task.data.name}", len(group))
            timed = [with_rates(trial, found) for trial in group]
            for outcome in recorded.follow(executor.run(timed)):
                # Head-only's scores are needed, too; those of others are in their rows.
                is_known = head_only is not None and recorded.has_row(outcome.trial)
                tested = outcome if is_known else evaluated(task, outcome)
                if head_only is None and tested.is_done:
                    head_only = tested
                    rounds.ended.append(tested)  # what rates are compared with
                row = recorded.end(tested, head_only)
                result = tested.reason or f"validation {row['metric']} {row['val_metric']:.4f}"
                progress.advance(f"{tested.placement}: {result}")
                yield row
                if head_only is None:
                    raise UserError(
                        f"head-only did not finish, so no gain can be measured: {result}; "
                        "lower --lr"
                    )


def _by_kinds(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Group trials by their adapter kinds; trials of several kinds come last."""
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        groups.setdefault(tuple(kinds_of(trial)), []).append(trial)
    return [groups[kinds] for kinds in sorted(groups, key=lambda kinds: (len(kinds), kinds))]


def _find_rates(
    rounds: Rounds,
    task: Task,
    trials: Sequence[Trial],
    settings: CollectSettings,
    known: Mapping[str, float],
) -> dict[str, float]:
    """Return the rates of some trials' kinds that are not known yet.

    Raises
    ------
    UserError
        Training diverges at every rate of a kind.
    """
    rates: dict[str, float] = {}
    for kind in kinds_of(trials[0]) or [HEAD_ONLY]:
        if kind in known:
            continue
        judged: list[Placement] = [Placement()]
        if kind != HEAD_ONLY:
            space = search_space(task.chain, replace(settings, adapter=kind))
            judged = references(space, space.kinds[0], task.chain.n_nodes)
        # Where no reference fits the budget, the first trial alone.
        first = replace(trials[0], chosen_by=kind)
        rates[kind] = find_rate(rounds, kind, judged or [first], settings, settings.seed).rate
    return rates
