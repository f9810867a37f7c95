"""The rate race: short trials of reference placements at several learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from autoplace.agent.steps._kinds import LORA_QKV
from autoplace.agent.steps._rounds import Rounds
from autoplace.agent.steps._space import SearchSpace, every_block_baseline
from autoplace.errors import UserError
from autoplace.model import FullTuning
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.settings import TrialSettings
from autoplace.training import Outcome, Trial
from predictors.vocabulary import HEAD_ONLY, Role

STEP = math.sqrt(10)  # ratio of neighbouring rates
START = (3.2e-3, 1e-2, 3.2e-2)  # where the grid of adapters starts
START_FULL = (1e-4, 3.2e-4, 1e-3)  # of full fine-tuning, whose weights must stay near their start
LOWEST, HIGHEST = 1e-6, 1.0  # the grid is not extended beyond
SHARE = 0.4  # of the epochs of a whole trial


@dataclass(frozen=True)
class RateSearch:
    """The learning rate of a kind on a task, and what it was chosen from.

    Attributes
    ----------
    kind : str
        Adapter kind, `head-only`, `lora` or `full`.
    rate : float
        The rate that every trial of the kind gets.
    source : str
        `given` by the user, or `found`.
    epochs : int
        Passes of each short trial; 0 if the rate was given.
    tried : dict of float to list of (float or None)
        Validation metric of each reference placement at each rate; None where training diverged.

    Examples
    --------
    >>> RateSearch("bottleneck", 0.01, "given").rate
    0.01
    """

    kind: str
    rate: float
    source: str
    epochs: int = 0
    tried: dict[float, list[float | None]] = field(default_factory=dict)


def find_rate(
    rounds: Rounds,
    kind: str,
    references: Sequence[Placement | FullTuning | Trial],
    settings: TrialSettings,
    seed: int,
    begin: Callable[[Trial], Trial | Outcome] = lambda trial: trial,
) -> RateSearch:
    """Find the learning rate of a kind on the task: train references briefly, side by side.

    Every rate of a geometric grid trains each reference for a part of the epochs, with a whole
    schedule of warm-up and decay. The grid grows while its best rate is at an edge. A rate at
    which a reference fails is not chosen.

    Parameters
    ----------
    rounds : Rounds
        Runs and records the trials.
    kind : str
        Adapter kind, `head-only`, `lora` or `full`.
    references : sequence of Placement, FullTuning or Trial
        What the rate is judged by; a trial keeps everything but its rate, epochs and role. For an
        adapter kind: every-block and an early placement of few edges, because each alone would
        give a rate that suits the other less.
    settings : TrialSettings
        `lr` overrides the search.
    seed : int
        Seed of every trial.
    begin : callable, optional
        Makes the job of a trial; default: one with new adapters.

    Raises
    ------
    UserError
        Training diverges at every rate.
    DeadlineReachedError
        The time budget ran out.
    """
    if settings.lr is not None:
        return RateSearch(kind, settings.lr, "given")
    assert references, f"no placement to find the learning rate of {kind} with"
    epochs = short_epochs(settings.epochs)
    judged = [
        each if isinstance(each, Trial) else Trial(each, seed, chosen_by=kind)
        for each in references
    ]
    tried: dict[float, list[Outcome]] = {}
    rates: tuple[float, ...] = START_FULL if kind == "full" else START
    while rates:
        trials = [
            replace(each, role=Role.RATE, learning_rate=rate, epochs=epochs)
            for rate in rates
            for each in judged
        ]
        jobs = [begin(trial) for trial in trials]
        outcomes = rounds.run(f"Learning rate of {kind}: {_named(rates)}", jobs)
        for rate in rates:
            tried[rate] = [o for o in outcomes if o.trial.learning_rate == rate]
        losses = {rate: _losses(outcomes) for rate, outcomes in sorted(tried.items())}
        rates = extension(losses)
    if not any(all(map(math.isfinite, each)) for each in losses.values()):
        reason = next((o.reason for o in tried[min(tried)] if o.reason), "the loss is not finite")
        raise UserError(
            f"training {kind} fails at every learning rate down to {min(tried):.0e}: {reason}\n"
            "check the images and the backbone, or set --lr"
        )
    metric = rounds.metric
    return RateSearch(
        kind,
        best_rate(losses),
        "found",
        epochs,
        {
            rate: [o.val.of(metric) if o.is_done else None for o in tried[rate]]
            for rate in sorted(tried)
        },
    )


def short_epochs(epochs: int) -> int:
    """Return the epochs of a trial that only helps to find the rate."""
    return max(1, round(SHARE * epochs))


def best_rate(losses: Mapping[float, Sequence[float]]) -> float:
    """Choose a rate by validation loss.

    Parameters
    ----------
    losses : mapping of float to sequence of float
        Validation loss of each reference at each rate; infinite where training diverged.

    Returns
    -------
    float
        Between the rates of the grid: the lowest point of the parabola through the best rate
        and its neighbours, over the logarithm of the rate.

    Examples
    --------
    >>> round(best_rate({0.001: [0.9, 0.9], 0.01: [0.5, 0.6], 0.1: [0.7, 0.7]}), 4)
    0.0158
    >>> best_rate({0.001: [0.9], 0.01: [0.5], 0.1: [math.inf]})
    0.01
    """
    rates = sorted(losses)
    means = np.array([np.mean(losses[rate]) for rate in rates])
    best = int(means.argmin())
    around = means[max(best - 1, 0) : best + 2]
    if len(around) < 3 or not np.isfinite(around).all():
        return rates[best]
    left, middle, right = around
    curvature = left - 2 * middle + right
    shift = 0.5 * (left - right) / curvature if curvature > 0 else 0.0
    log_step = math.log(rates[best + 1] / rates[best])
    return float(f"{rates[best] * math.exp(shift * log_step):.3g}")


def extension(losses: Mapping[float, Sequence[float]]) -> tuple[float, ...]:
    """Return the rates to try next: beyond the edge where the best rate is, or none.

    Examples
    --------
    >>> extension({0.0032: [0.9], 0.01: [0.6], 0.032: [0.5]})
    (0.1,)
    >>> extension({0.0032: [0.9], 0.01: [0.5], 0.032: [0.6]})
    ()
    """
    rates = sorted(losses)
    means = [float(np.mean(losses[rate])) for rate in rates]
    best = int(np.argmin(means))
    if best == len(rates) - 1 and math.isfinite(means[best]):
        beyond = rates[-1] * STEP
    elif best == 0:  # also where every rate diverges
        beyond = rates[0] / STEP
    else:
        return ()
    beyond = float(f"{beyond:.2g}")
    return (beyond,) if LOWEST <= beyond <= HIGHEST else ()


def references(space: SearchSpace, spec: AdapterSpec, n_nodes: int) -> list[Placement]:
    """Return the reference placements of an adapter kind.

    On the stream they are every-block, and an early one of two edges: both start at an eighth of
    the depth; one ends at a fifth of it, the other at a third. They share the full budget, so
    their ranks are high. Inside sub-layers it is every sub-layer; of LoRA, every attention.

    Examples
    --------
    >>> from autoplace.agent.steps._space import search_space
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.settings import PlacementSettings
    >>> space = search_space(create_chain("starter"), PlacementSettings())
    >>> bottleneck, lora = AdapterSpec("bottleneck"), AdapterSpec("lora")
    >>> [len(placement) for placement in references(space, bottleneck, n_nodes=25)]
    [24, 2]
    >>> [len(placement) for placement in references(space, lora, n_nodes=25)]
    [12]
    """
    budget = space.budget_of(spec)
    if spec == AdapterSpec(LORA_QKV.kind) and space.lora is not None:
        return [space.lora]
    everywhere = every_block_baseline(n_nodes, budget)
    last = n_nodes - 1
    near = max(1, round(last * 5 / 24))
    source, far = min(round(last / 8), near - 1), min(last, max(round(last / 3), near + 1))
    early = budget.fit([Edge(source, node) for node in sorted({near, far})])
    early = early or budget.fit([Edge(source, near)])
    return [placement for placement in (everywhere, early) if placement is not None]


def with_rates(trial: Trial, rates: Mapping[str, float]) -> Trial:
    """Give a trial the rates of its adapter kinds; the head gets the lowest of them.

    Head-only gets its own.

    Examples
    --------
    >>> trial = Trial(Placement.parse("0>1@lora:r=2+0>5@bottleneck:r=2"), seed=0)
    >>> timed = with_rates(trial, {"lora": 0.01, "bottleneck": 0.02})
    >>> timed.learning_rate, timed.rates
    (0.01, (('bottleneck', 0.02), ('lora', 0.01)))
    """
    own = tuple((kind, rates[kind]) for kind in kinds_of(trial) or [HEAD_ONLY])
    if len(own) == 1:
        return replace(trial, learning_rate=own[0][1])
    return replace(trial, learning_rate=min(rate for _, rate in own), rates=own)


def kinds_of(trial: Trial) -> list[str]:
    """List the adapter kinds of a trial, sorted; none for head-only.

    Examples
    --------
    >>> kinds_of(Trial(Placement.parse("0>1@lora:r=2+0>5@bottleneck:r=2"), seed=0))
    ['bottleneck', 'lora']
    """
    assert isinstance(trial.placement, Placement), f"{trial} is no placement"
    return sorted({spec.kind for _, spec in trial.placement})


def _losses(outcomes: Sequence[Outcome]) -> list[float]:
    """Validation losses; infinite for a trial that failed."""
    return [outcome.val.loss if outcome.is_done else math.inf for outcome in outcomes]


def _named(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
