"""Groups of trials that can be trained as one population."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from autoplace.training import Job, Trial, epochs_of, trial_of


def groups(jobs: Sequence[Job], size: int) -> Iterator[list[Job]]:
    """Divide jobs into consecutive groups, of `size` at most, that can be trained together."""

    def alike(job: Job) -> tuple[object, ...]:
        trial = trial_of(job)
        remedy = None if isinstance(job, Trial) else job.remedy
        # A tuned backbone has sub-layers of its own, so it trains alone.
        own = None if trial.is_placement else id(job)
        return (trial.epochs, trial.images, epochs_of(job), remedy, own)

    for _, group in groupby(jobs, key=alike):
        members = list(group)
        for first in range(0, len(members), size):
            yield members[first : first + size]
