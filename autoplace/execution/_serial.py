"""Trials one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable

from autoplace.errors import UserError
from autoplace.execution._outcome import TrialOutcome, TrialRequest
from autoplace.settings import TrialSettings
from autoplace.training import Deadline, DeadlineReachedError, Epoch, Task, run_trial


class SerialExecutor:
    """Runs requests of one task in turn; a trial that breaks is an outcome, not an end.

    Parameters
    ----------
    task
        What the placements are trained on.
    settings
        How each is trained.
    deadline
        When to stop; the trial under way then ends as `interrupted`.
    """

    def __init__(self, task: Task, settings: TrialSettings, deadline: Deadline) -> None:
        self._task = task
        self._settings = settings
        self._deadline = deadline

    def run(
        self, request: TrialRequest, on_epoch: Callable[[Epoch], None] | None = None
    ) -> TrialOutcome:
        """Run one trial. UserError (the data's fault, say) goes through to the user."""
        try:
            result = run_trial(
                self._task,
                request.placement,
                self._settings,
                request.seed,
                deadline=self._deadline,
                on_epoch=on_epoch,
            )
        except DeadlineReachedError:
            return TrialOutcome(request, "interrupted")
        except UserError:
            raise
        except (ArithmeticError, RuntimeError, MemoryError) as error:
            # Numbers that overflow, memory that runs out: this placement's misfortune only.
            return TrialOutcome(request, "failed", reason=f"{type(error).__name__}: {error}")
        return TrialOutcome(request, "done", result)
