"""The rate race: short trials of reference placements at several learning rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from autoplace.agent.steps._kinds import LORA_QKV
from autoplace.agent.steps._rate_grid import RateGrid, RateSearch, Reference, short_epochs
from autoplace.agent.steps._rounds import Rounds
from autoplace.agent.steps._space import SearchSpace, every_block_baseline
from autoplace.errors import UserError
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.settings import TrialSettings
from autoplace.training import Job, Trial
from predictors.vocabulary import HEAD_ONLY


def find_rate(
    rounds: Rounds,
    kind: str,
    references: Sequence[Reference],
    settings: TrialSettings,
    seed: int,
    begin: Callable[[Trial], Job] = lambda trial: trial,
) -> RateSearch:
    """Find the learning rate of a kind on the task: train references briefly, side by side.

    Every rate of a geometric grid trains each reference for a part of the epochs, with a whole
    schedule of warm-up and decay. The grid grows while its best rate is at an edge. Then the rates
    half a step below and above the best are tried, unless it is still at an edge. A rate at which a
    trial fails is not chosen.
    Where head-only has already been trained to the end, a rate that is worse than it in both loss
    and metric is chosen only if all are.

    Parameters
    ----------
    rounds : Rounds
        Runs and records the trials.
    kind : str
        Adapter kind, or one of the others that `RateSearch` names.
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
    found, errors = find_rates(rounds, {kind: references}, settings, seed, begin)
    if errors:
        raise errors[0]
    return found[kind]


def find_rates(
    rounds: Rounds,
    references: Mapping[str, Sequence[Reference]],
    settings: TrialSettings,
    seed: int,
    begin: Callable[[Trial], Job] = lambda trial: trial,
) -> tuple[dict[str, RateSearch], list[UserError]]:
    """Find the learning rates of several kinds in common rounds, so that no core waits.

    Parameters
    ----------
    rounds, settings, seed, begin
        As in `find_rate`.
    references : mapping of str to sequence of Placement, FullTuning or Trial
        By kind, what its rate is judged by.

    Returns
    -------
    found : dict of str to RateSearch
        By kind.
    errors : list of UserError
        One for each kind of which training fails at every rate.

    Raises
    ------
    DeadlineReachedError
        The time budget ran out.
    """
    if settings.lr is not None:
        return {kind: RateSearch(kind, settings.lr, "given") for kind in references}, []
    epochs = short_epochs(settings.epochs)
    grids = [
        RateGrid.of(kind, each, seed, epochs, rounds.metric, rounds.head_only)
        for kind, each in references.items()
    ]
    while growing := [grid for grid in grids if grid.rates]:
        trials = [trial for grid in growing for trial in grid.trials]
        outcomes = iter(rounds.run(_stage(growing), [begin(trial) for trial in trials]))
        for grid in growing:
            grid.add(list(islice(outcomes, len(grid.trials))))
    found, errors = {}, []
    for grid in grids:
        try:
            found[grid.kind] = grid.result()
        except UserError as error:
            errors.append(error)
    return found, errors


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


def _stage(grids: Sequence[RateGrid]) -> str:
    """Name a round for the user."""
    if len({grid.rates for grid in grids}) == 1:
        plural = "s" if len(grids) > 1 else ""
        kinds = ", ".join(grid.kind for grid in grids)
        return f"Learning rate{plural} of {kinds}: {_named(grids[0].rates)}"
    return "Learning rates: " + "; ".join(f"{g.kind} {_named(g.rates)}" for g in grids)


def _named(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
