"""Scores of adapter weights before training: random, magnitude, SNIP and GraSP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from autoplace.model import AdaptedModel
from autoplace.training import FrozenBatch, full_precision

Matrices = Mapping[str, nn.Parameter]
Scores = dict[str, Tensor]


def prunable(adapters: nn.Module) -> dict[str, nn.Parameter]:
    """Return the adapter matrices by name; biases, norms, gates and scales are never pruned.

    Examples
    --------
    >>> list(prunable(nn.Sequential(nn.Linear(4, 2), nn.LayerNorm(2))))
    ['0.weight']
    """
    return {name: p for name, p in adapters.named_parameters() if p.ndim > 1}


def random_scores(matrices: Matrices, generator: torch.Generator) -> Scores:
    """Draw a random number for each weight."""
    return {name: torch.rand(p.shape, generator=generator) for name, p in matrices.items()}


def magnitude_scores(matrices: Matrices) -> Scores:
    """Return |W|."""
    return {name: p.detach().abs() for name, p in matrices.items()}


def snip_scores(model: AdaptedModel, matrices: Matrices, batches: Sequence[FrozenBatch]) -> Scores:
    """Return |g ⊙ W|: how much the loss changes with a mask on each weight, at a mask of 1.

    References
    ----------
    Lee et al. 2019, "SNIP: Single-shot Network Pruning based on Connection Sensitivity"
    (arXiv 1810.02340).
    """
    gradients = summed_gradients(model, list(matrices.values()), batches)
    return {
        name: (gradient * p.detach()).abs()
        for (name, p), gradient in zip(matrices.items(), gradients, strict=True)
    }


def summed_gradients(
    model: AdaptedModel, parameters: Sequence[nn.Parameter], batches: Sequence[FrozenBatch]
) -> list[Tensor]:
    """Return the gradient of the mean loss over all images for each parameter."""
    gradients = [torch.zeros_like(parameter) for parameter in parameters]
    with _scoring(model):
        for loss in _losses(model, batches):
            found = torch.autograd.grad(loss, list(parameters))
            gradients = [total + each for total, each in zip(gradients, found, strict=True)]
    return gradients


def grasp_scores(model: AdaptedModel, matrices: Matrices, batches: Sequence[FrozenBatch]) -> Scores:
    """Return W ⊙ (H g), signed: removing weights with low scores keeps the gradient large.

    H is the Hessian of the loss with regard to the matrices, and g its gradient.

    References
    ----------
    Wang et al. 2020, "Picking Winning Tickets Before Training by Preserving Gradient Flow"
    (arXiv 2002.07376).
    """
    weights = list(matrices.values())
    first = [torch.zeros_like(p) for p in weights]
    products = [torch.zeros_like(p) for p in weights]
    with _scoring(model):
        for loss in _losses(model, batches):
            found = torch.autograd.grad(loss, weights)
            first = [total + each for total, each in zip(first, found, strict=True)]
        for loss in _losses(model, batches):
            gradients = torch.autograd.grad(loss, weights, create_graph=True)
            flow = torch.stack(
                [(g0 * g).sum() for g0, g in zip(first, gradients, strict=True)]
            ).sum()
            found = torch.autograd.grad(flow, weights)
            products = [total + each for total, each in zip(products, found, strict=True)]
    return {
        name: product * p.detach()
        for (name, p), product in zip(matrices.items(), products, strict=True)
    }


def _losses(model: AdaptedModel, batches: Sequence[FrozenBatch]) -> Iterator[Tensor]:
    """Yield the parts of the mean loss over all images, a batch at a time."""
    n_images = sum(len(batch.labels) for batch in batches)
    for batch in batches:
        logits = model.forward_suffix(batch.values).float()
        yield functional.cross_entropy(logits, batch.labels, reduction="sum") / n_images


@contextmanager
def _scoring(model: AdaptedModel) -> Iterator[None]:
    """Compute without dropout and in float32; fused attention has no second derivative."""
    training = model.training
    model.eval()
    try:
        with full_precision(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        model.train(training)
