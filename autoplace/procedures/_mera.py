"""Merging trained adapters by optimal transport, in the style of MerA (arXiv 2308.15982)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from autoplace.adapters import StreamAdapter, adapter_config
from autoplace.model import AdaptedModel
from autoplace.placement import AdapterSpec, Edge, Placement, PlacementError

Method = Literal["transport", "average", "sum"]
Cost = Literal["weights", "activations"]
Solver = Literal["exact", "sinkhorn"]

# Of the kinds with hidden units between two matrices, the name of the second matrix.
_WRITERS = {"bottleneck": ".weight", "linear": ".weight", "lora": ".b"}
_RANK = "r"
# Of Sinkhorn: the entropy's weight, where the largest cost is 1, and when to stop.
_REGULARISATION, _ITERATIONS, _TOLERANCE = 1e-2, 10_000, 1e-9


@dataclass(frozen=True)
class _Layer:
    """Hidden units of an adapter: tensors with a row for each, and one with a column for each."""

    reads: tuple[str, ...]
    writes: str


def check_mergeable(models: Sequence[AdaptedModel], method: Method, cost: Cost) -> None:
    """Check that the adapters of several models can be merged.

    They must be on the same edges of the same backbone, of the same kinds with the same options.
    Only ranks may differ, and only with transport.

    Parameters
    ----------
    models : sequence of AdaptedModel
        At least two models.
    method : {"transport", "average", "sum"}
        As in `merge_adapters`.
    cost : {"weights", "activations"}
        As in `merge_adapters`.

    Raises
    ------
    PlacementError
        If they cannot; the message says why.

    Examples
    --------
    >>> from autoplace.backbones import create_chain
    >>> chain = create_chain("starter")
    >>> models = [AdaptedModel(chain, Placement.parse(text), ("cat", "dog"))
    ...           for text in ("7>3@bottleneck:r=2", "7>3@linear:r=2")]
    >>> try:
    ...     check_mergeable(models, "transport", "weights")
    ... except PlacementError as error:
    ...     print(error)
    adapters of different kinds cannot be merged: edge 7>3 has bottleneck:r=2 in model 1 and
    linear:r=2 in model 2; give models of one placement
    """
    if len(models) < 2:
        raise PlacementError("merging needs at least two models; give more")
    anchor = models[0]
    if not len(anchor.placement):
        raise PlacementError("model 1 is head-only and has no adapters to merge; give another")
    for number, other in enumerate(models[1:], start=2):
        if other.chain.weights_sha256 != anchor.chain.weights_sha256:
            raise PlacementError(
                f"adapters of different backbones cannot be merged: model 1 has "
                f"{anchor.chain.name}, model {number} has {other.chain.name} with other weights"
            )
        _check_placements(anchor.placement, other.placement, number)
    for edge, spec in anchor.placement:
        if spec.kind not in _WRITERS:
            raise PlacementError(
                f"adapters of kind '{spec.kind}' cannot be merged: they have no hidden units "
                f"between two matrices; kinds that can: {', '.join(_WRITERS)}"
            )
        if cost == "activations" and not isinstance(anchor.adapter(edge), StreamAdapter):
            raise PlacementError(
                f"the activations of '{spec.kind}' are inside a sub-layer and are not read; "
                "compare weights instead"
            )
        ranks = {_rank(dict(model.placement)[edge]) for model in models}
        if method != "transport" and len(ranks) > 1:
            raise PlacementError(
                f"the adapters on edge {edge} have different ranks, so they have no {method}; "
                "merge them by transport"
            )
        _layers(spec.kind, dict(anchor.adapter(edge).named_parameters()))


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
        count = 1 if method == "sum" else len(adapters)
        for name in adapters[0]:
            total = torch.stack([weights[name] for weights in adapters]).sum(0) / count
            merged[f"adapters.{edge}.{name}"] = total.float()
    return merged


def transport_plan(cost: np.ndarray, solver: Solver = "exact") -> np.ndarray:
    """Move units to units at the lowest cost; each unit of a side has the same mass.

    Parameters
    ----------
    cost : ndarray of shape (units, anchor_units)
        Cost of moving the mass of each unit to each anchor unit.
    solver : {"exact", "sinkhorn"}, default="exact"
        `exact` finds the best plan; with equal numbers of units it is a permutation. `sinkhorn`
        adds the plan's entropy, on costs that are scaled to at most 1 by their logarithm.

    Returns
    -------
    ndarray of shape (units, anchor_units)
        The plan: rows sum to 1 / units, columns to 1 / anchor_units.

    Examples
    --------
    >>> transport_plan(np.array([[5.0, 1.0], [1.0, 5.0]]))
    array([[0. , 0.5],
           [0.5, 0. ]])
    >>> transport_plan(np.array([[0.0, 1.0], [0.0, 1.0], [9.0, 0.0]])).sum(0)
    array([0.5, 0.5])
    """
    units, anchors = cost.shape
    if solver == "exact" and units == anchors:
        plan = np.zeros_like(cost)
        plan[linear_sum_assignment(cost)] = 1 / units
        return plan
    import ot  # here, because it takes seconds to import

    rows, columns = np.full(units, 1 / units), np.full(anchors, 1 / anchors)
    if solver == "exact":
        exact: np.ndarray = ot.emd(rows, columns, cost)
        return exact
    scaled = np.log1p(cost)
    scaled /= scaled.max() or 1.0
    plan = ot.sinkhorn(
        rows,
        columns,
        scaled,
        _REGULARISATION,
        method="sinkhorn_log",
        numItermax=_ITERATIONS,
        stopThr=_TOLERANCE,
        warn=False,
    )
    return _rounded(plan, rows, columns)


def _rounded(plan: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Make the sums of a plan exact (Altschuler et al. 2017, arXiv 1705.09634, algorithm 2)."""
    plan = plan * np.minimum(1, rows / plan.sum(1))[:, None]
    plan = plan * np.minimum(1, columns / plan.sum(0))
    missing_rows, missing_columns = rows - plan.sum(1), columns - plan.sum(0)
    missing = missing_rows.sum()
    if missing > 0:
        plan = plan + np.outer(missing_rows, missing_columns) / missing
    return plan


