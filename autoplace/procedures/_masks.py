"""Masks of adapter matrices: keep a given number of weights, those with the highest scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

Masks = dict[str, Tensor]


def keep_highest(scores: Mapping[str, Tensor], total: int) -> Masks:
    """Keep the weights with the highest scores of all matrices; the first of equal ones.

    Parameters
    ----------
    scores : mapping of str to Tensor
        Score of each weight, by matrix.
    total : int
        Number of weights to keep.

    Returns
    -------
    dict of str to bool Tensor
        True where a weight is kept; shaped like the scores.

    Examples
    --------
    >>> keep_highest({"a": torch.tensor([[3.0, 1.0]]), "b": torch.tensor([[1.0, 2.0]])}, total=3)
    {'a': tensor([[True, True]]), 'b': tensor([[False,  True]])}
    """
    values = torch.cat([score.flatten() for score in scores.values()])
    mask = torch.zeros(len(values), dtype=torch.bool, device=values.device)
    # Sorting, because comparing with a threshold would keep too many or too few equal scores.
    mask[values.argsort(descending=True, stable=True)[:total]] = True
    parts = mask.split([score.numel() for score in scores.values()])
    return {
        name: part.view(score.shape)
        for (name, score), part in zip(scores.items(), parts, strict=True)
    }


def keep_highest_of_each(scores: Mapping[str, Tensor], counts: Sequence[int]) -> Masks:
    """Keep a given number of weights of each matrix, those with the highest scores.

    Examples
    --------
    >>> keep_highest_of_each({"a": torch.tensor([[3.0, 1.0]])}, counts=[1])
    {'a': tensor([[ True, False]])}
    """
    return {
        name: keep_highest({name: score}, count)[name]
        for (name, score), count in zip(scores.items(), counts, strict=True)
    }


def apportion(total: int, sizes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Divide a number of weights among matrices, in proportion to the matrices' weights.

    No matrix gets more than its size; what it cannot take goes to the others. What rounding leaves
    goes to the largest fractions.

    Parameters
    ----------
    total : int
        At most the sum of the sizes.
    sizes : sequence of int
        Number of weights of each matrix.
    weights : sequence of float
        Positive.

    Returns
    -------
    list of int
        Sums to `total`.

    Examples
    --------
    >>> apportion(10, sizes=[100, 100, 2], weights=[1, 2, 3])
    [3, 5, 2]
    """
    quotas, left = [0.0] * len(sizes), float(total)
    open_ = set(range(len(sizes)))
    while open_:
        unit = left / sum(weights[i] for i in open_)
        full = {i for i in open_ if unit * weights[i] >= sizes[i]}
        for i in full or open_:
            quotas[i] = sizes[i] if full else unit * weights[i]
        if not full:
            break
        left -= sum(sizes[i] for i in full)
        open_ -= full
    counts = [math.floor(quota) for quota in quotas]
    by_fraction = sorted(
        (i for i in range(len(sizes)) if counts[i] < sizes[i]),
        key=lambda i: counts[i] - quotas[i],
    )
    for i in by_fraction[: total - sum(counts)]:
        counts[i] += 1
    return counts


@torch.no_grad()
def set_to_zero(matrices: Mapping[str, nn.Parameter], masks: Masks) -> None:
    """Set the weights that are not kept to zero."""
    for name, parameter in matrices.items():
        parameter.masked_fill_(~masks[name].to(parameter.device), 0)


@contextmanager
def held_at_zero(matrices: Mapping[str, nn.Parameter], masks: Masks) -> Iterator[None]:
    """Let no gradient reach a pruned weight."""
    # AdamW then leaves it at zero: its moments stay zero, and weight decay multiplies it.
    hooks = [
        parameter.register_hook(partial(torch.mul, masks[name]))
        for name, parameter in matrices.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
