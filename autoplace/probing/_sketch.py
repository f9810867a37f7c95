"""Narrow views of activations and cotangents, in which gradients of all edges are computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Directions:
    """Orthogonal directions of each node: principal ones first, then some random ones.

    Principal directions keep the top of every spectrum as it is. The random ones are orthogonal to
    them and stand for all that remain: by a weight w > 1 each, w² the number of directions that one
    stands for, inner products are kept in expectation. Without the random ones the tail is cut
    off, and ranks of wide spectra come out too small; with them alone, as in a plain random sketch,
    the top is blurred.

    Parameters
    ----------
    columns
        (n, dim, width), the random ones times √w: signal-to-noise is a ratio, which needs little
        of the tail and suffers from its variance.
    rest
        (width,), what each column lacks of its weight: 1, or √w.
    """

    columns: Tensor
    rest: Tensor

    @classmethod
    def of(cls, spans: Sequence[Tensor], n_random: int, generator: torch.Generator) -> Self:
        """spans: of each node, (dim, principal directions), to be made orthogonal."""
        dim, n_principal = spans[0].shape
        rest = spans[0].new_ones(n_principal + n_random)
        rest[n_principal:] = ((dim - n_principal) / n_random) ** 0.25
        random = [torch.randn(dim, n_random, generator=generator).to(rest) for _ in spans]
        columns = [
            torch.linalg.qr(torch.cat(each, 1))[0] for each in zip(spans, random, strict=True)
        ]
        return cls(torch.stack(columns) * rest, rest)

    @property
    def width(self) -> int:
        """Directions a node."""
        return len(self.rest)


@dataclass(frozen=True)
class Sketch:
    """How the gradients are seen: entry [i, j] shows left_iᵀ G_ij right_j.

    left, right: of sources and of cotangents; None where nothing is projected, and so nothing lost.
    """

    left: Directions | None = None
    right: Directions | None = None

    @classmethod
    def fit(
        cls, sources: Iterable[Tensor], cotangents: Sequence[Tensor], width: int, seed: int
    ) -> Self:
        """Choose directions from the first pass: 3/4 of `width` of sources, 3/2 of cotangents.

        Few directions of the sources matter, and the first pass tells which: a source comes into
        the gradients by its products with cotangents, so its directions span those with a random
        mixture of all nodes' cotangents. Cotangents need more, for those under the second head
        have other directions, which no pass has shown yet.

        sources, cotangents: n tensors (rows, dim) each.
        """
        generator = torch.Generator().manual_seed(seed)
        dim = cotangents[0].shape[1]
        n_left, n_right = width * 3 // 4, min(width * 3 // 2, dim)
        left, right = n_left // 3, n_right // 2  # of them principal

        def random(count: int) -> Tensor:
            return torch.randn(dim, count, generator=generator).to(cotangents[0])

        mixed = sum(each / torch.linalg.vector_norm(each) @ random(left) for each in cotangents)
        spans = [each.T @ mixed for each in sources]
        lefts = Directions.of(spans, n_left - left, generator)
        if n_right == dim:
            return cls(lefts)
        # A step of subspace iteration: Halko, Martinsson and Tropp 2011 (arXiv 0909.4061),
        # algorithm 4.4 without its second product.
        spans = [each.T @ (each @ random(right)) for each in cotangents]
        return cls(lefts, Directions.of(spans, n_right - right, generator))

    def room_for(self, hidden: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Empty tensors (rows, n, width) for sources and cotangents of n nodes (..., dim)."""
        dim = hidden[0].shape[-1]
        rows = hidden[0].numel() // dim
        widths = (side.width if side else dim for side in (self.left, self.right))
        left, right = (hidden[0].new_empty(rows, len(hidden), width) for width in widths)
        return left, right

    def source(self, node: int, rows: Tensor) -> Tensor:
        """(rows, dim) of a node -> (rows, width)."""
        return rows @ self.left.columns[node] if self.left else rows

    def cotangent(self, node: int, rows: Tensor) -> Tensor:
        """(rows, dim) of a node -> (rows, width)."""
        return rows @ self.right.columns[node] if self.right else rows

    def spectral(self, gradients: Tensor) -> Tensor:
        """(..., k, l) as computed -> the same with full weights, for singular values and norms."""
        return self._scaled(gradients, 1)

    def seen_from(self, source: int, gradients: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """leftᵀ P(G_ij) right of every edge from node i = `source`, (n, p, q).

        P projects to the directions, without their weights: in a sum over directions these would
        make up for what is lost in expectation, and add more noise than that is worth.
        gradients: (n, k, l) as computed; left: (dim, p) and right: (dim, q), the same for all.
        """
        # Columns and their coefficients carry √w each.
        plain = self._scaled(gradients, -2)
        seen_left = left.T @ self.left.columns[source] if self.left else left.T
        return seen_left @ plain @ (self.right.columns.mT @ right if self.right else right)

    def _scaled(self, gradients: Tensor, power: int) -> Tensor:
        """(..., k, l) times that power of each direction's √w."""
        if self.left:
            gradients = gradients * self.left.rest[:, None] ** power
        return gradients * self.right.rest**power if self.right else gradients
