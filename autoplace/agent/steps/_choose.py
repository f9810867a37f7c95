"""The choice among finalists and baselines, from several folds and the predictor's prior."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, takewhile

import numpy as np

from autoplace.agent.steps._race import standardised, validation_scores
from autoplace.agent.steps._rounds import Rounds
from autoplace.model import FullTuning
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import (
    Deadline,
    DeadlineReachedError,
    Images,
    Job,
    Outcome,
    Task,
    Trial,
    class_weights,
    metric_by_image,
    predict_split,
    trained_model,
    trial_of,
)
from predictors.vocabulary import LOG_LOSS, Role, Status

TIE = 0.01  # nats of validation loss by which a simpler placement may be worse and still win
PRIOR_WEIGHT = 0.25  # of the predicted gain, against 1 for the metric: experiments/choice.py
CLEARLY = 1.0  # standard errors of a paired difference: experiments/margins.py


@dataclass(frozen=True)
class Contender:
    """A placement that may win.

    Attributes
    ----------
    outcomes : list of Outcome
        Its trials, one per fold or seed; the first is on the task's own validation images.
    prior : float
        Predicted gain over head-only; NaN if it is unknown.
    by_image : ndarray (rows,), optional
        What the task's metric makes of each validation image of its own split
        (`metric_by_image`), after the first of the trials.

    Examples
    --------
    >>> from autoplace.placement import Placement
    >>> from autoplace.training import Trial
    >>> str(Contender([Outcome(Trial(Placement(), seed=0), parameters=0)], prior=0.0).placement)
    'head-only'
    """

    outcomes: list[Outcome]
    prior: float
    by_image: np.ndarray | None = None

    @property
    def placement(self) -> Placement:
        """What was fine-tuned."""
        placement = self.outcomes[0].placement
        assert isinstance(placement, Placement)
        return placement

    @property
    def role(self) -> Role:
        """Why it ran."""
        return self.outcomes[0].trial.role

    def metric(self, name: str) -> float:
        """Mean of the metric over folds or seeds."""
        return float(np.mean([outcome.val.of(name) for outcome in self.outcomes]))

    @property
    def loss(self) -> float:
        """Mean validation loss over folds or seeds."""
        return float(np.mean([outcome.val.loss for outcome in self.outcomes]))

    def is_worse(self, other: Contender, metric: str) -> bool:
        """Whether it is worse than another in both metric and loss."""
        return self.metric(metric) < other.metric(metric) and self.loss > other.loss

    def is_near(self, better: Contender, metric: str) -> bool:
        """Whether a better one is not clearly ahead in the metric.

        That is by more than one standard error of the paired difference. Folds count as independent
        and alike. False where images are not known.
        """
        if self.by_image is None or better.by_image is None:
            return False
        paired = better.by_image - self.by_image
        error = paired.std() / np.sqrt(len(paired) * len(self.outcomes))
        return bool(better.metric(metric) - self.metric(metric) <= CLEARLY * error)


def on_images(
    task: Task, contender: Contender, settings: TrialSettings, deadline: Deadline
) -> Contender:
    """Predict the validation images with what the first of the trials has trained.

    Parameters
    ----------
    task : Task
        Its validation images and its metric.
    contender : Contender
        With a trial that is done.
    settings : TrialSettings
        How classes are weighted.
    deadline : Deadline
        When to stop.

    Raises
    ------
    DeadlineReachedError
        The time budget is used up.
    """
    model = trained_model(task, contender.outcomes[0])
    logits, labels = predict_split(task, model, "val", deadline)
    train = task.labels[task.rows("train")]
    weights = class_weights(train, logits.shape[-1], settings.class_weights)
    return replace(contender, by_image=metric_by_image(task.metric, labels, logits, weights))


def compare(
    rounds: Rounds,
    jobs: Sequence[Job],
    prior: Callable[[Placement | FullTuning], float],
    further: Sequence[Images],
    note: Callable[[str], None],
) -> list[Contender]:
    """Train finalists and baselines to the end, and again on further folds or seeds.

    All of it is one round, so that no core waits. If the time budget runs out, the contenders are
    those that finished on the first fold. A further fold counts only if all of them finished on it.

    Parameters
    ----------
    rounds : Rounds
        Runs and records the trials.
    jobs : sequence of Trial or Outcome
        On the task's own split: new, paused or done.
    prior : callable
        Predicted gain of a placement.
    further : sequence of Images
        Further folds. The task's own split means: the same images, with another seed.
    note : callable
        Called with a message for each that is left out because a training of it failed.

    Returns
    -------
    list of Contender
        Without those whose training failed on a fold.
    """
    first = [trial_of(job) for job in jobs]
    # Where the user supplied the validation images, another seed stands for another fold.
    again = [
        [
            replace(t, role=Role.FOLD, images=images, seed=t.seed + (0 if images.fold else number))
            for t in first
        ]
        for number, images in enumerate(further, start=1)
    ]
    left = [job for job in jobs if isinstance(job, Trial) or job.is_paused]
    over = f" (folds or seeds: {1 + len(further)})" if further else ""
    name = f"Comparing finalists, every-block and head-only{over}"
    with suppress(DeadlineReachedError):
        rounds.run(name, [*left, *chain.from_iterable(again)])
    done = {outcome.trial: outcome for outcome in rounds.ended if outcome.is_done}
    failed = {outcome.trial for outcome in rounds.ended if outcome.status is Status.FAILED}
    everywhere = list(zip(first, *again, strict=True))
    running = [number for number, trial in enumerate(first) if trial in done]
    sound = [number for number in running if not failed & set(everywhere[number])]
    running = sound or running
    for number, trial in enumerate(first):
        if number not in running and failed & set(everywhere[number]):
            note(f"{trial.role} {trial.placement} cannot win: a training of it failed")
    folds = [first, *(fold for fold in again if all(fold[number] in done for number in running))]
    return [
        Contender([done[fold[number]] for fold in folds], prior(first[number].placement))
        for number in running
    ]


def choose(contenders: Sequence[Contender], metric: str) -> Contender:
    """Choose the winner: the first of `order`."""
    return order(contenders, metric)[0][0]


def order(contenders: Sequence[Contender], metric: str) -> list[tuple[Contender, float]]:
    """Order contenders with their scores, the winner first.

    Metric, loss and prior count in units of their spread over the contenders. Head-only wins only
    if the best of the others is better in neither metric nor loss, because adapters can raise the
    loss and still be more accurate (experiments/head_or_adapters.py). Among equals, up to 0.01 nats
    of loss, the simpler placement is the best: head-only, then every-block or LoRA, then the one
    with the fewest edges. LoRA in every block, or where it is not searched every-block, wins unless
    one that is better by this order is ahead of it in the metric by more than one standard error
    (experiments/margins.py): the best of several on a few hundred images is partly best by luck.

    Parameters
    ----------
    contenders : sequence of Contender
        Finalists and baselines, each with the same folds.
    metric : str
        The metric that decides on validation.
    """
    simplest_first = sorted(contenders, key=_complexity)
    scores = choice_scores(
        np.array([contender.metric(metric) for contender in simplest_first]),
        np.array([contender.loss for contender in simplest_first]),
        np.array([contender.prior for contender in simplest_first]),
    )
    pairs = list(zip(simplest_first, scores.tolist(), strict=True))
    ranked = sorted(pairs, key=lambda pair: -pair[1])  # stable: the simplest of equals first
    best = _best(ranked, metric)
    # Standardised losses would tell apart what are equals to any user.
    least = best.metric(metric) - (TIE if metric == LOG_LOSS else 0.0)
    winner = next(
        pair
        for pair in pairs
        if pair[0].metric(metric) >= least and pair[0].loss <= best.loss + TIE
    )
    usual = _usual(pairs, metric)
    if winner[0].placement.edges and usual is not None:  # head-only has a rule of its own
        better = [winner, *takewhile(lambda pair: pair is not usual, ranked)]
        adapted = (pair for pair in better if pair[0].placement.edges)
        clear = (pair for pair in adapted if not usual[0].is_near(pair[0], metric))
        winner = next(clear, usual)
    return [winner, *(pair for pair in ranked if pair is not winner)]


def choice_scores(metrics: np.ndarray, losses: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Score contenders; `order` says when the highest does not win.

    Parameters
    ----------
    metrics, losses : ndarray (contenders,)
        Means over folds.
    priors : ndarray (contenders,)
        Predicted gains; one that is unknown counts as the mean of the others.

    Returns
    -------
    ndarray (contenders,)

    Examples
    --------
    >>> choice_scores(np.array([0.8, 0.7]), np.array([0.5, 0.6]), np.array([0.0, 0.0])).argmax()
    np.int64(0)
    """
    known = np.isfinite(priors)
    filled = np.where(known, priors, priors[known].mean() if known.any() else 0.0)
    scores: np.ndarray = validation_scores(metrics, losses) + PRIOR_WEIGHT * standardised(filled)
    return scores


