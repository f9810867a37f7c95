"""What an executor is given: a trial to start, or an outcome to continue."""

from __future__ import annotations

from autoplace.training._trial import Outcome, Trial

Job = Trial | Outcome


def trial_of(job: Job) -> Trial:
    """Return what was asked for.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> trial = Trial(Placement(), seed=0)
    >>> trial_of(trial) == trial_of(Outcome(trial, parameters=0)) == trial
    True
    """
    return job if isinstance(job, Trial) else job.trial


def epochs_of(job: Job) -> int:
    """Return how many epochs are finished.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> epochs_of(Trial(Placement(), seed=0))
    0
    """
    return 0 if isinstance(job, Trial) else len(job.epochs)
