"""Narrow views of activations and cotangents, in which gradients of all edges are computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

PRINCIPAL_SHARE = 3 / 8  # of the directions; the rest are random


@dataclass(frozen=True)
class Sketch:
    """Directions of each node's sources and cotangents; entry [i, j] shows left_iᵀ G_ij right_j.

    The first 3/8 of a node's directions are principal ones, which keep the top of every spectrum
    as it is. The others are random, orthogonal to those, and stand for all that remain: by `weight`
    w > 1 each, w² the number of directions that one stands for, inner products are kept in
    expectation. Without the random ones the tail is cut off, and ranks of wide spectra come out
    too small; with them alone, as in a plain random sketch, the top is blurred.

    What is computed in the sketch carries √w only: signal-to-noise is a ratio, which needs little
    of the tail and suffers from its variance. `spectral` gives the rest of the weight.

    left, right: (n, dim, width), or None where nothing is projected, and so nothing lost.
    """

    left: Tensor | None = None
    right: Tensor | None = None

    @classmethod
    def fit(
        cls, sources: Iterable[Tensor], cotangents: Iterable[Tensor], width: int, seed: int
    ) -> Self:
        """Choose `width` directions a node from the first pass.

        sources, cotangents: n tensors (rows, dim) each, taken one after the other.
        """
        generator = torch.Generator().manual_seed(seed)
        left = torch.stack([_directions(each, width, generator) for each in sources])
        return cls(left, torch.stack([_directions(each, width, generator) for each in cotangents]))

    def width(self, dim: int) -> int:
        """Numbers to which a row (dim,) comes down."""
        return dim if self.left is None else self.left.shape[-1]

    def source(self, node: int, rows: Tensor) -> Tensor:
        """(rows, dim) of a node -> (rows, width)."""
        return rows if self.left is None else rows @ self.left[node]

    def cotangent(self, node: int, rows: Tensor) -> Tensor:
        """(rows, dim) of a node -> (rows, width)."""
        return rows if self.right is None else rows @ self.right[node]

    def spectral(self, gradients: Tensor) -> Tensor:
        """(..., k, l) as computed -> the same with full weights, for singular values and norms."""
        if self.left is None:
            return gradients
        rest = _half_weights(*self.left.shape[1:]).to(gradients)
        return gradients * rest[:, None] * rest

    def seen_from(self, source: int, gradients: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """leftᵀ G_ij right of every edge from node i = `source`, (n, p, q), estimated without bias.

        gradients: (n, k, l) as computed; left: (dim, p) and right: (dim, q), the same for all.
        """
        if self.left is None or self.right is None:
            return left.T @ gradients @ right
        # left_i and its coefficients carry √w each, and so does `spectral`, which is applied twice.
        full = self.spectral(self.spectral(gradients))
        return left.T @ self.left[source] @ full @ (self.right.mT @ right)


def _directions(rows: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """(dim, width) from (rows, dim): principal ones by a step of subspace iteration, then random.

    Halko, Martinsson and Tropp 2011 (arXiv 0909.4061), algorithm 4.4 without its second product.
    """
    dim, principal = rows.shape[-1], int(PRINCIPAL_SHARE * width)
    random = torch.randn(dim, width, generator=generator).to(rows)
    top = rows.T @ (rows @ random[:, :principal])
    orthogonal, _ = torch.linalg.qr(torch.cat([top, random[:, principal:]], 1))
    return orthogonal * _half_weights(dim, width).to(rows)


def _half_weights(dim: int, width: int) -> Tensor:
    """(width,), √w of every direction: 1 of the principal ones."""
    principal = int(PRINCIPAL_SHARE * width)
    weights = torch.ones(width)
    weights[principal:] = ((dim - principal) / (width - principal)) ** 0.25
    return weights
