"""Measure the cost and accuracy of a probe against its floor, autograd and full gradients.

The floor is a forward pass and a backward pass from the cross-entropy of a linear head down to the
embeddings, without gradients for weights, over the same images in batches of the same size. The
probe scores all n² edges and fills every column of its tables. Images are decoded beforehand.

- `ratio_to_forward_backward`: the median ratio of neighbouring runs of probe and floor, which take
  turns, so that a changing load affects both equally.
- `peak_memory_ratio`: peak memory of the probe over that of the floor, each measured above the
  loaded model and images, in a process of its own.
- `speedup_over_autograd`: seconds to insert each edge's map and get its gradient from autograd (the
  mean of a sample, times n²), over the probe's seconds.
- `sketch_spearman`: rank correlation over edges (all, or a sample) of each statistic with that of
  the full gradients in float64, with the same folds and micro-batches.

    python experiments/benchmarks/probe.py --backbone vit_small_patch16_224 --random-weights --json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
from typing import Any

import numpy as np
import torch
from images import ImagesInMemory
from machine import describe_machine
from measuring import raised_bytes, seconds
from probe_reference import forward_backward, insert_and_differentiate, reference_statistics
from subject import add_subject_options, describe_subject
from torch import nn

from autoplace.backbones import create_chain
from autoplace.placement import Edge
from autoplace.probing import ProbeTables, run_probe
from autoplace.settings import PROBE_IMAGES, ProbeSettings
from autoplace.training import resolve_device

COMPARED = {
    "rank": "gradient_rank",
    "stable_rank": "stable_rank",
    "norm": "frobenius_norm",
    "snr": "snr",
}


class Benchmark:
    """A backbone, images in memory and a head for the floor, with probe and floor as methods."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        torch.manual_seed(options.seed)
        self.chain = create_chain(options.backbone, pretrained=options.pretrained)
        self.chain.to(resolve_device("auto"))
        self.split = ImagesInMemory.of(options.data, self.chain, options.images, options.seed)
        self.n_classes = int(self.split.labels.max()) + 1
        self.head = nn.Linear(self.chain.num_features, self.n_classes).requires_grad_(False)
        self.head.to(next(self.chain.parameters()))
        self.settings = ProbeSettings(
            probe_images=options.images,
            probe_batch=options.batch,
            probe_micro_batches=options.micro_batches,
            sketch=options.sketch,
        )

    def probe(self) -> ProbeTables:
        """Run the probe as `run_probe` does."""
        split: Any = self.split
        return run_probe(self.chain, split, self.n_classes, self.settings, self.options.seed)

    def floor(self) -> None:
        """Run the floor, with the same batch size as the probe."""
        forward_backward(self.chain, self.split, self.head, self.settings.probe_batch)

    def insert(self, edge: Edge) -> None:
        """Get the gradient of one edge from autograd."""
        insert_and_differentiate(self.chain, self.split, self.head, self.options.batch, edge)

    def sample(self, count: int, seed: int) -> list[Edge]:
        """Draw distinct edges, uniformly from all n²."""
        n = self.chain.n_nodes
        drawn = np.random.default_rng(seed).choice(n**2, min(count, n**2), replace=False)
        return [Edge(*map(int, divmod(k, n))) for k in drawn]


def raised_by(options: argparse.Namespace, name: str) -> int:
    """Return the bytes that one call of a method takes; runs in a process of its own."""
    benchmark = Benchmark(options)
    return raised_bytes(getattr(benchmark, name))


def memory(options: argparse.Namespace) -> dict[str, float]:
    """Measure the GiB of probe and floor, and their ratio."""
    context = multiprocessing.get_context("spawn")
    taken = {}
    for name in ("probe", "floor"):
        with context.Pool(1) as pool:
            taken[name] = pool.apply(raised_by, (options, name))
    return {
        "peak_memory_ratio": round(taken["probe"] / taken["floor"], 3),
        "probe_peak_gib": round(taken["probe"] / 2**30, 3),
        "forward_backward_peak_gib": round(taken["floor"] / 2**30, 3),
    }


