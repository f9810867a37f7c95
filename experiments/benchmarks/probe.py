"""What a probe costs: its seconds over one forward and backward pass of the frozen backbone.

The floor is a forward pass and a backward pass from the cross-entropy of a linear head down to
the embeddings, with no gradients for weights, over the same images in the same micro-batches.
The probe scores all n² edges with every column of its tables. Images are random and in memory,
so nothing is decoded. Probe and floor take turns; `ratio_to_forward_backward` is the median of
the ratios of neighbours, so that a load that drifts touches both alike.

    python experiments/benchmarks/probe.py --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from machine import describe_machine
from random_images import RandomImages
from torch import nn
from torch.nn import functional

from autoplace.backbones import ResidualChain, create_chain
from autoplace.probe import run_probe
from autoplace.settings import ProbeSettings


def forward_backward(
    chain: ResidualChain, split: RandomImages, head: nn.Linear, batch_size: int
) -> None:
    """The floor: gradients of the loss with respect to the embeddings of every micro-batch."""
    for batch in split.batches(batch_size):
        embeddings = hidden = chain.embed(batch.images).detach().requires_grad_()
        for node in range(1, chain.n_nodes):
            hidden = chain.step(node, hidden)
        loss = functional.cross_entropy(head(chain.features(hidden)), batch.labels)
        torch.autograd.grad(loss, embeddings)


def seconds(action: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The benchmark's document."""
    where = describe_machine()
    torch.manual_seed(options.seed)
    chain = create_chain(options.backbone, pretrained=options.pretrained)
    split = RandomImages(
        options.images, options.classes, chain.data_config["input_size"], options.seed
    )
    head = nn.Linear(chain.num_features, options.classes).requires_grad_(False)
    settings = ProbeSettings(
        probe_images=options.images, probe_batch=options.batch, sketch=options.sketch
    )

    def probe() -> None:
        run_probe(chain, split, options.classes, settings, options.seed)  # type: ignore[arg-type]

    def floor() -> None:
        forward_backward(chain, split, head, options.batch)

    floor()  # the first run of each also pays for allocations
    probe()
    floors, probes = [], []
    for _ in range(options.repeats):
        floors.append(seconds(floor))
        probes.append(seconds(probe))
    ratios = [ours / theirs for ours, theirs in zip(probes, floors, strict=True)]
    return {
        "ratio_to_forward_backward": round(statistics.median(ratios), 3),
        "probe_seconds": [round(value, 4) for value in probes],
        "forward_backward_seconds": [round(value, 4) for value in floors],
        "model": chain.name,
        "weights": "pretrained" if options.pretrained else "random",
        "n": chain.n_nodes,
        "edges": chain.n_nodes**2,
        "dim": chain.dim,
        "input_size": list(chain.data_config["input_size"]),
        "images": options.images,
        "batch": options.batch,
        "classes": options.classes,
        "sketch": options.sketch,
        "seed": options.seed,
        **where,
    }


def render(report: dict[str, Any]) -> str:
    """The report in a few lines for people."""
    probe, floor = (
        statistics.median(report[key]) for key in ("probe_seconds", "forward_backward_seconds")
    )
    return (
        f"A probe of all {report['edges']} edges of {report['model']} costs "
        f"{report['ratio_to_forward_backward']:.2f} forward and backward passes\n"
        f"({probe:.2f} s against {floor:.2f} s; {report['images']} images in batches of "
        f"{report['batch']}; {report['threads']} thread(s), {report['machine']['processor']})"
    )


def main() -> None:
    defaults = ProbeSettings()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="starter", help="'starter' or a timm name")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--pretrained", action="store_true", default=True, help="the default")
    weights.add_argument("--random-weights", action="store_false", dest="pretrained")
    parser.add_argument("--images", type=int, default=defaults.probe_images)
    parser.add_argument("--batch", type=int, default=defaults.probe_batch)
    parser.add_argument("--sketch", type=int, default=defaults.sketch, help="0 means never")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report = measure(options)
    print(json.dumps(report, indent=2) if options.json else render(report))


if __name__ == "__main__":
    main()
