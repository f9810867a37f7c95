"""Sketches: projections of activations and cotangents, to compute all gradients cheaply."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Directions:
    """Orthogonal directions of each node: principal ones, then random ones.

    Parameters
    ----------
    columns : Tensor of shape (n, dim, width)
        Directions; random ones are multiplied by √w.
    rest : Tensor of shape (width,)
        Remaining factor of each column up to its weight: 1 for principal directions, √w for
        random ones.

    Notes
    -----
    Principal directions preserve the top of every spectrum. Random directions are orthogonal to
    them and represent all remaining ones: with a weight w > 1, where w² is the number of
    directions that each represents, inner products are preserved in expectation. Without random
    directions, the tail of a spectrum would be cut off and the ranks of wide spectra would be too
    small. With random directions only, as in a plain random sketch, the top would be blurred.

    The products are computed with √w instead of w, because the signal-to-noise is a ratio, which
    needs little of the tail and is harmed by its variance.
    """

    columns: Tensor
    rest: Tensor

    @classmethod
    def of(cls, spans: Sequence[Tensor], n_random: int, generator: torch.Generator) -> Self:
        """Make directions from the principal span of each node, (dim, principal directions)."""
        dim, n_principal = spans[0].shape
        rest = spans[0].new_ones(n_principal + n_random)
        rest[n_principal:] = ((dim - n_principal) / n_random) ** 0.25
        random = [torch.randn(dim, n_random, generator=generator).to(rest) for _ in spans]
        columns = [
            torch.linalg.qr(torch.cat(pair, 1))[0] for pair in zip(spans, random, strict=True)
        ]
        return cls(torch.stack(columns) * rest, rest)

    @property
    def width(self) -> int:
        """Number of directions of each node."""
        return len(self.rest)


@dataclass(frozen=True)
class Sketch:
    """A projection of the gradients: instead of G_ij, left_iᵀ G_ij right_j is computed.

    Parameters
    ----------
    left : Directions or None, default=None
        Directions of the sources; None for no projection.
    right : Directions or None, default=None
        Directions of the cotangents; None for no projection.

    Examples
    --------
    >>> import torch
    >>> sources, cotangents = torch.randn(5, 200, 96), torch.randn(5, 200, 96)
    >>> sketch = Sketch.fit(sources, cotangents, width=16, seed=0)
    >>> sketch.source(3, sources[3]).shape, sketch.cotangent(3, cotangents[3]).shape
    (torch.Size([200, 12]), torch.Size([200, 24]))
    >>> torch.equal(Sketch().source(3, sources[3]), sources[3])
    True
    """

    left: Directions | None = None
    right: Directions | None = None

    @classmethod
    def fit(
        cls, sources: Iterable[Tensor], cotangents: Sequence[Tensor], width: int, seed: int
    ) -> Self:
        """Choose directions from the first pass.

        Parameters
        ----------
        sources : iterable of Tensor of shape (rows, dim)
            Normalised values of each node.
        cotangents : sequence of Tensor of shape (rows, dim)
            D_j = d loss / d h_j of each node.
        width : int
            Width of the sketch: sources get 3/4 as many directions, cotangents 3/2.
        seed : int
            Seed of the random directions.

        Notes
        -----
        Few directions of the sources matter, and the first pass shows which ones: a source enters
        the gradients through its products with cotangents, so its principal directions span its
        products with a random mixture of the cotangents of all nodes. Cotangents need more
        directions, because later ones come from another head and point elsewhere.

        Cotangents use one step of subspace iteration: Halko, Martinsson and Tropp 2011
        (arXiv 0909.4061), algorithm 4.4 without its second product.
        """
        generator = torch.Generator().manual_seed(seed)
        lefts = _source_directions(sources, cotangents, width, generator)
        dim = cotangents[0].shape[1]
        n_right = min(width * 3 // 2, dim)
        if n_right == dim:
            return cls(lefts)
        right = n_right // 2  # number of principal ones
        spans = [rows.T @ (rows @ _random(rows, right, generator)) for rows in cotangents]
        return cls(lefts, Directions.of(spans, n_right - right, generator))

    @classmethod
    def of_sources(
        cls, sources: Iterable[Tensor], cotangents: Sequence[Tensor], width: int, seed: int
    ) -> Self:
        """Choose directions of the sources as `fit` does, and leave the cotangents whole.

        This is cheaper where each source meets only its own cotangents, because a product with
        these then costs less than their projection. Widths of sources and cotangents may differ.
        """
        generator = torch.Generator().manual_seed(seed)
        return cls(_source_directions(sources, cotangents, width, generator))

    def allocate(self, hidden: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Allocate tensors (rows, n, width) for sources and cotangents of n nodes (..., dim)."""
        dim = hidden[0].shape[-1]
        rows = hidden[0].numel() // dim
        widths = (side.width if side else dim for side in (self.left, self.right))
        left, right = (hidden[0].new_empty(rows, len(hidden), width) for width in widths)
        return left, right

    def source(self, node: int, rows: Tensor) -> Tensor:
        """Project the source of a node from (rows, dim) to (rows, width)."""
        return rows @ self.left.columns[node] if self.left else rows

    def cotangent(self, node: int, rows: Tensor) -> Tensor:
        """Project the cotangent of a node from (rows, dim) to (rows, width)."""
        return rows @ self.right.columns[node] if self.right else rows

    def spectral(self, gradients: Tensor) -> Tensor:
        """Give gradients (..., k, l) their full weights, for singular values and norms."""
        return self._scaled(gradients, 1)

    def project(self, source: int, gradients: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Compute leftᵀ P(G_ij) right for every edge from node i = `source`.

        P is the projection to the directions without their weights. The weights would make up in
        expectation for what the sketch loses, but would add more noise than that is worth.

        Parameters
        ----------
        source : int
            The node i.
        gradients : Tensor of shape (n, k, l)
            Sketched gradients, by target.
        left : Tensor of shape (dim, p)
            Left factor, the same for all edges.
        right : Tensor of shape (dim, q)
            Right factor, the same for all edges.

        Returns
        -------
        Tensor of shape (n, p, q)
            Products, by target.
        """
        # Both the columns and the coefficients contain √w.
        plain = self._scaled(gradients, -2)
        projected_left = left.T @ self.left.columns[source] if self.left else left.T
        return projected_left @ plain @ (self.right.columns.mT @ right if self.right else right)

    def _scaled(self, gradients: Tensor, power: int) -> Tensor:
        """Multiply gradients (..., k, l) by a power of the √w of each direction."""
        if self.left:
            gradients = gradients * self.left.rest[:, None] ** power
        return gradients * self.right.rest**power if self.right else gradients


def _source_directions(
    sources: Iterable[Tensor], cotangents: Sequence[Tensor], width: int, generator: torch.Generator
) -> Directions:
    count = width * 3 // 4
    principal = count // 3
    # A cotangent of zero, as at a layer that its block multiplies by zero, says nothing.
    lengths = [torch.linalg.vector_norm(rows) for rows in cotangents]
    mixed = sum(
        rows
        / length.clamp_min(torch.finfo(length.dtype).tiny)
        @ _random(rows, principal, generator)
        for rows, length in zip(cotangents, lengths, strict=True)
    )
    spans = [rows.T @ mixed for rows in sources]
    return Directions.of(spans, count - principal, generator)


def _random(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows.shape[1], count, generator=generator).to(rows)