def fidelity(benchmark: Benchmark, tables: ProbeTables) -> dict[str, Any]:
    """Compute rank correlations with the full gradients; leaves the chain in float64."""
    options = benchmark.options
    edges = benchmark.sample(options.reference_edges, options.seed + 1)
    reference = reference_statistics(
        benchmark.chain,
        benchmark.split,
        benchmark.n_classes,
        benchmark.settings,
        options.seed,
        edges,
    )
    ours = tables.edges.set_index(["source", "target"]).loc[reference.index]
    found = {
        name: round(float(ours[column].corr(reference[column], method="spearman")), 4)
        for name, column in COMPARED.items()
    }
    return {"sketch_spearman": found, "reference_edges": len(edges)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the benchmark's document."""
    where = describe_machine()
    report = memory(options) if options.memory else {}
    benchmark = Benchmark(options)
    benchmark.floor()  # the first run of each also allocates memory
    tables = benchmark.probe()
    floors, probes = [], []
    for _ in range(options.repeats):
        floors.append(seconds(benchmark.floor))
        probes.append(seconds(benchmark.probe))
    ratios = [ours / theirs for ours, theirs in zip(probes, floors, strict=True)]
    n_edges = benchmark.chain.n_nodes**2
    sample = benchmark.sample(options.autograd_edges, options.seed)
    inserted = [seconds(lambda edge=edge: benchmark.insert(edge)) for edge in sample]
    by_autograd = statistics.mean(inserted) * n_edges
    chain = benchmark.chain
    return {
        "ratio_to_forward_backward": round(statistics.median(ratios), 3),
        "speedup_over_autograd": round(by_autograd / statistics.median(probes), 1),
        **report,
        **(fidelity(benchmark, tables) if options.reference_edges else {}),
        "probe_seconds": [round(value, 4) for value in probes],
        "forward_backward_seconds": [round(value, 4) for value in floors],
        "autograd_seconds": {
            str(edge): round(value, 4) for edge, value in zip(sample, inserted, strict=True)
        },
        **describe_subject(chain, options),
        "edges": n_edges,
        "micro_batches": options.micro_batches,
        "classes": benchmark.n_classes,
        "sketch": options.sketch,
        **where,
    }


def render(report: dict[str, Any]) -> str:
    """Render a short report for people."""
    lines = [
        f"A probe of all {report['edges']} edges of {report['model']} costs "
        f"{report['ratio_to_forward_backward']:.2f} forward and backward passes, "
        f"and is {report['speedup_over_autograd']:.0f} times as fast as autograd edge by edge",
    ]
    if "peak_memory_ratio" in report:
        lines.append(f"It takes {report['peak_memory_ratio']:.2f} times the memory of the passes")
    if "sketch_spearman" in report:
        told = ", ".join(f"{name} {value:.3f}" for name, value in report["sketch_spearman"].items())
        lines.append(
            f"Rank correlation with full gradients over {report['reference_edges']} edges: {told}"
        )
    lines.append(
        f"({report['images']} images, {report['batch']} at once; {report['threads']} thread(s), "
        f"{report['machine']['processor']})"
    )
    return "\n".join(lines)


def main() -> None:
    """Parse options and run."""
    defaults = ProbeSettings()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_subject_options(parser, images=PROBE_IMAGES)
    parser.add_argument("--batch", type=int, default=defaults.probe_batch, help="images at once")
    parser.add_argument("--micro-batches", type=int, default=defaults.probe_micro_batches)
    parser.add_argument("--sketch", type=int, default=defaults.sketch, help="0 means never")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--autograd-edges", type=int, default=4, help="edges timed by autograd")
    parser.add_argument("--reference-edges", type=int, default=0, help="edges in float64; 0: none")
    parser.add_argument("--memory", action="store_true", help="measure memory (Linux, or a GPU)")
    options = parser.parse_args()
    report = measure(options)
    print(json.dumps(report, indent=2) if options.json else render(report))


if __name__ == "__main__":
    main()
