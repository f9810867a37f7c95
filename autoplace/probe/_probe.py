"""The probe: one pass over some training images scores every edge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from autoplace.adapters import normalise
from autoplace.backbones import ResidualChain
from autoplace.data import ImageSplit
from autoplace.probe._capture import capture, graph_bytes
from autoplace.probe._gradients import GradientSum, gradient_products, projection
from autoplace.probe._head_loss import CrossFittedLoss
from autoplace.probe._sampling import probe_rows
from autoplace.probe._tables import NodeSums, ProbeTables, edge_table
from autoplace.settings import ProbeSettings

RETAINED_GRAPH_BYTES = 4 * 2**30


def run_probe(
    chain: ResidualChain,
    split: ImageSplit,
    n_classes: int,
    settings: ProbeSettings,
    seed: int = 0,
) -> ProbeTables:
    """Score all n² edges with one forward and one backward pass per micro-batch.

    Heads are logistic, cross-fitted on the detached final features: fitted on one half of the
    images, gradient taken on the other. Where the graphs of all micro-batches would not fit in
    4 GiB, features come from a forward pass of their own, and each graph is freed in turn.
    """
    device = next(chain.parameters()).device
    rows = probe_rows(split.labels, settings.probe_images, seed)
    batches = list(split.batches(settings.probe_batch, rows))
    images = [batch.images.to(device) for batch in batches]
    labels = np.concatenate([batch.labels.numpy() for batch in batches])
    keep = sum(graph_bytes(chain, each) for each in images) <= RETAINED_GRAPH_BYTES
    kept = [capture(chain, each) for each in images] if keep else []
    features = [each.features.detach() for each in kept] or [_features(chain, x) for x in images]
    loss = CrossFittedLoss(torch.cat(features), labels, n_classes, seed)
    gradients, nodes = GradientSum(), NodeSums(chain.n_nodes)
    start = 0
    for each in images:
        # Taking each graph off the list lets its memory go as soon as it has been used.
        captured = kept.pop(0) if keep else capture(chain, each)
        share = loss(captured.features, slice(start, start + len(each)))
        start += len(each)
        cotangents = torch.stack(captured.cotangents(share))
        hidden = torch.stack([h.detach() for h in captured.hidden])
        normalised = normalise(hidden)
        nodes.add(hidden, cotangents, normalised)
        gradients.add(_sketched_products(normalised, cotangents, settings.sketch, seed))
    task = {
        "n_nodes": chain.n_nodes,
        "dim": chain.dim,
        "tokens": hidden.shape[2],
        "n_classes": n_classes,
        "n_train": len(split),
        "n_probe": len(labels),
        "head_accuracy": loss.accuracy,
        "head_loss": loss.value,
        "chance": float(np.bincount(split.labels).max() / len(split)),
    }
    return ProbeTables(edge_table(gradients, seed), nodes.table(labels, seed), pd.DataFrame([task]))


def _sketched_products(normalised: Tensor, cotangents: Tensor, width: int, seed: int) -> Tensor:
    """normalised, cotangents: (n, batch, tokens, dim); returns (n, n, width, width)."""
    dim = normalised.shape[-1]
    left = projection(dim, width, seed, normalised)
    right = projection(dim, width, seed + 1, cotangents)
    sources = normalised if left is None else normalised @ left
    targets = cotangents if right is None else cotangents @ right
    return gradient_products(sources.flatten(1, 2), targets.flatten(1, 2))


@torch.no_grad()
def _features(chain: ResidualChain, images: Tensor) -> Tensor:
    hidden = chain.embed(images)
    for node in range(1, chain.n_nodes):
        hidden = chain.step(node, hidden)
    return chain.features(hidden)
