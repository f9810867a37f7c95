"""Which placements to collect: given in a file, or sampled with known propensities."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from autoplace.adapters import check_adapters
from autoplace.agent.steps._space import parameter_budget
from autoplace.backbones import BackboneShape
from autoplace.errors import UserError
from autoplace.placement import Edge, EdgeKind, Placement, PlacementError
from autoplace.placement.generators import random_edges, set_sizes, single_edges
from autoplace.settings import CollectSettings
from autoplace.training import Trial
from predictors.vocabulary import Role

KINDS = tuple(EdgeKind)


def read_trials(path: str, n_nodes: int, seed: int) -> list[Trial]:
    """Make trials of the placements in a file, without head-only, which always runs.

    Raises
    ------
    UserError
        As for `read_placements`, or a placement has a node that the backbone does not have.
    """
    placements = read_placements(path)
    for placement in placements:
        placement.check(n_nodes)
    return [Trial(p, seed, Role.PANEL, "file", 1.0) for p in placements if len(p)]


def read_placements(path: str) -> list[Placement]:
    r"""Read one placement per line; empty lines and lines that start with `#` are skipped.

    Raises
    ------
    UserError
        The file or a line cannot be read; the message names both.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("panel.txt").write_text("# two places\n7>3\n0>5+7>9@linear:r=2\n")
    >>> [str(placement) for placement in read_placements("panel.txt")]
    ['7>3@bottleneck:r=8', '0>5+7>9@linear:r=2']
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read --placements-file {path}: {error}; give a text file"
        ) from error
    line_of: dict[Placement, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            placement = Placement.parse(line)
            check_adapters(placement)
        except PlacementError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
        if placement in line_of:
            raise UserError(
                f"{path}, line {number}: {placement} is already in line {line_of[placement]}; "
                "remove one of them"
            )
        line_of[placement] = number
    if not line_of:
        raise UserError(f"{path} contains no placement; write one per line, such as 0>5+7>3")
    return list(line_of)


def sample_trials(shape: BackboneShape, settings: CollectSettings) -> list[Trial]:
    """Make trials of distinct random placements within the budget, each with its propensity.

    Parameters
    ----------
    shape : BackboneShape
        Sizes of the backbone.
    settings : CollectSettings
        Number of placements, budget and seed.

    Raises
    ------
    UserError
        The budget does not allow so many placements.

    Examples
    --------
    >>> trials = sample_trials(BackboneShape.plain(96), CollectSettings(placements=4))
    >>> [(trial.chosen_by, len(trial.placement) == 1) for trial in trials[:2]]
    [('random-single', True), ('random-set', False)]
    """
    rng = np.random.default_rng(settings.seed)
    n_nodes = shape.n_nodes
    budget = parameter_budget(settings, shape)
    by_kind: dict[EdgeKind, list[Edge]] = {kind: [] for kind in KINDS}
    for (edge,) in single_edges(n_nodes):
        by_kind[edge.kind].append(edge)
    sizes = set_sizes(n_nodes)
    trials: dict[Placement, Trial] = {}
    for attempt in range(100 * settings.placements):
        if len(trials) == settings.placements:
            break
        if attempt % 2 == 0:
            kind = KINDS[attempt // 2 % len(KINDS)]
            edges: tuple[Edge, ...] = (by_kind[kind][rng.integers(len(by_kind[kind]))],)
            propensity = 0.5 / len(KINDS) / len(by_kind[kind])
            name = "random-single"
        else:
            size = int(rng.choice(sizes))
            edges = random_edges(n_nodes, size, rng)
            propensity = 0.5 / len(sizes) / math.comb(n_nodes**2, size)
            name = "random-set"
        placement = budget.fit(edges)
        if placement is not None and placement not in trials:
            trials[placement] = Trial(placement, settings.seed, Role.SAMPLE, name, propensity)
    if len(trials) < settings.placements:
        raise UserError(
            f"only {len(trials)} of {settings.placements} placements fit {budget.parameters} "
            "parameters; raise --max-params or lower --placements"
        )
    return list(trials.values())