def _check_placements(anchor: Placement, other: Placement, number: int) -> None:
    if anchor.edges != other.edges or anchor.unroll != other.unroll:
        raise PlacementError(
            f"adapters of different placements cannot be merged: model 1 has {anchor},\n"
            f"model {number} has {other}; give models of one placement"
        )
    for (edge, ours), (_, theirs) in zip(anchor, other, strict=True):
        if ours.kind != theirs.kind or _other_options(ours) != _other_options(theirs):
            raise PlacementError(
                f"adapters of different kinds cannot be merged: edge {edge} has {ours} in model 1 "
                f"and\n{theirs} in model {number}; give models of one placement"
            )


def _other_options(spec: AdapterSpec) -> dict[str, object]:
    """Every option but the rank; those that are not given have their defaults."""
    return {name: value for name, value in vars(adapter_config(spec)).items() if name != _RANK}


def _rank(spec: AdapterSpec) -> int:
    return int(vars(adapter_config(spec))[_RANK])


def _layers(kind: str, names: Iterable[str]) -> list[_Layer]:
    """Hidden layers of an adapter by the names of its tensors.

    Raises
    ------
    PlacementError
        If it has tensors that belong to none and cannot be added up.
    """
    names = list(names)
    if kind == "lora":
        maps = dict.fromkeys(name.partition(".")[0] for name in names)
        layers = [_Layer((f"{each}.a",), f"{each}{_WRITERS[kind]}") for each in maps]
    else:
        reads = tuple(name for name in names if name.startswith("down."))
        layers = [_Layer(reads, f"up{_WRITERS[kind]}")]
    known = {"up.bias"} | {name for layer in layers for name in (*layer.reads, layer.writes)}
    if not set(names) <= known:
        raise PlacementError(
            f"adapters of kind '{kind}' with their own {', '.join(sorted(set(names) - known))} "
            "cannot be merged; they do not compute the same function of their hidden units"
        )
    return layers


def _weights(model: AdaptedModel, edge: Edge, anchor: AdapterSpec) -> dict[str, Tensor]:
    """Tensors of an adapter in float64; its second matrices as the anchor's scale needs them."""
    spec = dict(model.placement)[edge]
    weights = {
        name: tensor.detach().double().cpu()
        for name, tensor in model.adapter(edge).named_parameters()
    }
    scale = _scale(spec) / _scale(anchor)
    for layer in _layers(spec.kind, weights):
        weights[layer.writes] = weights[layer.writes] * scale
    return weights


def _scale(spec: AdapterSpec) -> float:
    """What an adapter multiplies its output by, where this depends on the rank."""
    options = vars(adapter_config(spec))
    return float(options["alpha"] / options[_RANK]) if "alpha" in options else 1.0


def _costs(
    models: Sequence[AdaptedModel],
    edge: Edge,
    adapters: Sequence[Mapping[str, Tensor]],
    cost: Cost,
    tokens: Mapping[int, Tensor] | None,
) -> list[dict[str, np.ndarray]]:
    """For each adapter and hidden layer, what it costs to move its units to the anchor's."""
    kind = dict(models[0].placement)[edge].kind
    features: Callable[[int, _Layer], Tensor]
    if cost == "weights":

        def features(number: int, layer: _Layer) -> Tensor:
            weights = adapters[number]
            rows = [weights[name].flatten(1) if weights[name].ndim > 1 else weights[name][:, None]
                    for name in layer.reads]  # fmt: skip
            return torch.cat([*rows, weights[layer.writes].T], dim=1)

        count = 1
    else:
        assert tokens is not None, "activations are compared on tokens; give some"
        values = tokens[edge.source]
        count = len(values)

        def features(number: int, layer: _Layer) -> Tensor:
            return _activations(models[number], edge, values)

    return [
        {
            layer.writes: (
                torch.cdist(features(number, layer), features(0, layer)).square() / count
            ).numpy()
            for layer in _layers(kind, adapters[number])
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
    for layer in _layers(kind, weights):
        plan = torch.from_numpy(transport_plan(costs[layer.writes], solver))
        units, anchors = plan.shape
        for name in layer.reads:
            moved[name] = torch.tensordot(anchors * plan.T, weights[name], dims=1)
        moved[layer.writes] = weights[layer.writes] @ (units * plan)
    return moved
