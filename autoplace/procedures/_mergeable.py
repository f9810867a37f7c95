"""Which adapters can be merged, and where their hidden units are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from autoplace.adapters import StreamAdapter, adapter_config
from autoplace.model import AdaptedModel
from autoplace.placement import AdapterSpec, Placement, PlacementError

Method = Literal["transport", "average", "sum"]
Cost = Literal["weights", "activations"]

RANK = "r"
# Of the kinds with hidden units between two matrices, how the name of the second matrix ends.
_WRITERS = {
    "bottleneck": ".weight",
    "linear": ".weight",
    "adaptformer": ".weight",
    "adapter-plus": ".weight",
    "lora": ".b",
}
SCALE = "gamma"  # a factor on each channel of the output


@dataclass(frozen=True)
class HiddenLayer:
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
    adapters of different kinds cannot be merged: on edge 7>3 the first is bottleneck:r=2,
    number 2 is linear:r=2; give runs with the same placement
    """
    if len(models) < 2:
        raise PlacementError("merging needs the adapters of at least two runs; give more")
    anchor = models[0]
    if not len(anchor.placement):
        raise PlacementError("head-only has no adapters to merge; give another placement")
    for number, other in enumerate(models[1:], start=2):
        if other.chain.weights_sha256 != anchor.chain.weights_sha256:
            raise PlacementError(
                f"adapters of different backbones cannot be merged: the first are of "
                f"{anchor.chain.name},\nthose of number {number} of {other.chain.name} with other "
                "weights; give runs with the same backbone"
            )
        _check_placements(anchor.placement, other.placement, number)
    for edge, spec in anchor.placement:
        hidden_layers(spec.kind, dict(anchor.adapter(edge).named_parameters()))
        if cost == "activations" and not isinstance(anchor.adapter(edge), StreamAdapter):
            raise PlacementError(
                f"'{spec.kind}' is inside a sub-layer, so its hidden units cannot be matched by "
                "activations; match them by weights"
            )
        ranks = {_rank(dict(model.placement)[edge]) for model in models}
        if method != "transport" and len(ranks) > 1:
            raise PlacementError(
                f"the adapters on edge {edge} have different ranks, which method '{method}' cannot "
                "merge; use 'transport'"
            )


def hidden_layers(kind: str, names: Iterable[str]) -> list[HiddenLayer]:
    """Hidden layers of an adapter by the names of its tensors.

    Raises
    ------
    PlacementError
        If it has no hidden layers, or tensors that belong to none and cannot be added up.
    """
    if kind not in _WRITERS:
        raise PlacementError(
            f"adapters of kind '{kind}' cannot be merged: they have no hidden units between two "
            f"matrices; kinds that can: {', '.join(_WRITERS)}"
        )
    names = list(names)
    if kind == "lora":
        maps = dict.fromkeys(name.partition(".")[0] for name in names)
        layers = [HiddenLayer((f"{each}.a",), f"{each}{_WRITERS[kind]}") for each in maps]
    else:
        reads = tuple(name for name in names if name.startswith("down."))
        layers = [HiddenLayer(reads, f"up{_WRITERS[kind]}")]
    known = {"up.bias", SCALE} | {name for layer in layers for name in (*layer.reads, layer.writes)}
    if not set(names) <= known:
        raise PlacementError(
            f"adapters of kind '{kind}' with their own {', '.join(sorted(set(names) - known))} "
            "cannot be merged; they do not compute the same function of their hidden units"
        )
    return layers


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Move the scale of an adapter's output channels into its second layer; it is 1 then.

    Examples
    --------
    >>> moved = folded({"up.weight": torch.ones(2, 1), "gamma": torch.tensor([3.0, 4.0])})
    >>> moved["up.weight"].flatten().tolist(), moved["gamma"].tolist()
    ([3.0, 4.0], [1.0, 1.0])
    """
    moved = dict(weights)
    if SCALE in moved:
        scale = moved[SCALE]
        moved[SCALE] = torch.ones_like(scale)
        moved["up.weight"] = moved["up.weight"] * scale[:, None]
        if "up.bias" in moved:
            moved["up.bias"] = moved["up.bias"] * scale
    return moved


def _check_placements(anchor: Placement, other: Placement, number: int) -> None:
    if anchor.edges != other.edges or anchor.unroll != other.unroll:
        raise PlacementError(
            f"adapters of different placements cannot be merged: the first are on {anchor},\n"
            f"those of number {number} on {other}; give runs with the same placement"
        )
    for (edge, ours), (_, theirs) in zip(anchor, other, strict=True):
        if ours.kind != theirs.kind or _other_options(ours) != _other_options(theirs):
            raise PlacementError(
                f"adapters of different kinds cannot be merged: on edge {edge} the first is "
                f"{ours},\nnumber {number} is {theirs}; give runs with the same placement"
            )


def _other_options(spec: AdapterSpec) -> dict[str, object]:
    """Every option but the rank; those that are not given have their defaults."""
    return {name: value for name, value in vars(adapter_config(spec)).items() if name != RANK}


def _rank(spec: AdapterSpec) -> int:
    return int(vars(adapter_config(spec))[RANK])
