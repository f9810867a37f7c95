"""Activations of bottleneck adapters; one of them, a rational function, is learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional


def quick_gelu(values: Tensor) -> Tensor:
    """Compute x · sigmoid(1.702 x), a quick approximation of GELU.

    Examples
    --------
    >>> quick_gelu(torch.tensor([-10.0, 0.0, 10.0])).round(decimals=2)
    tensor([-0., 0., 10.])
    """
    return values * torch.sigmoid(1.702 * values)


RATIONAL = "rational"
_FIXED: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "quickgelu": quick_gelu,
}
ACTIVATIONS = (*_FIXED, RATIONAL)


class Rational(nn.Module):
    """Coefficients of R(x) = (Σ a_i x^i) / (1 + Σ |b_j x^j|), i = 0..5, j = 1..4; R = 1 at first.

    References
    ----------
    Moosavi et al. 2022, "Adaptable Adapters" (arXiv 2205.01549).

    Examples
    --------
    >>> {name: p.tolist() for name, p in Rational().named_parameters()}
    {'a': [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 'b': [0.0, 0.0, 0.0, 0.0]}
    """

    size = 10

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([1.0, 0, 0, 0, 0, 0]))
        self.b = nn.Parameter(torch.zeros(4))


def activate(parameters: Mapping[str, Tensor], name: str, values: Tensor) -> Tensor:
    """Apply an activation for several adapters at once.

    Parameters
    ----------
    parameters : mapping of str to Tensor of shape (adapters, ...)
        Stacked parameters; `rational` reads `act.a` and `act.b`.
    name : str
        One of `ACTIVATIONS`.
    values : Tensor of shape (adapters, rows, r)
        Values before the activation.

    Returns
    -------
    Tensor of shape (adapters, rows, r)
        Values after it.

    Examples
    --------
    >>> activate({}, "relu", torch.tensor([[[-1.0, 2.0]]]))
    tensor([[[0., 2.]]])
    >>> parameters = {"act.a": torch.tensor([[0.0, 1, 0, 0, 0, 0]]), "act.b": torch.ones(1, 4)}
    >>> activate(parameters, "rational", torch.tensor([[[-1.0, 1.0]]]))
    tensor([[[-0.2000,  0.2000]]])
    """
    if name == RATIONAL:
        return _rational(parameters["act.a"], parameters["act.b"], values)
    return _FIXED[name](values)


def _rational(a: Tensor, b: Tensor, values: Tensor) -> Tensor:
    """Compute R in float32: x^5 overflows float16."""
    x = values.float()
    size = x.abs()
    # |b| with a slope of 1 at b = 0; that of abs is 0 there, so b would never leave 0.
    magnitude = b * torch.where(b >= 0, 1.0, -1.0)
    found = _polynomial(a, x) / (1 + size * _polynomial(magnitude, size))
    return found.to(values.dtype)


def _polynomial(coefficients: Tensor, x: Tensor) -> Tensor:
    """Compute c_0 + c_1 x + c_2 x^2 + ... by Horner's rule; coefficients (adapters, degree + 1)."""
    *lower, total = coefficients.T[..., None, None].unbind()
    for coefficient in reversed(lower):
        total = total * x + coefficient
    return total
