"""Compare the training time of a cached suffix, of no cache and of PEFT's LoRA.

Single edges are drawn uniformly from all n². Each is trained twice with the same seeds: from cached
frozen activations, which runs only the suffix, and without a cache, which runs the whole schedule
in each step (two full passes for a recurrent edge). Both must give the same loss at every step
within 1e-4 (relative), or the benchmark fails. Images are decoded beforehand. The time to fill the
cache is included in the cached time.

- `speedup_over_uncached`: total uncached seconds over total cached seconds.
- `speedup_over_peft_lora`: mean seconds of Hugging Face PEFT's LoRA (`qkv` of every block), with
  the same timm model, images, batch size and number of steps, over the mean cached seconds.
- `ratio_to_suffix`: cached seconds over those of the floor, which is forward and backward passes of
  the suffix alone, without adapter, cache or optimiser.

    python experiments/benchmarks/trial.py --edges 40 --lora --json
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterator
from statistics import mean
from typing import Any

import numpy as np
import torch
from images import ImagesInMemory
from machine import describe_machine
from measuring import seconds
from subject import add_subject_options, describe_subject
from torch import Tensor, nn
from torch.nn import functional

from autoplace.backbones import create_chain
from autoplace.model import AdaptedModel, Population, frozen_activations
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.settings import PlacementSettings, TrialSettings
from autoplace.training import ActivationCache, CacheMemory, Spill, resolve_device

TOLERANCE = 1e-4

# Logits and labels of every batch of an epoch, given the order of the images.
Pass = Callable[[Tensor, int], Iterator[tuple[Tensor, Tensor]]]


def train(
    parameters: list[nn.Parameter], one_pass: Pass, n_rows: int, options: argparse.Namespace
) -> list[float]:
    """Run the steps of a trial and return the loss of each."""
    optimiser = torch.optim.AdamW(parameters, lr=options.lr, fused=True)
    order = torch.Generator().manual_seed(options.seed)
    losses = []
    for epoch in range(options.epochs):
        for logits, labels in one_pass(torch.randperm(n_rows, generator=order), epoch):
            loss = functional.cross_entropy(logits, labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
    return torch.stack(losses).tolist()


class Benchmark:
    """The backbone, images and cache that all trained edges share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.device = resolve_device("auto")
        torch.manual_seed(options.seed)
        self.chain = create_chain(options.backbone, pretrained=options.pretrained).to(self.device)
        split = ImagesInMemory.of(options.data, self.chain, options.images, options.seed)
        self.n_rows = len(split)
        self.classes = tuple(map(str, range(int(split.labels.max()) + 1)))
        self.images = split.images.to(self.device)
        self.labels = torch.from_numpy(split.labels).to(self.device)
        self.cache = ActivationCache(
            self.chain,
            split,  # type: ignore[arg-type]
            self.device,
            memory=CacheMemory(options.cache_gb * 2**30, Spill(None, print)),
        )

    def placements(self) -> list[Placement]:
        """Draw distinct single edges, uniformly from all n²."""
        n_nodes = self.chain.n_nodes
        rng = np.random.default_rng(self.options.seed)
        count = min(self.options.edges, n_nodes**2)
        spec = AdapterSpec.of(self.options.adapter, r=self.options.rank)
        drawn = rng.choice(n_nodes**2, count, replace=False)
        return [Placement.of([Edge(*map(int, divmod(k, n_nodes)))], spec) for k in drawn]

    def model(self, placement: Placement) -> AdaptedModel:
        """Make a new model; equal seeds give equal models."""
        torch.manual_seed(self.options.seed)
        return AdaptedModel(self.chain, placement, self.classes).to(self.device)

    def cached(self, placement: Placement) -> list[float]:
        """Train from the cache, as trials do."""
        model = self.model(placement)
        population = Population([model], [0])

        def one_pass(order: Tensor, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            nodes = model.frozen_nodes
            for batch in self.cache.batches(nodes, order, self.options.batch, epoch=epoch):
                yield population([batch.values], [0])[0], batch.labels

        return train(list(population.parameters()), one_pass, self.n_rows, self.options)

    def uncached(self, placement: Placement) -> list[float]:
        """Train the whole network without a cache."""
        model = self.model(placement)
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return train(trainable, self.whole(model), self.n_rows, self.options)

    def lora(self) -> list[float]:
        """Train PEFT's LoRA on `qkv` of every block, and a new head."""
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(self.options.seed)
        model = copy.deepcopy(self.chain.model)
        model.reset_classifier(len(self.classes))
        config = LoraConfig(r=self.options.rank, target_modules=["qkv"], modules_to_save=["head"])
        adapted = get_peft_model(model, config).to(self.device)
        trainable = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
        return train(trainable, self.whole(adapted), self.n_rows, self.options)

    def whole(self, model: nn.Module) -> Pass:
        """Run a pass of a model that reads images."""

        def one_pass(order: Tensor, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
            for rows in order.to(self.device).split(self.options.batch):
                yield model(self.images[rows]), self.labels[rows]

        return one_pass

    def floor(self, placement: Placement) -> None:
        """Run the same number of forward and backward passes of the suffix alone."""
        start = placement.lowest_target
        assert start is not None
        head = nn.Linear(self.chain.num_features, len(self.classes)).to(self.device)
        head.requires_grad_(False)
        with torch.no_grad():
            embedded = self.chain.embed(self.images[: self.options.batch])
        hidden = frozen_activations(self.chain, embedded, {start})[start]
        for _ in range(self.options.epochs):
            for first in range(0, self.n_rows, self.options.batch):
                labels = self.labels[first : first + self.options.batch]
                h = leaf = hidden[: len(labels)].detach().requires_grad_()
                for node in range(start + 1, self.chain.n_nodes):
                    h = self.chain.step(node, h)
                loss = functional.cross_entropy(head(self.chain.features(h)), labels)
                torch.autograd.grad(loss, leaf)

    def compare(self, placement: Placement) -> dict[str, Any]:
        """Train a placement both ways; raises SystemExit if the losses differ."""
        losses: dict[str, list[float]] = {}
        took = {
            way: seconds(lambda way=way: losses.update({way: getattr(self, way)(placement)}))
            for way in ("cached", "uncached")
        }
        difference = float(np.abs(np.divide(losses["cached"], losses["uncached"]) - 1).max())
        if not difference <= TOLERANCE:
            raise SystemExit(
                f"{placement}: losses from the cache differ from the uncached ones by "
                f"{difference:.1e}, more than {TOLERANCE:g} relative"
            )
        (edge,) = placement.edges
        return {
            "edge": str(edge),
            "kind": str(edge.kind),
            "cached_seconds": round(took["cached"], 4),
            "uncached_seconds": round(took["uncached"], 4),
            "suffix_seconds": round(seconds(lambda: self.floor(placement)), 4),
            "largest_loss_difference": difference,
        }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the benchmark's document."""
    where = describe_machine()
    benchmark = Benchmark(options)
    placements = benchmark.placements()
    warm_up = benchmark.model(placements[0])  # the first pass does extra work
    benchmark.floor(placements[0])
    next(benchmark.whole(warm_up)(torch.arange(options.batch), 0))[0].sum().backward()
    edges, lora = [], []
    for number, placement in enumerate(placements):
        edges.append(benchmark.compare(placement))
        # Interleaved, so that a changing load affects all equally.
        if options.lora and number % max(1, len(placements) // options.lora_runs) == 0:
            lora.append(round(seconds(benchmark.lora), 4))
    cached, uncached, suffix = (
        [edge[f"{way}_seconds"] for edge in edges] for way in ("cached", "uncached", "suffix")
    )
    against_lora: dict[str, Any] = {}
    if lora:
        against_lora["speedup_over_peft_lora"] = round(mean(lora) / mean(cached), 3)
        against_lora["peft_lora_seconds"] = lora
    chain = benchmark.chain
    return {
        "speedup_over_uncached": round(sum(uncached) / sum(cached), 3),
        **against_lora,
        "ratio_to_suffix": round(sum(cached) / sum(suffix), 3),
        "cached_seconds": round(sum(cached), 3),
        "uncached_seconds": round(sum(uncached), 3),
        "suffix_seconds": round(sum(suffix), 3),
        "largest_loss_difference": max(edge["largest_loss_difference"] for edge in edges),
        **describe_subject(chain, options),
        "epochs": options.epochs,
        "classes": len(benchmark.classes),
        "adapter": str(placements[0].items[0][1]),
        "lr": options.lr,
        "cache_gb": options.cache_gb,
        "edges": edges,
        **where,
    }


def render(report: dict[str, Any]) -> str:
    """Render a short report for people."""
    lines = [
        f"Training {len(report['edges'])} single edges of {report['model']} from cached "
        f"activations is {report['speedup_over_uncached']:.2f} times as fast as without them"
    ]
    if "speedup_over_peft_lora" in report:
        times = f"{report['speedup_over_peft_lora']:.2f} times as fast"
        lines.append(f"and {times} as PEFT's LoRA in every block")
    lines += [
        f"It takes {report['ratio_to_suffix']:.2f} times as long as the suffix alone",
        f"({report['cached_seconds']:.1f} s against {report['uncached_seconds']:.1f} s; "
        f"{report['images']} images, {report['epochs']} epochs in batches of {report['batch']}; "
        f"{report['threads']} thread(s), {report['machine']['processor']})",
    ]
    return "\n".join(lines)


def main() -> None:
    """Parse options and run."""
    trial, adapter = TrialSettings(), PlacementSettings()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_subject_options(parser, images=256)
    parser.add_argument("--edges", type=int, default=12, help="how many single edges to draw")
    parser.add_argument("--batch", type=int, default=trial.batch_size)
    parser.add_argument("--epochs", type=int, default=trial.epochs)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--adapter", default="bottleneck")
    parser.add_argument("--rank", type=int, default=adapter.rank, help="of adapters and LoRA")
    parser.add_argument("--cache-gb", type=float, default=4.0)
    parser.add_argument("--lora", action="store_true", help="compare with PEFT's LoRA (needs peft)")
    parser.add_argument("--lora-runs", type=int, default=5)
    options = parser.parse_args()
    report = measure(options)
    print(json.dumps(report, indent=2) if options.json else render(report))


if __name__ == "__main__":
    main()
