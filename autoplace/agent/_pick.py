"""`autoplace pick`: find, fine-tune and compare the best adapter placement of a data set."""

from __future__ import annotations

import time
from dataclasses import replace

from autoplace.agent._plan import make_plan
from autoplace.agent.steps._card import winner_card
from autoplace.agent.steps._contest import Organiser
from autoplace.agent.steps._cost import every_block_seconds, held_back
from autoplace.agent.steps._document import log_costs, log_result, ranking_table
from autoplace.agent.steps._document_plan import log_candidates
from autoplace.agent.steps._errors import NothingFinishedError
from autoplace.agent.steps._executor import create_executor, create_pool
from autoplace.agent.steps._forecast import keep_forecast
from autoplace.agent.steps._past import SPENT, seconds_before, seconds_spent, time_left
from autoplace.agent.steps._pick_result import PickResult
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._read import read_images
from autoplace.agent.steps._record import Record
from autoplace.agent.steps._record_trials import TrialRecord
from autoplace.agent.steps._rounds import Rounds
from autoplace.agent.steps._save import save_winner
from autoplace.agent.steps._store import open_store
from autoplace.agent.steps._testing import test_winner
from autoplace.execution import SavingExecutor
from autoplace.settings import PickSettings
from autoplace.tracking import Past
from autoplace.training import DeadlineReachedError, class_report, confusion


def pick(
    source: str,
    settings: PickSettings,
    progress: Progress | None = None,
    *,
    past: Past | None = None,
) -> PickResult:
    """Find, fine-tune, compare and record the best adapter placement of a data set.

    See `autoplace.pick`.

    Parameters
    ----------
    source : str
        An image folder, a manifest, or `builtin:NAME`.
    settings : PickSettings
        Every option.
    progress : Progress, optional
        Notified of each stage.
    past : Past, optional
        A run to continue: the same steps again, except for what it has already done.

    Raises
    ------
    UserError, PredictorError
        Something that the user can fix; nothing has been written in this case.
    NothingFinishedError
        No trial finished.
    """
    started, spent = time.perf_counter(), seconds_spent(past)

    def elapsed() -> float:
        return spent + time.perf_counter() - started

    progress = progress or Progress()
    deadline = time_left(settings.budget, past)
    store = past.run.store if past else open_store(settings.store, progress)
    pool = create_pool(settings, settings.device)
    try:
        # What has been read and probed in time before is not stopped now.
        until = None if past else deadline
        plan = make_plan(source, settings, store, progress, until, past)
        task = plan.task
        read_images(task, progress, until)
        unit = every_block_seconds(task, plan.entrants, settings, until)
    except DeadlineReachedError as error:
        raise NothingFinishedError([], deadline_reached=True) from error
    training = held_back(task, plan.entrants, settings, deadline)
    before = seconds_before(past) + time.perf_counter() - started  # the ledger has the rest
    with Record(store, task, "pick", settings, plan.probe, progress, past=past) as record:
        record.journal.record_decision(SPENT, before)
        keep_forecast(record, plan.candidates, plan.forecast)
        log_candidates(record, plan.probe.tables.edges, plan.candidates, plan.forecast.gains)
        executor = SavingExecutor(
            create_executor(task, settings, training, progress, pool), record.trials_folder
        )
        with TrialRecord(record) as trials:
            rounds = Rounds(executor, trials, training, task.metric, progress)
            contest = Organiser(
                task, plan.entrants, settings, rounds, training, unit, elapsed, progress,
                record.decide,
            ).run()  # fmt: skip
        report = test_winner(task, contest, deadline, progress)
        result = PickResult(
            run_id=record.journal.run.run_id,
            folder=record.journal.folder / "winner",
            task=task.summary,
            metric=task.metric,
            n_candidates=len(plan.candidates),
            predictor=plan.forecast.predictor,
            winner=contest.winner.placement,
            winner_role=contest.winner.role,
            rates=contest.rates,
            rungs=contest.rungs,
            ranking=ranking_table(contest, plan.entrants, task.metric),
            tested=report.tested,
            refitted=contest.refitted,
            differences=report.differences,
            per_class=class_report(report.labels, report.logits, task.data.classes).reset_index(),
            search_cost=contest.search_seconds / unit,
            total_cost=elapsed() / unit,
            deadline_reached=not contest.is_complete,
            seconds=elapsed(),
        )
        confusions = confusion(report.labels, report.logits, len(task.data.classes))
        log_result(record, result, confusions)  # before the winner is verified
        card = winner_card(result, task)
        save_winner(
            task, report, result.folder, card, settings.checkpoint, record.journal, progress,
            merge=settings.merge, deadline=deadline,
        )  # fmt: skip
        result = replace(result, seconds=elapsed(), total_cost=elapsed() / unit)
        log_costs(record, result)
    return result
