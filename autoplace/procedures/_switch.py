"""Switches of Adaptable Adapters (Moosavi et al. 2022, arXiv 2205.01549): learn which to keep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from autoplace.adapters import SubLayerAdapter, TokenAdapter, create_adapter
from autoplace.backbones import BackboneShape, Site
from autoplace.data import random_state
from autoplace.model import AdaptedModel, Reading, SiteReading, Trainable
from autoplace.placement import Edge, Placement
from autoplace.procedures._base import Procedure, ProcedureConfig, ProcedureError, Refined
from autoplace.procedures._registry import register_procedure
from autoplace.procedures._trainer import Trainer

START = 0.5  # of both logits
RATE = 0.05  # peak learning rate of the logits


@dataclass(frozen=True)
class SwitchConfig(ProcedureConfig):
    """Options of the switches.

    Parameters
    ----------
    tau : float, default=0.1
        Temperature of the softmax; the lower, the closer a draw is to all or nothing.
    anneal : float, default=0
        At step t the temperature is max(tau_min, tau · exp(-anneal · t)).
    tau_min : float, default=0.1
        Lowest temperature; not used without `anneal`.
    per : {"edge", "block"}, default="edge"
        Whether each edge has a switch, or all edges that add to one block have one together.

    Examples
    --------
    >>> SwitchConfig(tau=1.0, anneal=0.01).temperature(0)
    1.0
    >>> SwitchConfig(tau=1.0, anneal=0.01).temperature(1000)
    0.1
    """

    tau: float = 0.1
    anneal: float = 0
    tau_min: float = 0.1
    per: str = "edge"

    def __post_init__(self) -> None:
        for name in ("tau", "tau_min", "anneal"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            may_be_zero = name == "anneal"
            if not number or not 0 <= value < math.inf or (value == 0 and not may_be_zero):
                bound = "of at least 0" if may_be_zero else "above 0"
                raise ProcedureError(f"{name}={value} must be a number {bound}")
        if self.anneal and self.tau < self.tau_min:
            raise ProcedureError(
                f"tau={self.tau} is below tau_min={self.tau_min}, so the temperature cannot fall; "
                "raise tau"
            )
        if self.per not in ("edge", "block"):
            raise ProcedureError(f"per={self.per} is not one of edge, block")

    def temperature(self, step: int) -> float:
        """Return the temperature at a step, counted from 0."""
        if not self.anneal:
            return float(self.tau)
        return max(self.tau_min, self.tau * math.exp(-self.anneal * step))


@register_procedure("switch")
class Switch(Procedure):
    """Train adapters with switches, then train new adapters on the edges that stayed on.

    In the search, the output of an adapter is multiplied by the weight of its switch, which is
    drawn for each image. Then the edges with θ₁ > θ₀ after the last epoch are selected, and
    a fresh placement on them is trained without switches. Each of the two trainings has all epochs
    of the trial.

    Parameters
    ----------
    config : SwitchConfig
        Options.

    Notes
    -----
    The logits have a learning rate of 0.05 at the peak, as in the authors' code, and the
    schedule of the trial. Their code selects by the best checkpoint; here the last epoch counts,
    as in every trial. Unlike in their code, an edge that is off leaves the stream unchanged.

    References
    ----------
    Moosavi et al. 2022, "Adaptable Adapters" (arXiv 2205.01549).

    Examples
    --------
    >>> from autoplace.procedures import parse_procedure
    >>> parse_procedure("switch:per=block,tau=0.5").config.tau
    0.5
    """

    Config = SwitchConfig
    paper = "Moosavi et al. 2022, arXiv 2205.01549"
    config: SwitchConfig

    def check(self, placement: Placement, shape: BackboneShape) -> None:
        super().check(placement, shape)
        for edge, spec in placement:
            with random_state():
                adapter = create_adapter(spec, edge, shape)
            inside = isinstance(adapter, SubLayerAdapter) and adapter.extra_tokens
            if inside or isinstance(adapter, TokenAdapter):
                raise ProcedureError(
                    f"{spec} on edge {edge} adds tokens, which change attention even where they "
                    "are zero, so it cannot be switched off; give another adapter kind"
                )

    def run(self, trainer: Trainer) -> Refined:
        self.check(trainer.placement, trainer.task.chain.shape)
        switched = SwitchedModel(trainer.fresh_model(), self.config, trainer.trial.seed)
        # The epochs of the search are not those of the model that comes of it.
        search = replace(trainer, report=lambda epoch: None).train(switched)
        kept = tuple(item for item in trainer.placement if switched.is_on(item[0]))
        selected = trainer.on(replace(trainer.placement, items=kept))
        model = selected.fresh_model()
        outcome = selected.train(model)
        chose = {
            "selected": str(selected.placement),
            "kept": len(kept),
            "of": len(trainer.placement),
            "logits": {name: logits.tolist() for name, logits in switched.logits.items()},
            "search_val_loss": None if search.epochs[-1].val is None else search.val.loss,
        }
        return Refined(model.eval(), outcome.parameters, outcome, chose)


class SwitchedModel(Trainable):
    """A model with a switch for each adapter.

    In training, the weights of a switch are w = softmax((θ + G) / τ), with logits θ (off, on) and
    Gumbel noise G that is drawn for each image and step; the adapter's output is multiplied by
    w₁. In evaluation an adapter is on if θ₁ > θ₀, and has no effect at all otherwise.

    Parameters
    ----------
    model : AdaptedModel
        Trained in place.
    config : SwitchConfig
        Options.
    seed : int
        Of the noise.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> chain, placement = create_chain("starter"), Placement.parse("0>1+20>22")
    >>> model = AdaptedModel(chain, placement, ("cat", "dog"))
    >>> switched = SwitchedModel(model, SwitchConfig(), seed=0)
    >>> {name: tuple(logits.shape) for name, logits in switched.logits.items()}
    {'0>1': (2,), '20>22': (2,)}
    >>> switched.weights(batch=3)["0>1"].sum(1).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, model: AdaptedModel, config: SwitchConfig, seed: int) -> None:
        super().__init__()
        self.model = model
        self._config = config
        self._names = {
            edge: str(edge) if config.per == "edge" else f"block {(edge.target + 1) // 2}"
            for edge in model.placement.edges
        }
        device = model.head.weight.device
        self.logits = nn.ParameterDict(
            {
                name: nn.Parameter(torch.full((2,), START, device=device))
                for name in dict.fromkeys(self._names.values())
            }
        )
        self.own_rates = {f"logits.{name}": RATE for name in self.logits}
        self._generator = torch.Generator().manual_seed(seed)
        self._steps = 0

    @property
    def frozen_nodes(self) -> tuple[int, ...]:
        return self.model.frozen_nodes

    def is_on(self, edge: Edge) -> bool:
        """Whether the adapter of an edge is on in evaluation."""
        off, on = self.logits[self._names[edge]].tolist()
        return bool(on > off)

    def weights(self, batch: int) -> dict[str, Tensor]:
        """Draw weights (batch, 2) of each switch, at the temperature of the present step."""
        tau = self._config.temperature(self._steps)
        weights = {}
        for name, logits in self.logits.items():
            # Minus the logarithm of an exponential variable is a Gumbel variable.
            noise = -torch.empty(batch, 2).exponential_(generator=self._generator).log()
            weights[name] = torch.softmax((logits + noise.to(logits)) / tau, dim=1)
        return weights

    def forward_suffix(self, frozen: Mapping[int, Tensor]) -> Tensor:
        factors: dict[Edge, Tensor | bool] = {edge: self.is_on(edge) for edge in self._names}
        if self.training:
            weights = self.weights(len(next(iter(frozen.values()))))
            factors |= {edge: weights[name][:, 1, None, None] for edge, name in self._names.items()}
            self._steps += 1
        return self.model.run(self.model.suffix, frozen, _Switched(self.model, factors))


