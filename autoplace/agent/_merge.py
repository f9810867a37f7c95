"""`autoplace merge`: merge the adapters of several runs, as the start of a few-shot run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import cast

import numpy as np

from autoplace.agent.steps._executor import create_executor, create_pool
from autoplace.agent.steps._load import load
from autoplace.agent.steps._merge_result import MergeResult, merge_card
from autoplace.agent.steps._open import open_task
from autoplace.agent.steps._pick_result import Tested
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._rates import find_rates
from autoplace.agent.steps._read import read_images
from autoplace.agent.steps._record import Record
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.agent.steps._rounds import Rounds
from autoplace.agent.steps._save import save_winner
from autoplace.agent.steps._starts import Starts
from autoplace.agent.steps._store import open_store
from autoplace.agent.steps._testing import TestReport
from autoplace.errors import UserError
from autoplace.execution import map_side_by_side
from autoplace.model import AdaptedModel
from autoplace.procedures import Cost, Method, check_mergeable
from autoplace.settings import DataSettings, MergeSettings, TaskSettings
from autoplace.tracking import Store
from autoplace.training import (
    Deadline,
    Outcome,
    Task,
    metric_value,
    paired_difference,
    predict_split,
    split_rows,
    trained_model,
)


def merge(
    runs: Sequence[str | Path],
    source: str,
    settings: MergeSettings,
    progress: Progress | None = None,
) -> MergeResult:
    """Merge the adapters of several runs, fine-tune them on a data set and compare the starts.

    See `autoplace.merge`.

    Parameters
    ----------
    runs : sequence of str or path
        Run ids, or winners' folders.
    source : str
        An image folder, a manifest, or `builtin:NAME`.
    settings : MergeSettings
        Every option.
    progress : Progress, optional
        Notified of each stage.

    Raises
    ------
    UserError
        Something that the user can fix. Before anything is trained, except for a training that
        fails.
    """
    started = time.perf_counter()
    progress = progress or Progress()
    store = open_store(settings.store, progress)
    pool = create_pool(settings, settings.device)
    models = _load(runs, settings)
    task = _open(source, models[0], settings, progress, store)
    read_images(task, progress)
    starts = Starts(
        task, settings, {f"run {number}": model for number, model in enumerate(models, start=1)}
    )
    with Record(store, task, "merge", settings, None, progress) as record:
        with TrialRecord(record) as recorded:
            executor = create_executor(task, settings, Deadline(), progress, pool)
            rounds = Rounds(executor, recorded, Deadline(), task.metric, progress)
            trials = starts.trials
            # The sum is larger than the average, and new adapters are zero: each needs its own.
            references = {name: [trial] for name, trial in trials.items()}
            rates, errors = find_rates(rounds, references, settings, settings.seed, starts.begin)
            if errors:
                raise errors[0]
            jobs = [
                starts.begin(trial)
                for number in range(settings.seeds)
                for trial in starts.trials_of(number, rates)
            ]
            outcomes = rounds.run(f"Fine-tuning {len(trials)} starts on {task.data.name}", jobs)
        by_start = {
            name: [outcome for outcome in outcomes if outcome.trial.chosen_by == name]
            for name in trials
        }
        report = _test(task, by_start, settings.method, progress)
        result = MergeResult(
            run_id=record.journal.run.run_id,
            folder=record.journal.folder / "winner",
            task=task.summary,
            metric=task.metric,
            runs=tuple(map(str, runs)),
            placement=models[0].placement,
            method=settings.method,
            cost=settings.cost,
            solver=settings.solver,
            shots=settings.shots,
            images=len(split_rows(task, starts.images).train),
            rates=rates,
            validation={
                name: float(np.mean([outcome.val.of(task.metric) for outcome in found]))
                for name, found in by_start.items()
            },
            tested=report.tested,
            differences=report.differences,
            seconds=time.perf_counter() - started,
        )
        _log(record, result)
        card = merge_card(result)
        save_winner(
            task, report, result.folder, card, settings.checkpoint, record.journal, progress
        )
    return replace(result, seconds=time.perf_counter() - started)


def _load(runs: Sequence[str | Path], settings: MergeSettings) -> list[AdaptedModel]:
    """Load the runs' models on one chain, and check that they can be merged."""
    models: list[AdaptedModel] = []
    for run in runs:
        model = load(run, store=settings.store, checkpoint=settings.checkpoint)
        if models and model.chain.weights_sha256 == models[0].chain.weights_sha256:
            shared = AdaptedModel(models[0].chain, model.placement, model.classes)
            shared.load_trainable_state(model.trainable_state())
            model = shared.eval()
        models.append(model)
    check_mergeable(models, cast(Method, settings.method), cast(Cost, settings.cost))
    return models


def _open(
    source: str, model: AdaptedModel, settings: MergeSettings, progress: Progress, store: Store
) -> Task:
    given = {each.name: getattr(settings, each.name) for each in fields(DataSettings)}
    task_settings = TaskSettings(backbone=model.chain.name, checkpoint=settings.checkpoint, **given)
    return open_task(source, task_settings, settings, progress, chain=model.chain, store=store)


def _test(
    task: Task, by_start: dict[str, list[Outcome]], method: str, progress: Progress
) -> TestReport:
    """Predict the test split once for every trained model.

    Raises
    ------
    UserError
        A training failed.
    """
    failed = [outcome for found in by_start.values() for outcome in found if not outcome.is_done]
    if failed:
        raise UserError(
            f"training from '{failed[0].trial.chosen_by}' failed: {failed[0].reason}; lower --lr"
        )
    progress.stage("Testing", len(by_start))
    logits: dict[str, np.ndarray] = {}
    labels = np.empty(0, dtype=int)
    for name, outcomes in by_start.items():
        predicted = map_side_by_side(
            lambda outcome: predict_split(task, trained_model(task, outcome), "test"),
            outcomes,
            task.device,
        )
        logits[name], labels = np.stack([each for each, _ in predicted]), predicted[0][1]
        progress.advance(name)
    tested = {
        name: Tested(
            str(found[0].placement),
            tuple(outcome.trial.seed for outcome in found),
            tuple(metric_value(task.metric, labels, each) for each in logits[name]),
        )
        for name, found in by_start.items()
    }
    differences = {
        name: paired_difference(task.metric, labels, logits[method], theirs)
        for name, theirs in logits.items()
        if name != method
    }
    model = trained_model(task, by_start[method][0])
    assert isinstance(model, AdaptedModel)
    return TestReport(tested, differences, model, logits[method][0], labels)


def _log(record: Record, result: MergeResult) -> None:
    """Log figures and result to the run of the merge."""
    metrics = {f"test/{_key(name)}/{result.metric}": t.mean for name, t in result.tested.items()}
    metrics |= {f"val/{_key(name)}/{result.metric}": v for name, v in result.validation.items()}
    record.journal.tell(lambda run: run.log_metrics(metrics))
    record.journal.tell(lambda run: run.log_json(result.to_dict(), "result.json"))
    record.journal.tell(lambda run: run.set_tags({"autoplace.winner": result.placement}))


def _key(name: str) -> str:
    return name.replace(" ", "-")
