"""The starts that `merge` compares: merged adapters, those of each run, and new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast, get_args

import numpy as np
import torch
from torch import Tensor

from autoplace.agent.steps._rate_grid import RateSearch
from autoplace.model import AdaptedModel
from autoplace.placement import Placement, PlacementError
from autoplace.procedures import Cost, Method, Solver, check_mergeable, merge_adapters
from autoplace.settings import MergeSettings
from autoplace.training import Images, Outcome, Task, Trial, split_rows, start_outcome, start_state
from predictors.vocabulary import Role

NEW = "new adapters"
TOKENS = 100  # compared by their activations, as in otfusion (arXiv 1910.05653)
IMAGES = 32  # that these tokens are drawn from


class Starts:
    """What trials start from; a trial's `chosen_by` names it.

    Parameters
    ----------
    task : Task
        What is trained on.
    settings : MergeSettings
        How to merge, and on how many images to train.
    models : mapping of str to AdaptedModel
        The runs' models by name, on one chain; the first one gives the ranks.
    """

    def __init__(
        self, task: Task, settings: MergeSettings, models: Mapping[str, AdaptedModel]
    ) -> None:
        self._task = task
        self.images = Images("few", per_class=settings.shots) if settings.shots else Images()
        self._seed = settings.seed
        self._states: dict[tuple[str, Images], dict[str, Tensor]] = {}
        anchor = next(iter(models.values())).placement
        self._starts: dict[str, tuple[Placement, dict[str, Tensor]]] = {
            name: (anchor, adapters) for name, adapters in self._merged(settings, models).items()
        }
        for name, model in models.items():
            state = model.trainable_state().items()
            adapters = {key: t.cpu().clone() for key, t in state if not key.startswith("head.")}
            self._starts[name] = model.placement, adapters
        self._starts[NEW] = anchor, {}

    def trials_of(self, number: int, rates: Mapping[str, RateSearch]) -> list[Trial]:
        """Return the trials of one seed, counted from 0, each at the rate of its start.

        Few-shot runs draw other images for each seed.
        """
        draw = number if self.images.name == "few" else 0
        images = replace(self.images, draw=draw)
        return [
            replace(trial, learning_rate=rates[name].rate, seed=self._seed + number, images=images)
            for name, trial in self.trials.items()
        ]

    @property
    def trials(self) -> dict[str, Trial]:
        """A trial of each start, the chosen method first; without its learning rate."""
        return {
            name: Trial(placement, self._seed, Role.START, name, images=self.images)
            for name, (placement, _) in self._starts.items()
        }

    def begin(self, trial: Trial) -> Outcome:
        """Make the job of a trial: it starts from its adapters, with a head fitted on top."""
        name = str(trial.chosen_by)
        if name == NEW:  # another state for each seed
            return start_outcome(self._task, trial, start_state(self._task, trial, {}))
        key = name, trial.images
        if key not in self._states:
            self._states[key] = start_state(self._task, trial, self._starts[name][1])
        return start_outcome(self._task, trial, self._states[key])

    def _merged(
        self, settings: MergeSettings, models: Mapping[str, AdaptedModel]
    ) -> dict[str, dict[str, Tensor]]:
        """Merge by the chosen method and, for comparison, by the others that are possible."""
        several = list(models.values())
        cost, solver = cast(Cost, settings.cost), cast(Solver, settings.solver)
        methods: Sequence[Method] = sorted(get_args(Method), key=lambda m: m != settings.method)
        tokens = self._tokens(several[0]) if settings.cost == "activations" else None
        merged: dict[str, dict[str, Tensor]] = {}
        for method in methods:
            try:
                check_mergeable(several, method, cost)
            except PlacementError:  # ranks differ; the chosen method was checked before
                continue
            merged[method] = merge_adapters(
                several,
                method=method,
                cost=cost,
                solver=solver,
                tokens=tokens,
            )
        return merged

    def _tokens(self, model: AdaptedModel) -> dict[int, Tensor]:
        """Draw frozen values (tokens, dim) of source nodes from images that are trained on."""
        nodes = sorted({edge.source for edge in model.placement.edges})
        rng = np.random.default_rng(self._seed)
        rows = rng.permutation(split_rows(self._task, self.images).train)[:IMAGES]
        batches = self._task.cache("fit").batches(nodes, torch.from_numpy(rows), len(rows))
        values = [batch.values for batch in batches]
        drawn: dict[int, Tensor] = {}
        for node in nodes:
            tokens = torch.cat([each[node].flatten(0, 1) for each in values]).float()
            drawn[node] = tokens[torch.from_numpy(rng.permutation(len(tokens))[:TOKENS])]
        return drawn
