"""Bottleneck adapter (Houlsby et al. 2019, arXiv 1902.00751) on a norm without weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from autoplace.adapters._activation import ACTIVATIONS, RATIONAL, Rational, activate
from autoplace.adapters._base import StreamAdapter, normalise
from autoplace.adapters._batched import batched_linear
from autoplace.adapters._drop import Drop, check_rate
from autoplace.adapters._registry import register_adapter
from autoplace.adapters._scaled import ScaledConfig
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge, PlacementError


@dataclass(frozen=True)
class BottleneckConfig(ScaledConfig):
    """Options of the bottleneck; published systems differ in them.

    Parameters
    ----------
    r : int, default=8
        Rank: the width of the hidden layer.
    scale : float, default=1
        Factor on what the adapter adds.
    act : {"gelu", "relu", "quickgelu", "rational"}, default="gelu"
        Activation. `rational` is learnt: the ratio of two polynomials, with 10 coefficients for
        each adapter (Moosavi et al. 2022, arXiv 2205.01549).
    drop : float, default=0
        Drop path: in training, the chance that nothing is added for a sample.

    Raises
    ------
    PlacementError
        If a value is not allowed.

    Examples
    --------
    >>> BottleneckConfig(r=4, act="relu")
    BottleneckConfig(r=4, scale=1, act='relu', drop=0)
    >>> try:
    ...     BottleneckConfig(act="tanh")
    ... except PlacementError as error:
    ...     print(error)
    act=tanh is not a known activation; choose gelu, relu, quickgelu or rational
    """

    act: str = "gelu"
    drop: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.act not in ACTIVATIONS:
            *others, last = ACTIVATIONS
            raise PlacementError(
                f"act={self.act} is not a known activation; choose {', '.join(others)} or {last}"
            )
        check_rate("drop", self.drop)


@register_adapter("bottleneck")
class Bottleneck(StreamAdapter):
    """Adapter that computes `up(act(down(norm(x))))`; the default kind.

    `up` starts at zero and has no bias, so the number of parameters is proportional to the rank
    and placements of different sizes can share one budget exactly.

    Parameters
    ----------
    config : BottleneckConfig
        Options.
    shape : BackboneShape
        Sizes of the backbone.
    edge : Edge
        Any edge.

    References
    ----------
    Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP" (arXiv 1902.00751).

    Examples
    --------
    >>> adapter = Bottleneck(Bottleneck.Config(r=2), BackboneShape.plain(dim=6), Edge(0, 5))
    >>> {name: tuple(p.shape) for name, p in adapter.named_parameters()}
    {'down.weight': (2, 6), 'down.bias': (2,), 'up.weight': (6, 2)}
    >>> Bottleneck.parameters_at(Bottleneck.Config(r=2), BackboneShape.plain(dim=6), Edge(0, 5))
    26
    """

    Config = BottleneckConfig
    paper = "Houlsby et al. 2019, arXiv 1902.00751"

    def __init__(self, config: BottleneckConfig, shape: BackboneShape, edge: Edge) -> None:
        super().__init__(config, shape, edge)
        self._config = config
        self.down = nn.Linear(shape.dim, config.r)
        if config.act == RATIONAL:
            self.act = Rational()
        self.up = nn.Linear(config.r, shape.dim, bias=False)
        nn.init.zeros_(self.up.weight)
        self.drop = Drop(config.drop, by_sample=True)

    @classmethod
    def parameters_at(cls, config: BottleneckConfig, shape: BackboneShape, edge: Edge) -> int:
        coefficients = Rational.size if config.act == RATIONAL else 0
        return config.r * (2 * shape.dim + 1) + coefficients

    def together(self, parameters: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        rows = normalise(hidden).flatten(1, 2)
        narrow = activate(parameters, self._config.act, batched_linear(parameters, "down", rows))
        # Scaled while it is narrow; by 1, which changes no bit, in the plain bottleneck.
        added = batched_linear(parameters, "up", narrow * self._config.scale)
        kept: Tensor = self.drop(added.view_as(hidden))
        return kept
