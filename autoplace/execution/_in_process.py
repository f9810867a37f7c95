"""Trials in this process, one alone or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoplace.errors import UserError
from autoplace.execution._outcome import TrialOutcome, TrialRequest
from autoplace.settings import TrialSettings
from autoplace.training import (
    Deadline,
    DeadlineReachedError,
    Epoch,
    Task,
    Trial,
    TrialFailure,
    run_trials,
)

OnEpoch = Callable[[TrialRequest, Epoch], None]


class InProcessExecutor:
    """Runs requests of one task; a trial that breaks is an outcome, not an end.

    Parameters
    ----------
    task
        What the placements are trained on.
    settings
        How each is trained.
    deadline
        When to stop; the trials under way then end as `interrupted`.
    notify
        Is told where trials cannot run side by side as asked.
    """

    def __init__(
        self,
        task: Task,
        settings: TrialSettings,
        deadline: Deadline,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._task = task
        self._settings = settings
        self._deadline = deadline
        self._notify = notify

    def run(
        self, requests: Sequence[TrialRequest], on_epoch: OnEpoch | None = None
    ) -> list[TrialOutcome]:
        """Run distinct requests side by side; an outcome for each, in their order.

        Where they do not run together, memory being short, say, they run in two halves. UserError
        (the data's fault, say) goes through to the user.
        """
        by_trial = {Trial(each.placement, each.seed): each for each in requests}

        def told(trial: Trial, epoch: Epoch) -> None:
            if on_epoch is not None:
                on_epoch(by_trial[trial], epoch)

        try:
            results = run_trials(
                self._task, list(by_trial), self._settings, deadline=self._deadline, on_epoch=told
            )
        except DeadlineReachedError:
            return [TrialOutcome(each, "interrupted") for each in requests]
        except UserError:
            raise
        except (ArithmeticError, RuntimeError, MemoryError) as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            return [
                TrialOutcome(each, "failed", reason=result.reason)
                if isinstance(result, TrialFailure)
                else TrialOutcome(each, "done", result)
                for each, result in zip(requests, results, strict=True)
            ]
        if len(requests) == 1:
            return [TrialOutcome(requests[0], "failed", reason=reason)]
        # Outside of the `except`, for the error holds on to what the trials have in memory.
        self._notify(
            f"{len(requests)} placements side by side: {reason.splitlines()[0]}; going on in halves"
        )
        half = len(requests) // 2
        return self.run(requests[:half], on_epoch) + self.run(requests[half:], on_epoch)
