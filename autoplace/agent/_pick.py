"""The loop: probe, propose, predict, fine-tune the top-k, choose, test, save."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from autoplace.agent._candidates import Candidate, check_top_k, every_block_baseline, propose
from autoplace.agent._comparison import paired_difference
from autoplace.agent._open import Probed, open_task, probe_task, read_images
from autoplace.agent._predicting import PredictorInCharge, predict_gains, predictor_in_charge
from autoplace.agent._progress import Progress
from autoplace.agent._recorder import Recorder
from autoplace.agent._result import PickResult, Tested
from autoplace.agent._selection import select_diverse
from autoplace.agent._winner import log_winner, save_winner
from autoplace.execution import SerialExecutor, TrialOutcome, TrialRequest
from autoplace.placement import Placement
from autoplace.report import predicted_versus_measured, probe_heat_maps
from autoplace.settings import PickSettings
from autoplace.tracking import Store
from autoplace.training import Deadline, Task, TrialResult, metric_value, predict_split
from autoplace.training import trained_model as model_of

SEEDS = 3
HEAD_ONLY, EVERY_BLOCK, TOP_K, REPEAT = "head-only", "every-block", "top-k", "repeat"


class NothingFinishedError(Exception):
    """No trial finished: the deadline came too early, or every trial failed."""

    def __init__(self, message: str, deadline_reached: bool) -> None:
        super().__init__(message)
        self.deadline_reached = deadline_reached


@dataclass(frozen=True)
class Plan:
    """What a pick is going to do, before anything is trained."""

    task: Task
    probed: Probed
    candidates: list[Candidate]
    predicted: np.ndarray
    chosen: list[int]
    every_block: Placement | None
    in_charge: PredictorInCharge

    def requests(self, seed: int) -> list[TrialRequest]:
        """The trials of the choice: baselines first, for a deadline must not cost them."""
        requests = [TrialRequest(Placement(), seed, HEAD_ONLY, HEAD_ONLY, 1.0)]
        if self.every_block is not None:
            requests.append(TrialRequest(self.every_block, seed, EVERY_BLOCK, EVERY_BLOCK, 1.0))
        for index in self.chosen:
            candidate = self.candidates[index]
            requests.append(TrialRequest(candidate.placement, seed, TOP_K, candidate.chosen_by))
        return requests


def make_plan(source: str, settings: PickSettings, store: Store, progress: Progress) -> Plan:
    """Probe, propose and predict; trains and writes nothing.

    Raises UserError (of any room) and PredictorError for what the user can mend.
    """
    in_charge = predictor_in_charge(store, settings.predictor)
    task = open_task(source, settings, settings.cache_gb, progress)
    n_nodes, dim = task.chain.n_nodes, task.chain.dim
    check_top_k(settings.top_k, n_nodes)
    every_block = every_block_baseline(n_nodes, settings, dim)
    progress.stage(f"Probing all {n_nodes**2} edges of {task.chain.name} on {task.data.name}")
    probed = probe_task(task, settings)
    candidates = propose(probed.tables, settings, dim, settings.seed)
    placements = [candidate.placement for candidate in candidates]
    predicted = predict_gains(in_charge.predictor, placements, probed.tables, task.chain.name)
    # Every-block runs anyway, as a baseline; a top-k place for it would be wasted.
    open_to_choice = [i for i, placement in enumerate(placements) if placement != every_block]
    picked = select_diverse(
        [placements[i] for i in open_to_choice], predicted[open_to_choice], settings.top_k
    )
    chosen = [open_to_choice[i] for i in picked]
    if every_block is None:
        progress.note("every-block does not fit the parameter budget even at rank 1; not compared")
    return Plan(task, probed, candidates, predicted, chosen, every_block, in_charge)


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
    read_images(task, progress)
    with Recorder(store, task, "pick", settings, settings, progress) as recorder:
        recorder.probed(plan.probed)
        _log_plan(recorder, plan)
        executor = SerialExecutor(task, settings, deadline)
        requests = plan.requests(settings.seed)
        progress.stage("Fine-tuning", len(requests))
        outcomes, rows = _run_all(recorder, executor, requests, deadline, progress)
        results = {o.request: o.result for o in outcomes if o.result is not None}
        if not results:
            raise _nothing_finished(outcomes, deadline)
        winner = max(results, key=lambda r: _merit(results[r], task.metric))
        ranking = _ranking(plan, rows)
        repeats = _repeat_requests(winner, results, settings.seed)
        progress.stage(f"Repeating winner and every-block over {SEEDS} seeds", len(repeats))
        again, _ = _run_all(recorder, executor, repeats, deadline, progress)
        results |= {o.request: o.result for o in again if o.result is not None}
        cut_short = deadline.passed  # nothing after this is cut, however long it takes
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
            deadline_reached=cut_short,
            seconds=time.perf_counter() - started,
        )
        progress.stage("Saving and re-reading the winner")
        save_winner(task, results[winner], result, settings.checkpoint)
        _log_result(recorder, result)
        log_winner(recorder, task, result)
    return replace(result, seconds=time.perf_counter() - started)


def _run_all(
    recorder: Recorder,
    executor: SerialExecutor,
    requests: list[TrialRequest],
    deadline: Deadline,
    progress: Progress,
) -> tuple[list[TrialOutcome], list[dict[str, Any]]]:
    outcomes, rows = [], []
    for request in requests:
        if deadline.passed:
            progress.note("the time budget is used up; going on with what has finished")
            break
        outcome, row = recorder.run_trial(executor, request)
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


def _merit(result: TrialResult | None, metric: str) -> tuple[float, float]:
    """What validation picks by: the metric, then the lower loss."""
    assert result is not None
    return result.val.of(metric), -result.val.loss


def _repeat_requests(
    winner: TrialRequest, results: dict[TrialRequest, Any], seed: int
) -> list[TrialRequest]:
    """Winner and every-block under further seeds, in turn, so that a deadline hits both alike."""
    repeated = [winner] + [r for r in results if r.role == EVERY_BLOCK and r != winner]
    return [
        replace(request, seed=seed + extra, role=REPEAT)
        for extra in range(1, SEEDS)
        for request in repeated
    ]


def _test(
    task: Task, winner: TrialRequest, results: dict[TrialRequest, TrialResult]
) -> tuple[dict[str, Tested], dict[str, np.ndarray], np.ndarray]:
    """Read the test split for the winner and the baselines, each under all its seeds."""
    roles = {"winner": winner.placement}
    for request in results:
        if request.role in (EVERY_BLOCK, HEAD_ONLY):
            roles[request.role] = request.placement
    tested, guesses, labels = {}, {}, np.empty(0)
    known: dict[TrialRequest, np.ndarray] = {}
    for role, placement in roles.items():
        requests = [r for r in results if r.placement == placement]
        for request in requests:
            if request not in known:
                logits, labels = predict_split(task, model_of(task, results[request]), "test")
                known[request] = logits.argmax(1)
        guesses[role] = np.stack([known[request] for request in requests])
        values = tuple(metric_value(task.metric, labels, known[r]) for r in requests)
        tested[role] = Tested(placement, tuple(r.seed for r in requests), values)
    return tested, guesses, labels


def _ranking(plan: Plan, rows: list[dict[str, Any]]) -> pd.DataFrame:
    predicted = {str(c.placement): g for c, g in zip(plan.candidates, plan.predicted, strict=True)}
    roles = {str(request.placement): request.role for request in plan.requests(0)}
    table = pd.DataFrame(rows)
    for column in ("val_metric", "val_loss", "head_only_val_metric", "parameters", "seconds"):
        if column not in table:
            table[column] = np.nan
    table["role"] = table["placement"].map(roles)
    table["predicted"] = table["placement"].map(predicted).astype(float)
    table["gain"] = table["val_metric"] - table["head_only_val_metric"]
    columns = ["placement", "role", "chosen_by", "predicted", "status", "val_metric", "val_loss",
               "gain", "parameters", "seconds"]  # fmt: skip
    ordered = table.sort_values(["val_metric", "val_loss"], ascending=[False, True])
    return ordered[columns].reset_index(drop=True)


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


def _log_plan(recorder: Recorder, plan: Plan) -> None:
    edges = plan.probed.tables.edges
    singles = {
        candidate.placement.edges[0]: gain
        for candidate, gain in zip(plan.candidates, plan.predicted, strict=True)
        if len(candidate.placement) == 1
    }
    by_edge = {(edge.source, edge.target): gain for edge, gain in singles.items()}
    keys = zip(edges["source"], edges["target"], strict=True)
    table = edges.assign(predicted=[by_edge.get((int(i), int(j)), np.nan) for i, j in keys])
    recorder.journal.tell(lambda run: run.log_figure(probe_heat_maps(table), "figures/probe.png"))
    candidates = pd.DataFrame(
        {
            "placement": [str(candidate.placement) for candidate in plan.candidates],
            "chosen_by": [candidate.chosen_by for candidate in plan.candidates],
            "predicted": plan.predicted,
        }
    )
    recorder.journal.tell(lambda run: run.log_table(candidates, "candidates.parquet"))


def _log_result(recorder: Recorder, result: PickResult) -> None:
    recorder.journal.tell(lambda run: run.log_table(result.ranking, "ranking.json"))
    figure = predicted_versus_measured(result.ranking, result.metric)
    recorder.journal.tell(
        lambda run: run.log_figure(figure, "figures/predicted_versus_measured.png")
    )
    for role, tested in result.tested.items():
        recorder.test_scores(role, {result.metric: tested.mean})
    for role, each in result.differences.items():
        recorder.test_scores(
            f"winner_minus_{role}",
            {"difference": each.difference, "low": each.low, "high": each.high},
        )
    recorder.journal.tell(lambda run: run.log_json(result.to_dict(), "result.json"))
    recorder.journal.tell(lambda run: run.set_tags({"autoplace.winner": result.winner}))
