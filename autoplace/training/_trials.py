"""Trials: placements fine-tuned on a task, one alone or many side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from autoplace.model import Trainable
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training._deadline import Deadline, DeadlineReachedError
from autoplace.training._job import Job
from autoplace.training._loop import TrainingLoop
from autoplace.training._outcome import open_outcome
from autoplace.training._task import Task
from autoplace.training._trial import Epoch, Outcome, Trial
from predictors.vocabulary import Status


def run_trial(
    task: Task,
    placement: Placement,
    settings: TrialSettings,
    seed: int,
    learning_rate: float = 0.01,
) -> Outcome:
    """Fine-tune one placement alone.

    Parameters
    ----------
    task : Task
        Data and backbone.
    placement : Placement
        What to fine-tune.
    settings : TrialSettings
        How to train.
    seed : int
        Seed of the adapters and of the order of images.
    learning_rate : float, default=0.01
        Peak learning rate of AdamW.

    Returns
    -------
    Outcome
        Done or failed, as `run_trials` gives it.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> from autoplace.settings import TrialSettings
    >>> task, settings = open_task("builtin:digits"), TrialSettings(epochs=1)
    >>> outcome = run_trial(task, Placement(), settings, seed=0, learning_rate=0.01)
    >>> str(outcome.status), outcome.parameters
    ('done', 0)
    """
    trial = Trial(placement, seed, learning_rate=learning_rate)
    (outcome,) = run_trials(task, [trial], settings)
    return outcome


def run_trials(
    task: Task,
    jobs: Sequence[Job],
    settings: TrialSettings,
    *,
    until: int | None = None,
    deadline: Deadline | None = None,
) -> list[Outcome]:
    """Fine-tune trials side by side, as `train` does, and return their outcomes in order.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> from autoplace.settings import TrialSettings
    >>> task = open_task("builtin:digits")
    >>> trials = [Trial(Placement.parse(text), seed=0) for text in ("head-only", "20>22")]
    >>> outcomes = run_trials(task, trials, TrialSettings(epochs=1))
    >>> [(str(outcome.status), outcome.parameters) for outcome in outcomes]
    [('done', 0), ('done', 1544)]
    """
    events = train(task, jobs, settings, until=until, deadline=deadline)
    return [event for event in events if isinstance(event, Outcome)]


def train(
    task: Task,
    jobs: Sequence[Job],
    settings: TrialSettings,
    *,
    until: int | None = None,
    deadline: Deadline | None = None,
) -> Iterator[Epoch | Outcome]:
    """Fine-tune adapters and head of each trial: AdamW, linear warm-up, cosine decay to zero.

    Head-only is the empty placement and runs through the same loop. Trials that run side by side
    share the work of the frozen sub-layers and nothing else: each gives what it would give alone,
    up to rounding.

    Parameters
    ----------
    task : Task
        Data and backbone.
    jobs : sequence of Trial or Outcome
        Distinct trials, with equal numbers of epochs and on the same images; may be empty. A
        paused outcome continues its trial; all jobs have finished the same number of epochs.
    settings : TrialSettings
        How to train.
    until : int, optional
        Pause after this epoch; None to train to the end.
    deadline : Deadline, optional
        Checked between steps.

    Yields
    ------
    Epoch or Outcome
        Each epoch of each trial; then one outcome per trial, in their order: `failed` where the
        loss became NaN or infinite (the others continue), `interrupted` where the deadline came
        first, `running` where it paused, else `done`.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> from autoplace.settings import TrialSettings
    >>> task, settings = open_task("builtin:digits"), TrialSettings(epochs=2)
    >>> [type(event).__name__ for event in train(task, [Trial(Placement(), seed=0)], settings)]
    ['Epoch', 'Epoch', 'Outcome']
    >>> (paused,) = run_trials(task, [Trial(Placement(), seed=0)], settings, until=1)
    >>> (outcome,) = run_trials(task, [paused], settings)
    >>> paused.is_paused, outcome.is_done, len(outcome.epochs)
    (True, True, 2)
    """
    outcomes = [
        open_outcome(task, job) if isinstance(job, Trial) else job.reopened() for job in jobs
    ]
    if not outcomes:
        return
    loop: TrainingLoop | None = None
    interrupted = False
    try:
        loop = TrainingLoop(task, outcomes, settings, deadline or Deadline())
        yield from loop.run(until)
    except DeadlineReachedError:
        interrupted = True
    if loop is None:  # the time was up before the first step
        yield from (replace(o, status=Status.INTERRUPTED, checkpoint=None) for o in outcomes)
        return
    yield from loop.close(Status.INTERRUPTED if interrupted else Status.DONE)


def train_model(
    task: Task,
    model: Trainable,
    job: Job,
    settings: TrialSettings,
    *,
    until: int | None = None,
) -> Iterator[Epoch | Outcome]:
    """Train a given model in place, with the images, order, rates and schedule of a trial.

    Parameters
    ----------
    task : Task
        Data and backbone.
    model : Trainable
        Trained from the state that it is in, on the device of the task.
    job : Trial or Outcome
        What to train as, or a paused outcome. A model may have changed during the pause: the
        moments of AdamW go to the parameters that have kept their names; other parameters
        start without.
    settings : TrialSettings
        How to train.
    until : int, optional
        Pause after this epoch; None to train to the end.

    Yields
    ------
    Epoch or Outcome
        Each epoch, then the outcome: `done`, `failed`, or `running` where it paused.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.placement import Placement
    >>> from autoplace.settings import TrialSettings
    >>> from autoplace.training import fresh_model
    >>> task, trial = open_task("builtin:digits"), Trial(Placement.parse("20>22"), seed=0)
    >>> model = fresh_model(task, trial.placement, trial.seed)
    >>> *epochs, outcome = train_model(task, model, trial, TrialSettings(epochs=2))
    >>> len(epochs), str(outcome.status)
    (2, 'done')
    """
    outcome = open_outcome(task, job) if isinstance(job, Trial) else job.reopened()
    loop = TrainingLoop(task, [outcome], settings, Deadline(), model)
    yield from loop.run(until)
    yield from loop.close(Status.DONE)
