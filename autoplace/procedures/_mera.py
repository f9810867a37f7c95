"""Merging trained adapters by optimal transport, in the style of MerA (arXiv 2308.15982)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from autoplace.adapters import StreamAdapter, adapter_config
from autoplace.model import AdaptedModel
from autoplace.placement import AdapterSpec, Edge
from autoplace.procedures._mergeable import (
    RANK,
    SCALE,
    Cost,
    HiddenLayer,
    Method,
    check_mergeable,
    folded,
    hidden_layers,
)
from autoplace.procedures._transport import Solver, transport_plan


def merge_adapters(
    models: Sequence[AdaptedModel],
    *,
    method: Method = "transport",
    cost: Cost = "weights",
    solver: Solver = "exact",
    tokens: Mapping[int, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Merge the trained adapters of several models, edge by edge, into those of the first.

    Two adapters that compute the same may have their hidden units in another order, so that the
    plain average of their weights computes something else. Transport moves the hidden units of
    each adapter to the units of the first one that they resemble most; then weights are averaged.

    Parameters
    ----------
    models : sequence of AdaptedModel
        Models that `check_mergeable` accepts. The first one gives the ranks.
    method : {"transport", "average", "sum"}, default="transport"
        `average` and `sum` add the weights as they are.
    cost : {"weights", "activations"}, default="weights"
        What hidden units are compared by: the squared distance between all weights of a unit, or
        the mean squared difference between their outputs for the same tokens.
    solver : {"exact", "sinkhorn"}, default="exact"
        As in `transport_plan`.
    tokens : mapping of int to Tensor of shape (tokens, dim), optional
        For the cost `activations`: values of the source nodes in the frozen backbone.

    Returns
    -------
    dict of str to Tensor
        Adapter tensors by the names of `AdaptedModel.trainable_state`, without the head.

    Raises
    ------
    PlacementError
        If the adapters cannot be merged.

    Notes
    -----
    An output scale is moved into the second matrix first. That a hidden unit of a ReLU can be
    scaled without changing the adapter is not used. The steps follow otfusion (Singh and Jaggi
    2020, arXiv 1910.05653), because no code of MerA is public; biases are moved as well.

    References
    ----------
    He et al. 2023, "MerA: Merging Pretrained Adapters For Few-Shot Learning" (arXiv 2308.15982).

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.placement import Placement
    >>> chain, placement = create_chain("starter"), Placement.parse("7>3@bottleneck:r=2")
    >>> model = AdaptedModel(chain, placement, ("cat", "dog"))
    >>> merged = merge_adapters([model, model])
    >>> {name: tuple(tensor.shape) for name, tensor in merged.items()}
    {'adapters.7>3.down.weight': (2, 96), 'adapters.7>3.down.bias': (2,),
     'adapters.7>3.up.weight': (96, 2)}
    >>> torch.equal(merged["adapters.7>3.down.weight"], model.adapters["7>3"].down.weight)
    True
    """
    check_mergeable(models, method, cost)
    merged: dict[str, Tensor] = {}
    for edge, spec in models[0].placement:
        adapters = [_weights(model, edge, spec) for model in models]
        if method == "transport":
            costs = _costs(models, edge, adapters, cost, tokens)
            adapters = [
                _moved(spec.kind, weights, costs_of, solver)
                for weights, costs_of in zip(adapters, costs, strict=True)
            ]
        for name in adapters[0]:
            count = 1 if method == "sum" and name != SCALE else len(adapters)
            total = torch.stack([weights[name] for weights in adapters]).sum(0) / count
            merged[f"adapters.{edge}.{name}"] = total.float()
    return merged