class _Switched:
    """The adapters of a model in one run; see `Adapters`.

    Parameters
    ----------
    model : AdaptedModel
        Computes them.
    factors : mapping of Edge to Tensor of shape (batch, 1, 1) or bool
        What each adapter is multiplied by; or whether it is on.
    """

    def __init__(self, model: AdaptedModel, factors: Mapping[Edge, Tensor | bool]) -> None:
        self._model = model
        self._factors = factors

    def sites(self, member: int, edge: Edge) -> Sequence[Site]:
        return self._model.sites(member, edge)

    def extra_tokens(self, member: int, edge: Edge) -> int:
        return self._model.extra_tokens(member, edge)

    def add(self, readings: Sequence[Reading]) -> list[Tensor]:
        added = self._model.add(readings)
        return [
            self._between(reading.edge, torch.zeros_like(each), each)
            for reading, each in zip(readings, added, strict=True)
        ]

    def change(self, site: Site, readings: Sequence[SiteReading]) -> list[Tensor]:
        changed = self._model.change(site, readings)
        return [
            self._between(reading.edge, reading.output, each)
            for reading, each in zip(readings, changed, strict=True)
        ]

    def insert(self, readings: Sequence[Reading]) -> list[Tensor]:
        return self._model.insert(readings)

    def remove(self, member: int, edge: Edge, hidden: Tensor) -> Tensor:
        return self._model.remove(member, edge, hidden)

    def _between(self, edge: Edge, without: Tensor, with_adapter: Tensor) -> Tensor:
        factor = self._factors[edge]
        if isinstance(factor, bool):  # exactly, without rounding
            return with_adapter if factor else without
        return without + factor.to(with_adapter) * (with_adapter - without)
