"""What the cached suffix saves: seconds of training steps uncached over those from the cache.

Single edges are drawn uniformly from all n². Each is trained twice with the same seeds: from
cached frozen activations, running only the suffix, and uncached, running the whole schedule each
step (two full passes for a recurrent edge). Images are random and in memory, so nothing is
decoded; the seconds to fill the cache count as the cached way's. Both must give the same loss at
every step, within 1e-5 relative, or the benchmark fails.

    python experiments/benchmarks/trial.py --json
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from machine import describe_machine
from random_images import RandomImages
from torch import Tensor
from torch.nn import functional

from autoplace.backbones import create_chain
from autoplace.model import AdaptedModel
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.settings import PlacementSettings, TrialSettings
from autoplace.training import ActivationCache, CachedInputs, Inputs

TOLERANCE = 1e-5


class WholeImages:
    """Decoded images in memory; the whole network runs each step."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images
        self.labels = labels

    def logits(self, model: AdaptedModel, rows: Tensor) -> tuple[Tensor, Tensor]:
        return model(self.images[rows]), self.labels[rows]


def train(model: AdaptedModel, inputs: Inputs, options: argparse.Namespace) -> list[float]:
    """The steps of a trial; returns the loss at each."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=options.lr, fused=True)
    order = torch.Generator().manual_seed(options.seed)
    losses = []
    for _ in range(options.epochs):
        for rows in torch.randperm(len(inputs.labels), generator=order).split(options.batch):
            logits, labels = inputs.logits(model, rows)
            loss = functional.cross_entropy(logits, labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    return losses


class Benchmark:
    """One backbone, one set of images, one cache: what all trained edges share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        torch.manual_seed(options.seed)
        self.chain = create_chain(options.backbone, pretrained=options.pretrained)
        self.classes = tuple(f"class {number}" for number in range(options.classes))
        shape = self.chain.data_config["input_size"]
        split = RandomImages(options.images, options.classes, shape, options.seed)
        self.whole = WholeImages(split.images, torch.from_numpy(split.labels))
        self.cache = ActivationCache(
            self.chain,
            split,  # type: ignore[arg-type]
            torch.device("cpu"),
            options.cache_gb * 2**30,
        )

    def placements(self) -> list[Placement]:
        """Single edges, uniform over all n² and distinct."""
        n_nodes = self.chain.n_nodes
        rng = np.random.default_rng(self.options.seed)
        count = min(self.options.edges, n_nodes**2)
        spec = AdapterSpec.of(self.options.adapter, r=self.options.rank)
        drawn = rng.choice(n_nodes**2, count, replace=False)
        return [Placement.of([Edge(*map(int, divmod(k, n_nodes)))], spec) for k in drawn]

    def model(self, placement: Placement) -> AdaptedModel:
        """A fresh model, the same for the same seed."""
        torch.manual_seed(self.options.seed)
        return AdaptedModel(self.chain, placement, self.classes)

    def warm_up(self, placement: Placement) -> None:
        """One uncached step, which pays for what only the first one does."""
        rows = torch.arange(min(self.options.batch, len(self.whole.labels)))
        functional.cross_entropy(*self.whole.logits(self.model(placement), rows)).backward()

    def compare(self, placement: Placement) -> dict[str, Any]:
        """Train a placement both ways. Raises SystemExit where the losses differ."""
        model = self.model(placement)
        started = time.perf_counter()
        inputs = self.cache.inputs(model.frozen_nodes)
        filled = time.perf_counter()
        cached_losses = train(model, inputs, self.options)
        cached = time.perf_counter()
        model = self.model(placement)
        restarted = time.perf_counter()
        uncached_losses = train(model, self.whole, self.options)
        uncached = time.perf_counter()
        difference = float(np.abs(np.divide(cached_losses, uncached_losses) - 1).max())
        if not difference <= TOLERANCE:
            raise SystemExit(
                f"{placement}: losses from the cache differ from the uncached ones by "
                f"{difference:.1e}, more than {TOLERANCE:g} relative"
            )
        (edge,) = placement.edges
        return {
            "edge": str(edge),
            "kind": str(edge.kind),
            "cached": isinstance(inputs, CachedInputs),
            "fill_seconds": round(filled - started, 4),
            "cached_seconds": round(cached - started, 4),
            "uncached_seconds": round(uncached - restarted, 4),
            "largest_loss_difference": difference,
        }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The benchmark's document."""
    where = describe_machine()
    benchmark = Benchmark(options)
    placements = benchmark.placements()
    benchmark.warm_up(placements[0])
    edges = [benchmark.compare(placement) for placement in placements]
    cached, uncached = (
        sum(edge[key] for edge in edges) for key in ("cached_seconds", "uncached_seconds")
    )
    return {
        "speedup_over_uncached": round(uncached / cached, 3),
        "cached_seconds": round(cached, 3),
        "uncached_seconds": round(uncached, 3),
        "fill_seconds": round(sum(edge["fill_seconds"] for edge in edges), 3),
        "largest_loss_difference": max(edge["largest_loss_difference"] for edge in edges),
        "model": benchmark.chain.name,
        "weights": "pretrained" if options.pretrained else "random",
        "n": benchmark.chain.n_nodes,
        "dim": benchmark.chain.dim,
        "input_size": list(benchmark.chain.data_config["input_size"]),
        "images": options.images,
        "batch": options.batch,
        "epochs": options.epochs,
        "classes": options.classes,
        "adapter": str(placements[0].items[0][1]),
        "lr": options.lr,
        "cache_gb": options.cache_gb,
        "seed": options.seed,
        "edges": edges,
        **where,
    }


def render(report: dict[str, Any]) -> str:
    """The report in a few lines for people."""
    return (
        f"Training {len(report['edges'])} single edges of {report['model']} from cached "
        f"activations is {report['speedup_over_uncached']:.2f} times as fast\n"
        f"({report['cached_seconds']:.1f} s, {report['fill_seconds']:.1f} s of it to fill the "
        f"cache, against {report['uncached_seconds']:.1f} s; {report['images']} images, "
        f"{report['epochs']} epochs in batches of {report['batch']}; "
        f"{report['threads']} thread(s), {report['machine']['processor']})"
    )


def main() -> None:
    trial, adapter = TrialSettings(), PlacementSettings()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="starter", help="'starter' or a timm name")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--pretrained", action="store_true", default=True, help="the default")
    weights.add_argument("--random-weights", action="store_false", dest="pretrained")
    parser.add_argument("--edges", type=int, default=12, help="how many single edges to draw")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=trial.batch_size)
    parser.add_argument("--epochs", type=int, default=trial.epochs)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--adapter", default=adapter.adapter)
    parser.add_argument("--rank", type=int, default=adapter.rank)
    parser.add_argument("--cache-gb", type=float, default=trial.cache_gb)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report = measure(options)
    print(json.dumps(report, indent=2) if options.json else render(report))


if __name__ == "__main__":
    main()