def _best(ranked: Sequence[tuple[Contender, float]], metric: str) -> Contender:
    """Return the first; not head-only, if the first with adapters has a better metric or loss."""
    best = ranked[0][0]
    adapted = [contender for contender, _ in ranked if contender.placement.edges]
    if best.placement.edges or not adapted:
        return best
    rival = adapted[0]
    improves = rival.metric(metric) > best.metric(metric) or rival.loss < best.loss
    return rival if improves else best


def usual_role(roles: Collection[Role]) -> Role | None:
    """Return the baseline that wins a close comparison, if it is compared.

    Examples
    --------
    >>> str(usual_role({Role.EVERY_BLOCK, Role.LORA, Role.HEAD_ONLY}))
    'lora'
    """
    return next((role for role in (Role.LORA, Role.EVERY_BLOCK) if role in roles), None)


def _usual(pairs: Sequence[tuple[Contender, float]], metric: str) -> tuple[Contender, float] | None:
    """Return what the user would have trained otherwise: LoRA or, without it, every-block.

    None if head-only is better in metric and loss.
    """
    by_role = {pair[0].role: pair for pair in pairs}
    role, head_only = usual_role(by_role), by_role.get(Role.HEAD_ONLY)
    if role is None or (head_only and by_role[role][0].is_worse(head_only[0], metric)):
        return None
    return by_role[role]


def _complexity(contender: Contender) -> tuple[bool, int]:
    return (not contender.role.is_baseline, len(contender.placement))
