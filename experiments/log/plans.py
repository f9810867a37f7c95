"""Plans of the placement log: which placements run on which tasks, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from candidates import of_kinds
from panel import BUDGET_EDGES, read_panel

from autoplace.agent import parameter_budget
from autoplace.backbones import ResidualChain
from autoplace.data import list_tasks
from autoplace.placement import Edge, Placement
from autoplace.settings import CollectSettings
from autoplace.training import Trial
from predictors.vocabulary import HEAD_ONLY, Role

# Tasks of six families on which the whole panel is repeated.
REPEATED = (
    "fonts-styles", "emoji-groups", "icons-topics",
    "shapes-count", "charts-trends", "spheres-light",
)  # fmt: skip
SHORT, LONG = 21, 40
PARTS = 3  # how often a collection on a CPU goes round all tasks
LATTICE = 5  # nodes per side of the map of single edges, evenly spread over the depth


@dataclass(frozen=True)
class Stage:
    """Placements of one sort on some tasks with some backbones.

    sort : "panel" (its first `count`), "kinds" (each adapter kind at several places), "fresh"
        (`count` candidates of `pick`, drawn for each task), "spread" (`count` of the short panel,
        evenly picked) or "map" (single edges between the nodes of a lattice).
    seeds : seeds of the trials; the split and the probe always have seed 0.
    repeated : only tasks in REPEATED (True), only the others (False), or all (None).
    """

    name: str
    sort: str
    backbones: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    count: int = SHORT
    repeated: bool | None = None

    def is_for(self, backbone: str, task: str) -> bool:
        """Whether it runs on a task with a backbone."""
        on_task = self.repeated is None or (task in REPEATED) == self.repeated
        return on_task and backbone in self.backbones

    @property
    def fresh(self) -> int:
        """Number of trials that depend on the task's probe."""
        return self.count if self.sort == "fresh" else 0

    def trials(self, chain: ResidualChain) -> list[Trial]:
        """Return the trials that are the same on every task."""
        budget = parameter_budget(CollectSettings(edges=BUDGET_EDGES), chain.shape)
        short = read_panel(chain.name, SHORT)
        if self.sort == "map":
            nodes = [round(k * (chain.n_nodes - 1) / (LATTICE - 1)) for k in range(LATTICE)]
            fitted = [budget.fit([Edge(i, j)]) for i in nodes for j in nodes]
            named = [("map", placement) for placement in fitted if placement is not None]
        elif self.sort == "kinds":
            random = next(p for name, p in short if name == "random" and len(p) == BUDGET_EDGES)
            named = of_kinds(budget, random.edges)
        elif self.sort == "spread":
            picked = [short[k * len(short) // self.count] for k in range(self.count)]
            named = [(f"panel:{name}", placement) for name, placement in picked]
        elif self.sort == "panel":
            panel = read_panel(chain.name, self.count)
            # Each part of a collection gets all sorts of placements.
            dealt = [each for first in range(PARTS) for each in panel[first::PARTS]]
            named = [(f"panel:{name}", placement) for name, placement in dealt]
        else:
            return []
        return [
            trial
            for seed in self.seeds
            for trial in (
                *([Trial(Placement(), seed, Role.HEAD_ONLY, HEAD_ONLY, 1.0)] if seed else []),
                *(Trial(placement, seed, Role.PANEL, name, 1.0) for name, placement in named),
            )
        ]


@dataclass(frozen=True)
class Round:
    """Goes round all tasks: one of several equal parts of some stages."""

    stages: tuple[Stage, ...]
    part: int = 0
    parts: int = 1

    def share(self, items: Sequence[Trial]) -> Sequence[Trial]:
        """Return this round's part of a stage's trials."""
        first, last = (len(items) * k // self.parts for k in (self.part, self.part + 1))
        return items[first:last]

    def until(self, count: int) -> int:
        """Return how many of `count` trials are over after this round."""
        return count * (self.part + 1) // self.parts


_TWO = ("starter", "fashion-vit8")
_FOUR = (*_TWO, "formula-vit6", "saliency-vits14")
_KINDS = Stage("kinds", "kinds", _TWO)
_FRESH = Stage("fresh", "fresh", _TWO, count=10)
_PANEL = Stage("panel", "panel", _TWO)
_LAST = (
    Round((Stage("repeats", "panel", _TWO, seeds=(1, 2), repeated=True),)),
    Round((Stage("map", "map", ("fashion-vit8",), repeated=True),)),
)
PLANS = {
    "cpu": (*(Round((_KINDS, _FRESH, _PANEL), part, PARTS) for part in range(PARTS)), *_LAST),
    # The same, but a task's trials run at once, because large populations suit a GPU.
    "cpu-at-once": (Round((_FRESH, _PANEL)), Round((_KINDS,)), *_LAST),
    "gpu": (
        Round(
            (
                Stage("panel", "panel", _FOUR, count=LONG),
                Stage("kinds", "kinds", _FOUR),
                Stage("repeats", "panel", _FOUR, seeds=(1, 2), count=LONG, repeated=True),
                Stage("spread", "spread", _FOUR, seeds=(1, 2), count=10, repeated=False),
                Stage("map", "map", _FOUR),
                Stage("fresh", "fresh", _FOUR, count=30),
            )
        ),
    ),
}


def backbones_of(plan: str) -> list[str]:
    """List the backbones of a plan."""
    stages = (stage for each in PLANS[plan] for stage in each.stages)
    return list(dict.fromkeys(name for stage in stages for name in stage.backbones))


def interleaved() -> list[str]:
    """List the built-in tasks: the first of every family, then the second of each."""
    families: dict[str, list[str]] = {}
    for task in list_tasks():
        families.setdefault(task.family, []).append(task.name)
    ranked = [(k, name) for names in families.values() for k, name in enumerate(names)]
    return [name for _, name in sorted(ranked, key=lambda pair: pair[0])]