def _weights(model: AdaptedModel, edge: Edge, anchor: AdapterSpec) -> dict[str, Tensor]:
    """Tensors of an adapter in float64; its second matrices as the anchor's scale needs them."""
    spec = dict(model.placement)[edge]
    weights = folded(
        {
            name: tensor.detach().double().cpu()
            for name, tensor in model.adapter(edge).named_parameters()
        }
    )
    scale = _scale(spec) / _scale(anchor)
    for layer in hidden_layers(spec.kind, weights):
        weights[layer.writes] = weights[layer.writes] * scale
    return weights


def _scale(spec: AdapterSpec) -> float:
    """What an adapter multiplies its output by, where this depends on the rank."""
    options = vars(adapter_config(spec))
    return float(options["alpha"] / options[RANK]) if "alpha" in options else 1.0


def _costs(
    models: Sequence[AdaptedModel],
    edge: Edge,
    adapters: Sequence[Mapping[str, Tensor]],
    cost: Cost,
    tokens: Mapping[int, Tensor] | None,
) -> list[dict[str, np.ndarray]]:
    """For each adapter and hidden layer, what it costs to move its units to the anchor's."""
    kind = dict(models[0].placement)[edge].kind
    features: Callable[[int, HiddenLayer], Tensor]
    if cost == "weights":

        def features(number: int, layer: HiddenLayer) -> Tensor:
            weights = adapters[number]
            rows = [weights[name].flatten(1) if weights[name].ndim > 1 else weights[name][:, None]
                    for name in layer.reads]  # fmt: skip
            return torch.cat([*rows, weights[layer.writes].T], dim=1)

        count = 1
    else:
        assert tokens is not None, "activations are compared on tokens; give some"
        values = tokens[edge.source]
        count = len(values)

        def features(number: int, layer: HiddenLayer) -> Tensor:
            return _activations(models[number], edge, values)

    return [
        {
            layer.writes: (
                torch.cdist(features(number, layer), features(0, layer)).square() / count
            ).numpy()
            for layer in hidden_layers(kind, adapters[number])
        }
        for number in range(len(adapters))
    ]


@torch.no_grad()
def _activations(model: AdaptedModel, edge: Edge, tokens: Tensor) -> Tensor:
    """Outputs (units, tokens) of an adapter's hidden units.

    The second matrix of the adapter is replaced by one that copies hidden units to its output.
    """
    adapter = model.adapter(edge)
    assert isinstance(adapter, StreamAdapter)
    was_training = adapter.training
    adapter.eval()
    parameters = {name: tensor[None] for name, tensor in adapter.named_parameters()}
    if "up.bias" in parameters:
        parameters["up.bias"] = torch.zeros_like(parameters["up.bias"])
    if SCALE in parameters:
        parameters[SCALE] = torch.ones_like(parameters[SCALE])
    _, dim, rank = parameters["up.weight"].shape
    copies = torch.eye(rank).to(parameters["up.weight"])
    parts = []
    for start in range(0, rank, dim):
        units = copies[start : start + dim]
        matrix = torch.zeros_like(parameters["up.weight"])
        matrix[0, : len(units)] = units
        output = adapter.together(parameters | {"up.weight": matrix}, tokens.to(matrix)[None, None])
        parts.append(output[0, 0, :, : len(units)].T)
    adapter.train(was_training)
    return torch.cat(parts).double().cpu()


def _moved(
    kind: str, weights: Mapping[str, Tensor], costs: Mapping[str, np.ndarray], solver: Solver
) -> dict[str, Tensor]:
    """Move the hidden units of an adapter to those of the anchor.

    A moved unit reads the mean of what its parts read. What it writes is the sum of its parts, so
    that with different ranks the sum over all units stays the same.
    """
    moved = dict(weights)
    for layer in hidden_layers(kind, weights):
        plan = torch.from_numpy(transport_plan(costs[layer.writes], solver))
        units, anchors = plan.shape
        for name in layer.reads:
            moved[name] = torch.tensordot(anchors * plan.T, weights[name], dims=1)
        moved[layer.writes] = weights[layer.writes] @ (units * plan)
    return moved
