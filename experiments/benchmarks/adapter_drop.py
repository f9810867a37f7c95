"""Measure how much faster a model becomes when the adapters of its first blocks are dropped.

One model with an adapter at every sub-layer. For each number of dropped blocks n, three things are
timed in turn, many times over: inference from images, a training step from the embeddings with
the blocks below n without autograd, and a training step as trials run it, from cached activations.
Each ratio is the time with no adapter dropped over the time with n dropped, so above 1 is faster.
All numbers are timed within one run, one after the other in each repeat, and the shortest time of
each counts, so that what else the machine does matters little.

    python experiments/benchmarks/adapter_drop.py --json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
from machine import describe_machine
from measuring import seconds
from torch.nn import functional

from autoplace.backbones import ResidualChain, create_chain
from autoplace.model import AdaptedModel, Schedule, frozen_activations
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.procedures import drop_adapters

CLASSES = 10
WAYS = ("inference", "step", "cached_step")


def adapted(chain: ResidualChain, options: argparse.Namespace) -> AdaptedModel:
    """Return a model with an adapter at every sub-layer."""
    edges = [Edge(node - 1, node) for node in range(1, chain.n_nodes)]
    spec = AdapterSpec.of(options.adapter, r=options.rank)
    return AdaptedModel(chain, Placement.of(edges, spec), tuple(map(str, range(CLASSES))))


def actions(model: AdaptedModel, images: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""
    labels = torch.arange(len(images)) % CLASSES
    chain = model.chain
    with torch.no_grad():
        embedded = chain.embed(images)
    cached = frozen_activations(chain, embedded, model.frozen_nodes)
    suffix = Schedule.suffix(model.placement, chain.n_nodes)

    def infer() -> None:
        with torch.inference_mode():
            model(images)

    def step(frozen: Callable[[], dict[int, torch.Tensor]]) -> None:
        logits = model.run(suffix, frozen())
        functional.cross_entropy(logits, labels).backward()

    return {
        "inference": infer,
        "step": lambda: step(lambda: frozen_activations(chain, embedded, suffix.frozen_nodes)),
        "cached_step": lambda: step(lambda: cached),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Time all numbers of dropped blocks and return the document."""
    torch.manual_seed(options.seed)
    chain = create_chain(options.backbone)
    full = adapted(chain, options)
    images = torch.randn(options.batch, *chain.data_config["input_size"])
    blocks = chain.n_nodes // 2
    dropped = sorted({0, *(options.dropped or range(1, blocks, 2))})
    timed = {n: actions(drop_adapters(full, n), images) for n in dropped}
    times: dict[str, dict[int, list[float]]] = {way: {n: [] for n in dropped} for way in WAYS}
    for repeat in range(options.repeats + 1):
        for way in WAYS:
            for n in dropped:
                taken = seconds(timed[n][way])
                if repeat:  # the first time warms up
                    times[way][n].append(taken)
    shortest = {way: {n: min(found) for n, found in times[way].items()} for way in WAYS}
    return {
        "speedup": {
            way: {str(n): round(found[0] / found[n], 3) for n in dropped}
            for way, found in shortest.items()
        },
        "seconds_with_all": {way: found[0] for way, found in shortest.items()},
        "model": chain.name,
        "n": chain.n_nodes,
        "blocks": blocks,
        "adapter": f"{options.adapter}:r={options.rank}",
        "batch": options.batch,
        "repeats": options.repeats,
        "seed": options.seed,
    } | describe_machine()


def render(report: dict[str, Any]) -> str:
    """Render the ratios as a table."""
    lines = [
        f"{report['model']}, {report['adapter']} at every sub-layer, batch {report['batch']}; "
        "times as fast as with all adapters",
        "dropped blocks " + " ".join(f"{way:>12}" for way in WAYS),
    ]
    lines += [
        f"{n:>14} " + " ".join(f"{report['speedup'][way][n]:>12.2f}" for way in WAYS)
        for n in report["speedup"][WAYS[0]]
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbone", default="starter", help="'starter' or a timm name")
    parser.add_argument("--adapter", default="bottleneck")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dropped", type=int, nargs="*", help="default: odd numbers")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report = measure(options)
    print(json.dumps(report, indent=2) if options.json else render(report))


if __name__ == "__main__":
    main()
