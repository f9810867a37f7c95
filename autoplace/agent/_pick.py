"""The loop: probe, propose, predict, fine-tune the top-k, choose, test, save."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from autoplace.agent._comparison import paired_difference
from autoplace.agent._open import read_images
from autoplace.agent._pick_records import log_plan, log_result, ranking_table
from autoplace.agent._plan import EVERY_BLOCK, HEAD_ONLY, REPEAT, SEEDS, make_plan
from autoplace.agent._progress import Progress
from autoplace.agent._recorder import Recorder
from autoplace.agent._result import PickResult, Tested
from autoplace.agent._winner import log_winner, save_winner
from autoplace.execution import InProcessExecutor, TrialOutcome, TrialRequest
from autoplace.settings import PickSettings
from autoplace.tracking import Store
from autoplace.training import (
    Deadline,
    DeadlineReachedError,
    Task,
    TrialResult,
    metric_value,
    predict_split,
    trained_model,
)


class NothingFinishedError(Exception):
    """No trial finished: the deadline came too early, or every trial failed."""

    def __init__(self, message: str, deadline_reached: bool) -> None:
        super().__init__(message)
        self.deadline_reached = deadline_reached


def pick(source: str, settings: PickSettings, progress: Progress | None = None) -> PickResult:
    """Find the best adapter placement for a data set, fine-tune it, compare it, record it.

    Parameters
    ----------
    source
        An image folder, a manifest, or `builtin:NAME`.

    Raises
    ------
    UserError, PredictorError
        What the user can mend; nothing has been written then.
    NothingFinishedError
        No trial finished.
    """
    started = time.perf_counter()
    progress = progress or Progress()
    deadline = Deadline.parse(settings.budget)
    store = Store(settings.store)
    store.check()
    plan = make_plan(source, settings, store, progress)
    task = plan.task
    try:
        read_images(task, progress, deadline)
    except DeadlineReachedError as error:
        raise _nothing_finished([], deadline) from error
    with Recorder(store, task, "pick", settings, settings, progress) as recorder:
        recorder.probed(plan.probed)
        log_plan(recorder, plan)
        executor = InProcessExecutor(task, settings, deadline)
        requests = plan.requests(settings.seed)
        progress.stage("Fine-tuning", len(requests))
        outcomes, rows = _run_all(recorder, executor, requests, deadline, progress)
        results = {o.request: o.result for o in outcomes if o.result is not None}
        if not results:
            raise _nothing_finished(outcomes, deadline)
        winner = max(results, key=lambda r: _merit(results[r], task.metric))
        ranking = ranking_table(plan, rows)
        repeats = _repeat_requests(winner, results, settings.seed)
        progress.stage(f"Repeating winner and baselines over {SEEDS} seeds", len(repeats))
        again, _ = _run_all(recorder, executor, repeats, deadline, progress)
        results |= {o.request: o.result for o in again if o.result is not None}
        asked = len(requests) + len(repeats)
        done = sum(outcome.status != "interrupted" for outcome in [*outcomes, *again])
        progress.stage("Testing, once")
        tested, guesses, labels = _test(task, winner, results)
        result = PickResult(
            run_id=recorder.journal.run.run_id,
            folder=recorder.journal.folder / "winner",
            task=_describe(task),
            metric=task.metric,
            n_candidates=len(plan.candidates),
            predictor=plan.in_charge.origin,
            winner=winner.placement,
            winner_role=winner.role,
            ranking=ranking,
            tested=tested,
            differences={
                role: paired_difference(task.metric, labels, guesses["winner"], guesses[role])
                for role in guesses
                if role != "winner"
            },
            deadline_reached=done < asked,
            seconds=time.perf_counter() - started,
        )
        progress.stage("Saving and re-reading the winner")
        save_winner(task, results[winner], result, settings.checkpoint)
        log_result(recorder, result)
        log_winner(recorder, task, result)
    return replace(result, seconds=time.perf_counter() - started)


def _run_all(
    recorder: Recorder,
    executor: InProcessExecutor,
    requests: list[TrialRequest],
    deadline: Deadline,
    progress: Progress,
) -> tuple[list[TrialOutcome], list[dict[str, Any]]]:
    outcomes, rows = [], []
    for request in requests:
        if deadline.passed:
            progress.note("the time budget is used up; going on with what has finished")
            break
        ((outcome, row),) = recorder.run_trials(executor, [request])
        outcomes.append(outcome)
        rows.append(row)
        told = outcome.reason or outcome.status
        if outcome.result is not None:
            told = f"validation {row['metric']} {row['val_metric']:.4f}"
        progress.advance(f"{request.role} {request.placement}: {told}")
    return outcomes, rows


def _nothing_finished(outcomes: list[TrialOutcome], deadline: Deadline) -> NothingFinishedError:
    if deadline.passed:
        return NothingFinishedError("no trial finished within --budget; give it more time", True)
    reasons = "; ".join(sorted({o.reason or o.status for o in outcomes}))
    return NothingFinishedError(f"no trial finished: {reasons}", False)


def _merit(result: TrialResult, metric: str) -> tuple[float, float]:
    """What validation picks by: the metric, then the lower loss."""
    return result.val.of(metric), -result.val.loss


def _repeat_requests(
    winner: TrialRequest, results: dict[TrialRequest, Any], seed: int
) -> list[TrialRequest]:
    """Winner and baselines under further seeds, in turn, so that a deadline hits all alike."""
    baselines = [r for r in results if r.role in (HEAD_ONLY, EVERY_BLOCK) and r != winner]
    return [
        replace(request, seed=seed + extra, role=REPEAT)
        for extra in range(1, SEEDS)
        for request in [winner, *baselines]
    ]


def _test(
    task: Task, winner: TrialRequest, results: dict[TrialRequest, TrialResult]
) -> tuple[dict[str, Tested], dict[str, np.ndarray], np.ndarray]:
    """Read the test split for the winner and the other baselines, each under all its seeds."""
    roles = {"winner": winner.placement}
    for request in results:
        if request.role in (EVERY_BLOCK, HEAD_ONLY) and request != winner:
            roles[request.role] = request.placement
    tested, guesses, labels = {}, {}, np.empty(0)
    for role, placement in roles.items():
        requests = [r for r in results if r.placement == placement]
        rows = []
        for request in requests:
            logits, labels = predict_split(task, trained_model(task, results[request]), "test")
            rows.append(logits.argmax(1))
        guesses[role] = np.stack(rows)
        values = tuple(metric_value(task.metric, labels, row) for row in rows)
        tested[role] = Tested(placement, tuple(r.seed for r in requests), values)
    return tested, guesses, labels


def _describe(task: Task) -> dict[str, Any]:
    return {
        "name": task.data.name,
        "fingerprint": task.fingerprint,
        "family": task.data.family,
        "backbone": task.chain.name,
        "nodes": task.chain.n_nodes,
        "classes": len(task.data.classes),
        "train": len(task.data.train),
        "val": len(task.data.val),
        "test": len(task.data.test),
    }
