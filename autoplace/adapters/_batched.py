"""A linear layer of several adapters at once: one batched product, each with its own weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def batched_linear(parameters: Mapping[str, Tensor], name: str, rows: Tensor) -> Tensor:
    """Apply the linear layer of each of several adapters to the rows of that adapter.

    Parameters
    ----------
    parameters : mapping of str to Tensor of shape (adapters, ...)
        Stacked parameters: `NAME.weight`, and `NAME.bias` if the layer has one.
    name : str
        Name of the layer.
    rows : Tensor of shape (adapters, rows, inputs)
        What each adapter's layer reads.

    Returns
    -------
    Tensor of shape (adapters, rows, outputs)
        Outputs.

    Examples
    --------
    >>> parameters = {"down.weight": torch.ones(3, 2, 6), "down.bias": torch.full((3, 2), 0.5)}
    >>> batched_linear(parameters, "down", torch.ones(3, 1, 6))[0]
    tensor([[6.5000, 6.5000]])
    """
    weight, bias = parameters[f"{name}.weight"].mT, parameters.get(f"{name}.bias")
    return rows @ weight if bias is None else torch.baddbmm(bias[:, None], rows, weight)
